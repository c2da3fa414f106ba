import { describe, expect, test } from 'vitest'
import {
  drawSubspace,
  multiplyEntries,
  packSubspace,
  pullBack,
  spreadEntries,
  takeEntries,
  unpackSubspace,
} from '../../../src/editors/steps/subspace.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { tensor } from '../../../src/tensor/tensor.ts'
import { expectClose } from '../../support/close.ts'

/** Sums of a few float32 products. */
const F32_SUM = { relative: 1e-6 }
const SHAPE = [7, 5] as const
const subspace = drawSubspace(SHAPE, 0.4, createRandom('subspace'))

function numbers(rows: number, columns: number) {
  const random = createRandom(`${rows} ${columns}`)
  return tensor(
    Float32Array.from({ length: rows * columns }, () => random.normal()),
    [rows, columns],
  )
}

test('holds about the share of entries that was asked for; all and none at the ends', () => {
  const { columns } = drawSubspace([100, 100], 0.2, createRandom(1))
  expect(Math.abs(columns.length / 10_000 - 0.2)).toBeLessThan(0.02)
  expect(drawSubspace(SHAPE, 1, createRandom(1)).columns).toHaveLength(35)
  expect(drawSubspace(SHAPE, 0, createRandom(1)).columns).toHaveLength(0)
})

test('survives being packed, and so do the entries of a matrix', () => {
  const matrix = numbers(...SHAPE)
  const again = unpackSubspace(packSubspace(subspace), SHAPE)
  expect(again).toEqual(subspace)
  const values = takeEntries(matrix, subspace)
  const spread = spreadEntries(values, subspace)
  expect(takeEntries(spread, again)).toEqual(values)
  const kept = spread.data.filter((value, i) => value !== 0 && value === matrix.data[i])
  expect(kept).toHaveLength(values.length)
  expect(spread.data.filter((value) => value !== 0)).toHaveLength(values.length)
})

// Rows are worked on four at a time.
describe.each([0, 1, 3, 4, 9])('with %d rows', (count) => {
  const [rows, columns] = SHAPE
  const x = numbers(count, rows)
  const matrix = numbers(...SHAPE)
  const values = takeEntries(matrix, subspace)

  test('multiplies as the whole matrix does', () => {
    const whole = spreadEntries(values, subspace).data
    const expected = Array.from({ length: count * columns }, (_, at) => {
      const [row, column] = [Math.floor(at / columns), at % columns]
      return Array.from({ length: rows }, (_, i) => i).reduce(
        (sum, i) => sum + (x.data[row * rows + i] ?? 0) * (whole[i * columns + column] ?? 0),
        0,
      )
    })
    const product = multiplyEntries(x, values, subspace)
    expect(product.shape).toEqual([count, columns])
    expectClose(product.data, expected, F32_SUM)
  })

  test('pulls slopes back to its entries', () => {
    const g = numbers(count, columns)
    const whole = Array.from({ length: rows * columns }, (_, at) => {
      const [row, column] = [Math.floor(at / columns), at % columns]
      return Array.from({ length: count }, (_, t) => t).reduce(
        (sum, t) => sum + (x.data[t * rows + row] ?? 0) * (g.data[t * columns + column] ?? 0),
        0,
      )
    })
    const expected = takeEntries(tensor(Float32Array.from(whole), SHAPE), subspace)
    expectClose(pullBack(x, g, subspace), expected, F32_SUM)
  })
})
