import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  addPoints,
  centroidPoints,
  equalPoints,
  eraseDigit,
  fillPoints,
  moveRow,
  pointsLeft,
  toPoints,
  typeDigit,
} from '../../../src/commands/support/points.ts'

const at = (points: readonly number[], row = 0) => ({ points, row, typed: '' })

describe('points of weights', () => {
  test.each([
    // 100/3 = 33.3…: the first of the equal remainders gets the point that is left.
    { weights: [1, 1, 1], points: [34, 33, 33] },
    { weights: [2, 1], points: [67, 33] },
    { weights: [0, 5], points: [0, 100] },
    { weights: [25, 20, 10, 35, 10], points: [25, 20, 10, 35, 10] },
    // 14.28…, 28.57…, 57.14…: remainders .28, .57, .14.
    { weights: [1, 2, 4], points: [14, 29, 57] },
  ])('$weights: $points', ({ weights, points }) => {
    expect(toPoints(weights)).toEqual(points)
  })

  test('are whole, within one of their share, and 100 in all', () => {
    const weights = fc
      .array(fc.integer({ min: 0, max: 1000 }), { minLength: 1, maxLength: 8 })
      .filter((all) => all.some((w) => w > 0))
    fc.assert(
      fc.property(weights, (all) => {
        const points = toPoints(all)
        const total = all.reduce((a, b) => a + b, 0)
        const near = points.every((p, i) => Number.isInteger(p) && Math.abs(p - ((all[i] ?? 0) / total) * 100) < 1)
        return near && points.reduce((a, b) => a + b, 0) === 100
      }),
    )
  })
})

test('an order of five gives the rank order centroid .457 .257 .157 .090 .040', () => {
  expect(centroidPoints(5)).toEqual([46, 26, 15, 9, 4])
})

describe('keys', () => {
  test('more than is left cannot be given, less than nothing neither', () => {
    expect(addPoints(at([50, 48]), 5).points).toEqual([52, 48])
    expect(addPoints(at([3, 97]), -5).points).toEqual([0, 97])
  })

  test('rows go round', () => {
    expect(moveRow(at([1, 2, 3], 0), -1).row).toBe(2)
    expect(moveRow(at([1, 2, 3], 2), 1).row).toBe(0)
  })

  test('digits add up to a number, another row begins a new one', () => {
    const first = typeDigit(typeDigit(at([0, 0]), '4'), '5')
    expect(first.points).toEqual([45, 0])
    expect(typeDigit(moveRow(first, 1), '7').points).toEqual([45, 7])
    expect(eraseDigit(first).points).toEqual([4, 0])
    expect(eraseDigit(at([45, 0])).points).toEqual([4, 0])
  })

  test('a typed number is cut to what is left', () => {
    expect(typeDigit(at([0, 95]), '9').points).toEqual([5, 95])
  })

  test('filling up keeps the proportions', () => {
    expect(fillPoints(at([10, 10, 20])).points).toEqual([25, 25, 50])
    expect(fillPoints(at([0, 0])).points).toEqual([50, 50])
    expect(equalPoints(at([90, 5, 5])).points).toEqual([34, 33, 33])
  })

  test('whatever is pressed, no more than 100 are given and none is negative', () => {
    const key = fc.oneof(
      fc.constantFrom(-5, -1, 1, 5).map((by) => (s: ReturnType<typeof at>) => addPoints(s, by)),
      fc.constantFrom(-1, 1).map((by) => (s: ReturnType<typeof at>) => moveRow(s, by)),
      fc.integer({ min: 0, max: 9 }).map((digit) => (s: ReturnType<typeof at>) => typeDigit(s, String(digit))),
      fc.constantFrom(fillPoints, equalPoints, eraseDigit),
    )
    fc.assert(
      fc.property(fc.array(key, { maxLength: 40 }), (keys) => {
        const state = keys.reduce((s, press) => press(s), at([20, 20, 20, 20, 20]))
        return pointsLeft(state) >= 0 && state.points.every((p) => p >= 0 && Number.isInteger(p))
      }),
    )
  })
})
