import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { mean, median, quantile, standardError } from '../../src/tensor/stats.ts'

const SAMPLE = [0.126, -0.132, 0.64, 0.105, -0.536, 0.362, 1.304]

describe('against numpy', () => {
  test.each<[number[], number, number]>([
    [[3, 1, 2], 0, 1],
    [[3, 1, 2], 0.025, 1.05],
    [[3, 1, 2], 0.25, 1.5],
    [[3, 1, 2], 0.9, 2.8],
    [[3, 1, 2], 1, 3],
    [[5], 0.5, 5],
    [[1, 1, 2, 10], 0.5, 1.5],
    [[1, 1, 2, 10], 0.9, 7.6],
    [SAMPLE, 0.025, -0.4754],
    [SAMPLE, 0.25, -0.0135],
    [SAMPLE, 0.9, 0.9056],
  ])('quantile(%j, %f) is %f', (values, probability, expected) => {
    expect(quantile(values, probability)).toBeCloseTo(expected, 12)
  })

  test.each<[number[], number, number]>([
    [[3, 1, 2], 2, 0.5773502691896258],
    [[1, 1, 2, 10], 3.5, 2.179449471770337],
    [SAMPLE, 0.267, 0.222199931421703],
  ])('mean and standard error of %j', (values, expectedMean, expectedError) => {
    expect(mean(values)).toBeCloseTo(expectedMean, 12)
    expect(standardError(values)).toBeCloseTo(expectedError, 12)
  })
})

test('median is the middle of an odd sample and the mean of the middle two of an even one', () => {
  expect(median([9, 1, 5])).toBe(5)
  expect(median([9, 1, 5, 6])).toBe(5.5)
})

test('infinite values keep their order and make no NaN', () => {
  expect(quantile([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, 1], 0.25)).toBe(Number.NEGATIVE_INFINITY)
  expect(median([1, 2, Number.POSITIVE_INFINITY])).toBe(2)
})

test.each<[string, () => number]>([
  ['an empty sample', () => mean([])],
  ['one value for a standard error', () => standardError([1])],
  ['an empty sample for a quantile', () => quantile([], 0.5)],
  ['NaN in a mean', () => mean([1, Number.NaN])],
  ['NaN in a median', () => median([Number.NaN, 1, 2])],
  ['a probability above 1', () => quantile([1, 2], 1.01)],
  ['a probability that is NaN', () => quantile([1, 2], Number.NaN)],
])('refuses %s', (_what, compute) => {
  expect(compute).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }))
})

const sample = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 50 })

test('quantiles rise with the probability, stay within the sample and leave it alone', () => {
  fc.assert(
    fc.property(
      sample,
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, p, q) => {
        const before = [...values]
        const low = quantile(values, Math.min(p, q))
        const high = quantile(values, Math.max(p, q))
        expect(low).toBeLessThanOrEqual(high)
        expect(low).toBeGreaterThanOrEqual(Math.min(...values))
        expect(high).toBeLessThanOrEqual(Math.max(...values))
        expect(values).toEqual(before)
      },
    ),
  )
})
