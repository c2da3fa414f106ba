import { describe, expect, test } from 'vitest'
import { compileFormula } from '../../src/scoring/formula.ts'

describe('compileFormula', () => {
  test.each([
    ['min(reliability, locality)', { reliability: 80, locality: 30 }, 30],
    ['reliability ^ 0.5 * locality ^ 0.5', { reliability: 64, locality: 25 }, 40],
    ['0.5 * weighted + 0.5 * min(reliability, locality)', { reliability: 80, locality: 40, weighted: 60 }, 50],
    ['locality >= 50 ? reliability : reliability / 2', { reliability: 80, locality: 49 }, 40],
    ['mean(reliability, portability)', { reliability: 80, portability: 20 }, 50],
  ])('computes %s', async (text, values, result) => {
    expect((await compileFormula(text)).evaluate(values)).toBeCloseTo(result, 9)
  })

  test('says which criteria it reads', async () => {
    const formula = await compileFormula('0.5 * weighted + 0.5 * min(locality, reliability)')
    expect(formula.criteria).toEqual(['reliability', 'locality'])
    expect(formula.usesWeights).toBe(true)
  })

  test.each([
    'import({a: 1}, {})',
    'createUnit("x")',
    'evaluate("1")',
    'parse("1")',
    'simplify("1 + 1")',
    'derivative("x^2", "x")',
    'reliability.constructor',
    'reliability["constructor"]',
    'f(x) = reliability',
    'reliability = 3',
    'reliability; locality',
    '[reliability, 1]',
    '{a: reliability}',
    '1:reliability',
    '"reliability"',
    'reliability!',
    'random() * reliability',
    'sin(reliability)',
    'reliabilty + 1',
    'min',
  ])('refuses %s: it is made of something else', async (text) => {
    await expect(compileFormula(text)).rejects.toThrow(/a formula (made only of numbers|that reads one of)/)
  })

  test.each([
    ['100 - reliability', 'a formula that never falls when reliability rises (it does at reliability 0)'],
    ['abs(reliability - 50)', 'never falls when reliability rises'],
    ['reliability > 50 ? 0 : reliability', 'never falls when reliability rises'],
    ['2 * reliability', 'within 0–100 (at reliability 75 it is 150)'],
    ['log(reliability)', 'within 0–100 (at reliability 0 it is -Infinity)'],
    ['sqrt(reliability - 50)', 'within 0–100 (at reliability 0 it is NaN)'],
    ['reliability > 50', 'within 0–100'],
    ['50', 'reads one of'],
    ['Infinity - reliability', 'within 0–100 (at reliability 0 it is Infinity)'],
    ['reliability +', 'Unexpected end'],
    ['', 'made only of'],
    ['('.repeat(399), 'a formula'],
    [`reliability${' + 0'.repeat(200)}`, 'at most 400 characters'],
  ])('refuses %s', async (text, reason) => {
    await expect(compileFormula(text)).rejects.toThrow(reason)
  })
})
