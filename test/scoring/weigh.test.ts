import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Column, normalizeWeights, weigh } from '../../src/scoring/weigh.ts'

const column = (criterion: string, weight: number, values: number[], direction: Column['direction'] = 'higher') => ({
  criterion,
  weight,
  values,
  direction,
})

describe('weigh', () => {
  /**
   * The example of E. Triantaphyllou, Multi-Criteria Decision Making: A Comparative Study, Kluwer 2000, as the article
   * "Weighted sum model" in Wikipedia works it out and scikit-criteria tests itself with: A1 = 25·0.20 + 20·0.15 +
   * 15·0.40 + 30·0.25 = 21.50, A2 = A3 = 22.00.
   */
  test('gives the scores of a published example', () => {
    const scores = weigh([
      column('C1', 0.2, [25, 10, 30]),
      column('C2', 0.15, [20, 30, 10]),
      column('C3', 0.4, [15, 20, 30]),
      column('C4', 0.25, [30, 30, 10]),
    ])
    expect(scores.map((score) => score.toFixed(2))).toEqual(['21.50', '22.00', '22.00'])
  })

  test('refuses a criterion in which less is better', () => {
    expect(() => weigh([column('seconds', 1, [5], 'lower')])).toThrow(expect.objectContaining({ code: 'E_DIRECTION' }))
  })

  test.each([Number.NaN, Number.POSITIVE_INFINITY, -1, 100.5])('refuses the value %d', (value) => {
    expect(() => weigh([column('locality', 1, [50, value])])).toThrow(expect.objectContaining({ code: 'E_VALUE' }))
  })

  test.each([
    ['negative', [1, -1]],
    ['all zero', [0, 0]],
    ['not a number', [Number.NaN, 1]],
    ['infinite', [Number.POSITIVE_INFINITY, 1]],
    ['missing', []],
  ])('refuses weights that are %s', (_, weights) => {
    expect(() => normalizeWeights(weights)).toThrow(expect.objectContaining({ code: 'E_WEIGHTS', exit: 2 }))
  })

  const weights = fc.array(fc.double({ min: 0.01, max: 1000, noNaN: true }), { minLength: 3, maxLength: 3 })
  const values = fc.array(fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 4, maxLength: 4 }), {
    minLength: 3,
    maxLength: 3,
  })
  const columns = (w: number[], v: number[][]) => v.map((row, k) => column(`c${k}`, w[k] ?? 0, row))

  test('scaling all weights changes nothing', () => {
    fc.assert(
      fc.property(weights, values, fc.double({ min: 1e-6, max: 1e6, noNaN: true }), (w, v, factor) => {
        const scaled = weigh(
          columns(
            w.map((weight) => weight * factor),
            v,
          ),
        )
        for (const [m, score] of weigh(columns(w, v)).entries()) expect(scaled[m]).toBeCloseTo(score, 9)
      }),
    )
  })

  test('a score lies between the least and the greatest value', () => {
    fc.assert(
      fc.property(weights, values, (w, v) => {
        weigh(columns(w, v)).forEach((score, m) => {
          const own = v.map((row) => row[m] ?? Number.NaN)
          expect(score).toBeGreaterThanOrEqual(Math.min(...own) - 1e-9)
          expect(score).toBeLessThanOrEqual(Math.max(...own) + 1e-9)
        })
      }),
    )
  })
})
