import { describe, expect, test } from 'vitest'
import { costValue, gainValue, projectCost, rateValue } from '../../src/scoring/normalize.ts'

const HOURS = { good: 10, bad: 7200 }

describe('gainValue', () => {
  test.each([
    [0.8, 0, 80],
    [0.8, 0.2, 75],
    [0.2, 0.2, 0],
    [0.1, 0.2, 0],
    [1, 0.9, 100],
  ])('a rate of %d over %d is worth %d', (rate, base, value) => {
    expect(gainValue(rate, base)).toBeCloseTo(value, 9)
  })

  test('nothing can be gained over a model that knows everything', () => {
    expect(gainValue(1, 1)).toBeNaN()
  })
})

test('rateValue takes nothing out', () => {
  expect([0, 0.25, 1].map(rateValue)).toEqual([0, 25, 100])
})

describe('costValue', () => {
  test.each([
    [10, 100],
    [7200, 0],
    [1, 100],
    [1e9, 0],
    [0, 100],
    // Half way on a logarithmic scale: the geometric mean of the ends.
    [Math.sqrt(10 * 7200), 50],
  ])('%d s are worth %d', (cost, value) => {
    expect(costValue(cost, HOURS)).toBeCloseTo(value, 9)
  })

  test('a cost that was not measured stays not measured', () => {
    expect(costValue(Number.NaN, HOURS)).toBeNaN()
  })
})

test('projectCost adds what is paid once, for each edit and for each query', () => {
  const costs = { prepareS: 60, editS: 2, queryS: 0.01 }
  expect(projectCost(costs, { edits: 100, queries: 1000 })).toBe(60 + 200 + 10)
  expect(projectCost({ ...costs, queryS: -0.01 }, { edits: 100, queries: 1000 })).toBe(260)
})
