import { describe, expect, test } from 'vitest'
import { bucketFeed, causalMask, inputMask, tokenPositions, windowMask } from '../../src/models/positions.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'

/** A row of a mask a line: `x` for what is seen. */
function drawn({ data, shape }: Tensor): string[] {
  const S = shape.at(-1) ?? 0
  return Array.from({ length: data.length / S }, (_, row) =>
    Array.from(data.subarray(row * S, (row + 1) * S), (value) => (value === 0 ? 'x' : '.')).join(''),
  )
}

describe('a mask', () => {
  test('lets positions see themselves and what lies before', () => {
    expect(drawn(causalMask(3, null))).toEqual(['x..', 'xx.', 'xxx'])
  })

  test('lets them see no further back than the window', () => {
    expect(drawn(causalMask(4, 2))).toEqual(['x...', 'xx..', '.xx.', '..xx'])
  })

  test('hides the places for earlier positions that a row does not have', () => {
    expect(drawn(windowMask({ past: [1, 3], P: 3, T: 2, window: null }))).toEqual(['x..x.', 'x..xx', 'xxxx.', 'xxxxx'])
  })

  // Row 0 has positions 0 in place 0, then 1 and 2 in places 3 and 4; row 1 has 0 to 2 in its places, then 3 and 4.
  test('counts a window in positions, not in places', () => {
    expect(drawn(windowMask({ past: [1, 3], P: 3, T: 2, window: 2 }))).toEqual(['x..x.', '...xx', '..xx.', '...xx'])
  })

  test('has places that all rows have after those of the past', () => {
    expect(drawn(windowMask({ past: [1, 2], P: 2, T: 1, S: 5, window: 3 }))).toEqual(['..xxx', '..xxx'])
    expect(drawn(windowMask({ past: [1, 2], P: 2, T: 1, S: 5, window: 4 }))).toEqual(['x.xxx', '.xxxx'])
  })

  test("hides the padding of an encoder's input", () => {
    expect(drawn(inputMask([2, 3]))).toEqual(['xx.', 'xxx'])
  })
})

test('positions count from where each row starts', () => {
  expect([...tokenPositions([0, 4], 3).data].map(Number)).toEqual([0, 1, 2, 4, 5, 6])
})

// Worked by hand: 8 buckets both ways are 4 a side; distances 0 and 1 have one each, then 2 to 12 share two by powers.
describe('buckets of distances', () => {
  test('after a query are others than before it', () => {
    const { data } = bucketFeed({ count: 8, farthest: 12 }, { start: 2, T: 1, S: 5, bothWays: true })
    expect([...data].map(Number)).toEqual([2, 1, 0, 5, 6])
  })

  test('look back only where attention does, and share the last one far away', () => {
    const { data } = bucketFeed({ count: 8, farthest: 12 }, { start: 14, T: 1, S: 16, bothWays: false })
    // Distances 14 … 0, and one key ahead: 4 exact buckets, then 4 + ⌊ln(d/4) / ln(12/4) · 4⌋.
    expect([...data].map(Number)).toEqual([7, 7, 7, 7, 7, 6, 6, 6, 5, 4, 4, 3, 2, 1, 0, 0])
  })
})
