import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CRITERION_NAMES, mapCriteria } from '../../src/scoring/criteria.ts'
import { type Comparison, findFlip, leadParts } from '../../src/scoring/lead.ts'

function compare(weights: number[], first: (number | null)[], second: (number | null)[], preference = 0): Comparison {
  const named = <T>(list: readonly T[], rest: T) =>
    mapCriteria((criterion) => list[CRITERION_NAMES.indexOf(criterion)] ?? rest)
  return { weights: named(weights, 0), first: named(first, null), second: named(second, null), preference }
}

describe('leadParts', () => {
  test('splits the lead by criterion, largest first', () => {
    expect(leadParts(compare([0.5, 0.3, 0.2], [80, 60, 50], [70, 60, 90], -1))).toEqual([
      { of: 'locality', points: -8 },
      { of: 'reliability', points: 5 },
      { of: 'preference', points: -1 },
    ])
  })
})

describe('findFlip', () => {
  test('moves weight from where the first is best to where it is worst', () => {
    // d = (10, 0, −40): gap 0.8·10 − 0.1·40 = 4; each share moved from reliability to locality shrinks it by 50: 8 points.
    const flip = findFlip(compare([0.8, 0.1, 0.1], [80, 60, 50], [70, 60, 90]))
    expect(flip?.points).toBeCloseTo(8, 9)
    expect(flip).toMatchObject({ from: ['reliability'], to: 'locality' })
  })

  test('takes from the next best once the best has nothing left', () => {
    // d = (60, 10, 0, −5): all 10 points of reliability shrink the gap 13 by 6.5, the other 6.5 take 43.3 of generalization.
    const flip = findFlip(compare([0.1, 0.7, 0.2, 0], [60, 10, 0, 0], [0, 0, 0, 5]))
    expect(flip?.from).toEqual(['reliability', 'generalization'])
    expect(flip?.points).toBeCloseTo(10 + 43.333, 2)
  })

  test('knows that nothing turns round a method that is better everywhere', () => {
    expect(findFlip(compare([0.5, 0.5], [80, 60], [70, 50]))).toBeNull()
  })

  test('a preference can keep even the best weights from turning it round', () => {
    expect(findFlip(compare([0.9, 0.1], [80, 50], [70, 55], 20))).toBeNull()
  })

  test('the moved weights draw the two level', () => {
    const value = fc.integer({ min: 0, max: 100 })
    const values = fc.tuple(value, value, value, value, value)
    fc.assert(
      fc.property(values, values, fc.tuple(value, value, value, value, value), (a, b, raw) => {
        const total = raw.reduce((sum, w) => sum + w, 0)
        fc.pre(total > 0)
        const weights = raw.map((w) => w / total)
        const gap = weights.reduce((sum, w, k) => sum + w * ((a[k] ?? 0) - (b[k] ?? 0)), 0)
        fc.pre(gap > 0.01)
        const flip = findFlip(compare(weights, a, b))
        const worst = Math.min(...a.map((x, k) => x - (b[k] ?? 0)))
        expect(flip === null).toBe(worst > 0)
        if (flip === null) return
        // Move the points as told and see the gap close.
        const moved = [...weights]
        let left = flip.points / 100
        for (const criterion of flip.from) {
          const k = CRITERION_NAMES.indexOf(criterion)
          const share = Math.min(left, moved[k] ?? 0)
          moved[k] = (moved[k] ?? 0) - share
          left -= share
        }
        const to = CRITERION_NAMES.indexOf(flip.to)
        moved[to] = (moved[to] ?? 0) + flip.points / 100
        expect(left).toBeCloseTo(0, 9)
        expect(moved.reduce((sum, w, k) => sum + w * ((a[k] ?? 0) - (b[k] ?? 0)), 0)).toBeCloseTo(0, 7)
      }),
    )
  })
})
