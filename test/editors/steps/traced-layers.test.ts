import { describe, expect, test } from 'vitest'
import {
  applyLinear,
  applyNormed,
  applyTanh,
  linearShapes,
  normedShapes,
  startLengths,
  startUniform,
  type Traced,
} from '../../../src/editors/steps/traced-layers.ts'
import { dot } from '../../../src/tensor/linalg.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { expectClose } from '../../support/close.ts'
import { differences } from '../../support/differences.ts'

const SIZE = { into: 3, out: 4 }
const random = createRandom(1)
const X = Float64Array.from({ length: SIZE.into }, () => random.normal())
const SLOPES = Float64Array.from({ length: SIZE.out }, () => random.normal())

const draw = (shapes: Readonly<Record<string, readonly number[]>>) =>
  Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, startUniform(shape, 2, random)]))

test('a linear layer multiplies and adds', () => {
  const arrays = { 'a weight': Float32Array.of(1, 2, 3, 4), 'a bias': Float32Array.of(10, 20) }
  expect([...applyLinear(arrays, 'a', Float64Array.of(1, -1)).value]).toEqual([9, 19])
})

test('a normed layer knows the direction of its rows alone, and their length apart', () => {
  const arrays = {
    'a weight': Float32Array.of(3, 4, 300, 400),
    'a length': Float32Array.of(5, 10),
    'a bias': Float32Array.of(0, 1),
  }
  expectClose(applyNormed(arrays, 'a', Float64Array.of(1, 1)).value, [7, 15], { absolute: 1e-6 })
})

test('a normed layer starts as the linear layer of its rows', () => {
  const arrays = draw(linearShapes('a', SIZE))
  const lengths = startLengths(arrays['a weight'] ?? new Float32Array(), SIZE.into)
  const normed = applyNormed({ ...arrays, 'a length': lengths }, 'a', X)
  expectClose(normed.value, applyLinear(arrays, 'a', X).value, { relative: 1e-6 })
})

test('numbers start within one over the root of what is summed', () => {
  const start = startUniform([100, 4], 16, createRandom(2))
  expect(start).toHaveLength(400)
  expect(Math.max(...start.map(Math.abs))).toBeLessThanOrEqual(0.25)
  expect(Math.max(...start)).toBeGreaterThan(0.2)
  expect(Math.min(...start)).toBeLessThan(-0.2)
})

test('a layer without its arrays is a defect', () => {
  expect(() => applyLinear({}, 'a', X)).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }))
})

describe('the way back is that of central differences', () => {
  test.each<
    [
      string,
      Readonly<Record<string, readonly number[]>>,
      (arrays: Record<string, Float32Array>) => (x: Float64Array) => Traced,
    ]
  >([
    ['linear', linearShapes('a', SIZE), (arrays) => (x) => applyLinear(arrays, 'a', x)],
    ['normed', normedShapes('a', SIZE), (arrays) => (x) => applyNormed(arrays, 'a', x)],
    ['tanh', linearShapes('a', SIZE), (arrays) => (x) => applyTanh(applyLinear(arrays, 'a', x))],
  ])('%s', (_, shapes, open) => {
    const arrays = draw(shapes)
    const apply = open(arrays)
    const gradients = Object.fromEntries(
      Object.entries(arrays).map(([name, { length }]) => [name, new Float32Array(length)]),
    )
    const ofX = apply(X).back(SLOPES, gradients)
    const loss = () => dot(apply(X).value, SLOPES)
    expectClose(ofX, differences(X, loss), { absolute: 1e-4 }, 'x')
    for (const [name, values] of Object.entries(arrays)) {
      expectClose(gradients[name], differences(values, loss), { absolute: 1e-4 }, name)
    }
    // A second way back adds to the first.
    const once = gradients['a weight']?.slice() ?? []
    apply(X).back(SLOPES, gradients)
    expectClose(
      gradients['a weight'],
      Float32Array.from(once, (slope) => 2 * slope),
      { relative: 1e-6 },
    )
  })
})
