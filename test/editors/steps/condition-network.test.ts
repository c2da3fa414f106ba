import { expect, test } from 'vitest'
import {
  type ConditionShape,
  countNumbers,
  noGradients,
  readGates,
  startNetwork,
} from '../../../src/editors/steps/condition-network.ts'
import { dot } from '../../../src/tensor/linalg.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { tensor } from '../../../src/tensor/tensor.ts'
import { expectClose } from '../../support/close.ts'
import { differences } from '../../support/differences.ts'

const SHAPE: ConditionShape = { width: 3, hidden: 2, condition: 4, gates: [5, 3] }
const random = createRandom(1)
const VECTORS = tensor(
  Float32Array.from({ length: 9 }, () => random.normal()),
  [3, 3],
)

test('starts with as many numbers as it says, the same from the same seed, rows as long as they are', () => {
  const arrays = startNetwork(SHAPE, createRandom(1))
  expect(Object.values(arrays).reduce((sum, { length }) => sum + length, 0)).toBe(countNumbers(SHAPE))
  expect(startNetwork(SHAPE, createRandom(1))).toEqual(arrays)
  const [row = [], lengths] = [arrays['outer 1 weight']?.slice(2, 4), arrays['outer 1 length']]
  expect(lengths?.[1]).toBeCloseTo(Math.hypot(...row), 6)
  // Two numbers a row: at most one over the root of two each.
  expect(Math.max(...(arrays['outer 0 bias'] ?? []).map(Math.abs))).toBeLessThanOrEqual(Math.SQRT1_2)
})

test('says as much of each weight as it has gates, and other things of another text', () => {
  const arrays = startNetwork(SHAPE, createRandom(1))
  const { value } = readGates(arrays, VECTORS, 2)
  expect(value.map(({ length }) => length)).toEqual(SHAPE.gates)
  const other = tensor(VECTORS.data.toReversed(), VECTORS.shape)
  expect(readGates(arrays, other, 2).value).not.toEqual(value)
})

test('the way back is that of central differences, for every array', () => {
  const arrays = startNetwork(SHAPE, createRandom(1))
  const slopes = SHAPE.gates.map((length) => Float64Array.from({ length }, () => random.normal()))
  const loss = () => readGates(arrays, VECTORS, 2).value.reduce((sum, part, i) => sum + dot(part, slopes[i] ?? []), 0)
  const gradients = noGradients(arrays)
  readGates(arrays, VECTORS, 2).back(slopes, gradients)
  for (const [name, values] of Object.entries(arrays)) {
    expectClose(gradients[name], differences(values, loss), { absolute: 1e-4 }, name)
  }
})
