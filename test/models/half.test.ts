import { expect, test } from 'vitest'
import { HALVES, halfAt } from '../../src/models/half.ts'

test.each([
  [0x0000, 0],
  [0x8000, -0],
  [0x0001, 2 ** -24],
  [0x83ff, -1023 * 2 ** -24],
  [0x0400, 2 ** -14],
  [0x3c00, 1],
  [0x3555, 0.333251953125],
  [0xfbff, -65504],
  [0x7c00, Number.POSITIVE_INFINITY],
  [0xfc00, Number.NEGATIVE_INFINITY],
  [0x7e00, Number.NaN],
])('the pattern %i stands for %d', (pattern, value) => {
  expect(HALVES[pattern]).toBe(value)
  expect(halfAt(Uint8Array.of(9, pattern & 0xff, pattern >> 8), 1)).toBe(value)
})

test('larger patterns of one sign are larger numbers', () => {
  for (let pattern = 1; pattern <= 0x7c00; pattern++) {
    expect(HALVES[pattern]).toBeGreaterThan(HALVES[pattern - 1] ?? Number.NaN)
  }
})
