import { expect, test } from 'vitest'
import {
  addRows,
  decodeMoments,
  encodeMoments,
  noMoments,
  normalizeRows,
} from '../../../src/editors/steps/running-moments.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { zeros } from '../../../src/tensor/tensor.ts'
import { expectClose } from '../../support/close.ts'

const F64 = { relative: 1e-12 }
/** What ε, the spacing of float32 at 1, does to numbers of the order of 1. */
const EPSILON = { absolute: 1e-6 }
const WIDTH = 3

/** Rows far from 0, whose squares alone would lose what sets them apart. */
function makeRows(count: number): Float64Array {
  const random = createRandom('moments')
  return Float64Array.from(
    { length: count * WIDTH },
    (_, i) => 1000 * (i % WIDTH) + (1 + (i % WIDTH)) * random.normal(),
  )
}

test('by hand: 1, 2 and 6 have the mean 3 and the variance 7', () => {
  const moments = addRows(noMoments(1), Float64Array.of(1, 2, 6))
  expect(moments).toMatchObject({ count: 3, mean: Float64Array.of(3), squares: Float64Array.of(14) })
  expectClose(normalizeRows(moments, Float64Array.of(3, 10)), [0, Math.sqrt(7)], EPSILON)
})

test('rows in batches of any size give the moments of all at once', () => {
  const rows = makeRows(12)
  const cuts = [0, 1, 1, 8, 12]
  const batched = cuts
    .slice(1)
    .reduce((moments, end, i) => addRows(moments, rows.subarray((cuts[i] ?? 0) * WIDTH, end * WIDTH)), noMoments(WIDTH))
  const whole = addRows(noMoments(WIDTH), rows)
  expect(batched.count).toBe(12)
  expectClose(batched.mean, whole.mean, F64)
  expectClose(batched.squares, whole.squares, F64)
})

test('what has no variance yet is usual: a single row, a feature that stays the same, no rows', () => {
  const single = Float64Array.of(5, -2, 7)
  expect(normalizeRows(addRows(noMoments(WIDTH), single), single)).toEqual(new Float64Array(WIDTH))
  const same = Float64Array.of(4, 1, 4, 3)
  expectClose(normalizeRows(addRows(noMoments(2), same), same), [0, -Math.SQRT1_2, 0, Math.SQRT1_2], EPSILON)
  const before = addRows(noMoments(2), same)
  expect(addRows(before, new Float64Array())).toEqual(before)
})

test('moments go through a patch and on', () => {
  const rows = makeRows(20)
  const first = addRows(noMoments(WIDTH), rows.subarray(0, 10 * WIDTH))
  const saved = encodeMoments(first)
  expect(saved.shape).toEqual([3, WIDTH])
  const went = addRows(decodeMoments(saved, WIDTH), rows.subarray(10 * WIDTH))
  expect(went.count).toBe(20)
  // Means of 2000 are saved to within 2000 · 2⁻²⁴, and so are the rows' distances to them.
  expectClose(went.mean, addRows(first, rows.subarray(10 * WIDTH)).mean, { absolute: 1e-4 })
})

test('moments of another width are refused', () => {
  expect(() => decodeMoments(zeros([3, 5]), 4)).toThrow(
    expect.objectContaining({ code: 'E_PATCH', message: expect.stringContaining('moments [3, 4], found [3, 5]') }),
  )
})
