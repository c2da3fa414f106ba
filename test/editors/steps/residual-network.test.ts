import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  countNumbers,
  type OpenNetwork,
  openNetwork,
  startNetwork,
} from '../../../src/editors/steps/residual-network.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { expectClose } from '../../support/close.ts'

const SHAPE = { width: 3, rank: 2, modes: 2 }
const ASKED = [
  { mode: 1, rows: Float32Array.of(1, -2, 3, 0.5, 0, -1) },
  { mode: 0, rows: new Float32Array() },
  { mode: 0, rows: Float32Array.of(2, 2, -2) },
]

let network: OpenNetwork
beforeAll(async () => {
  network = await openNetwork(SHAPE)
})
afterAll(() => network.close())

test('starts as the identity, of as many numbers as it says', async () => {
  const arrays = startNetwork(SHAPE, createRandom(1))
  expect(Object.values(arrays).reduce((sum, { length }) => sum + length, 0)).toBe(countNumbers(SHAPE))
  expect(await network.transform(arrays, ASKED)).toEqual(ASKED.map(({ rows }) => rows))
})

test('can be learned from there: what is cut at 0 counts as rising', async () => {
  const arrays = startNetwork(SHAPE, createRandom(1))
  const slopes = ASKED.map(({ rows }) => rows.map(() => 1))
  const gradients = await network.differentiate(arrays, ASKED, slopes)
  // Three rows, each with a slope of 1 for every number of the bias.
  expect(gradients['bias 0']).toEqual(Float32Array.of(3, 3, 3))
  expect(gradients['up 1']?.some((slope) => slope !== 0)).toBe(true)
})

test('every mode has its own scale and shift, and the last layer is cut at 0 as well', async () => {
  const arrays = startNetwork(SHAPE, createRandom(1))
  // A bias alone: rows of mode 1 move by 2 · 1 + 3 = 5 in the first layer, those of mode 0 by 1.
  arrays['bias 0']?.fill(1)
  arrays['scale 0']?.set([1, 1, 1, 2, 2, 2])
  arrays['shift 0']?.set([0, 0, 0, 3, 3, 3])
  arrays['bias 1']?.set([-1, 1, -1])
  const [first, , last] = await network.transform(arrays, ASKED)
  expectClose(first, [6, 4, 8, 5.5, 6, 4], { absolute: 1e-6 })
  expectClose(last, [3, 4, -1], { absolute: 1e-6 })
})

test('its gradients are those of what it makes', async () => {
  const random = createRandom(2)
  const arrays = startNetwork(SHAPE, random)
  for (const values of Object.values(arrays)) {
    values.forEach((value, i) => {
      values[i] = value + 0.5 * random.normal()
    })
  }
  const slopes = ASKED.map(({ rows }) => rows.map(() => random.normal()))
  const loss = async () => {
    const made = await network.transform(arrays, ASKED)
    return made.reduce((sum, part, i) => sum + part.reduce((s, value, j) => s + value * (slopes[i]?.[j] ?? 0), 0), 0)
  }
  const gradients = await network.differentiate(arrays, ASKED, slopes)
  const step = 1e-2
  for (const [name, values] of Object.entries(arrays)) {
    const at = values.length - 1
    const start = values[at] ?? 0
    values[at] = start + step
    const above = await loss()
    values[at] = start - step
    const below = await loss()
    values[at] = start
    expect((gradients[name]?.[at] ?? 0) - (above - below) / (2 * step), name).toBeCloseTo(0, 2)
  }
})

test('of no rows at all it makes none, and learns nothing', async () => {
  const arrays = startNetwork(SHAPE, createRandom(1))
  const none = [{ mode: 0, rows: new Float32Array() }]
  expect(await network.transform(arrays, none)).toEqual([new Float32Array()])
  const gradients = await network.differentiate(arrays, none, [new Float32Array()])
  for (const [name, values] of Object.entries(arrays)) {
    expect(gradients[name]).toEqual(new Float32Array(values.length))
  }
})
