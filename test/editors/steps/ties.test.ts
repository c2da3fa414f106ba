import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { mergeTies } from '../../../src/editors/steps/ties.ts'
import { tensor } from '../../../src/tensor/tensor.ts'

interface Golden {
  shape: number[]
  data: number[]
}

const { merges }: { merges: { density: number; deltas: Golden[]; merged: number[] }[] } = JSON.parse(
  readFileSync(new URL('../../golden/wise.json', import.meta.url), 'utf8'),
)
const row = (...values: number[]) => tensor(Float32Array.from(values), [1, values.length])

test.each(merges)('merges as PyTorch does, with equal magnitudes and sums of zero, density $density', (golden) => {
  const deltas = golden.deltas.map(({ shape, data }) => tensor(Float32Array.from(data), shape))
  expect(mergeTies(deltas, golden.density).data).toEqual(Float32Array.from(golden.merged))
})

test('keeps the largest of each, elects a sign by the sum, and takes the mean of those that have it', () => {
  // Kept of each: three of four.
  const merged = mergeTies([row(4, -2, 1, 0.5), row(2, 5, -3, 0.1)], 0.75)
  expect([...merged.data]).toEqual([3, 5, -3, 0])
  expect(merged.shape).toEqual([1, 4])
})

test('of one change keeps what the density lets it keep, of equal magnitudes the first', () => {
  expect([...mergeTies([row(1, -1, 1, 2)], 0.5).data]).toEqual([1, 0, 0, 2])
  expect([...mergeTies([row(1, -1, 1, 2)], 1).data]).toEqual([1, -1, 1, 2])
})
