import { expect, test } from 'vitest'
import { chunksByLength } from '../../src/models/chunks.ts'

const lengths = (items: readonly string[], limit: number) =>
  chunksByLength(items, (item) => item.length, limit).map((chunk) => chunk.map(({ item, index }) => `${item}${index}`))

test('puts items of similar length together, within the limit when padded', () => {
  expect(lengths(['aaa', 'b', 'cc', 'dddd'], 4)).toEqual([['b1', 'cc2'], ['aaa0'], ['dddd3']])
  expect(lengths(['aaa', 'b', 'cc', 'dddd'], 100)).toEqual([['b1', 'cc2', 'aaa0', 'dddd3']])
})

test('leaves an item beyond the limit alone, and makes nothing of nothing', () => {
  expect(lengths(['aaaaaa', 'b'], 2)).toEqual([['b1'], ['aaaaaa0']])
  expect(lengths([], 2)).toEqual([])
})
