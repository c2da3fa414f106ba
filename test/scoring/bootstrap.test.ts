import { describe, expect, test } from 'vitest'
import { DRAWS, drawScores, intervalOf, standings } from '../../src/scoring/bootstrap.ts'
import { buildMatrix } from '../../src/scoring/matrix.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { type EvidenceSketch, makeProfile, sketchEvidence } from '../support/sketch-evidence.ts'

const RELIABILITY = 0

async function draw(sketch: EvidenceSketch, seed = 1) {
  const profile = await makeProfile('weights: {reliability: 1}')
  const matrix = buildMatrix([sketchEvidence(sketch)], { reading: 'free-running', profile })
  const score = (values: Float64Array) => values[RELIABILITY] ?? Number.NaN
  return drawScores(matrix, profile, { score, random: createRandom(seed), count: DRAWS })
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

describe('drawScores', () => {
  test('eight successes in eight cases still leave doubt', async () => {
    const [draws] = await draw({ methods: { a: { rates: { reliability: Array(8).fill(1) } } } })
    const interval = intervalOf(draws?.scores ?? new Float64Array(), 100)
    // θ = (G + a)/(G + a + b), G ~ Gamma(8), is Beta(8½, ½): mean 8.5/9, 5 % quantile 0.7925 (scipy.stats.beta.ppf).
    expect(meanOf(draws?.scores ?? new Float64Array())).toBeCloseTo(100 * (8.5 / 9), 0)
    expect(Math.abs((interval?.low ?? 0) - 79.25)).toBeLessThan(1)
    expect(interval?.high).toBe(100)
  })

  test('k successes of n are Beta(k + ½, n − k + ½)', async () => {
    const [draws] = await draw({
      methods: { a: { rates: { reliability: [...Array(12).fill(1), ...Array(4).fill(0)] } } },
    })
    const scores = draws?.scores ?? new Float64Array()
    // Beta(12.5, 4.5): mean 0.7353, sd 0.1040.
    expect(Math.abs(meanOf(scores) - 73.53)).toBeLessThan(0.5)
    const sd = Math.sqrt(meanOf(scores.map((score) => (score - 73.53) ** 2)))
    expect(Math.abs(sd - 10.4)).toBeLessThan(0.4)
  })

  test('intervals narrow with the cases', async () => {
    const width = async (n: number) => {
      const rates = { reliability: Array.from({ length: n }, (_, i) => i % 2) }
      const [draws] = await draw({ methods: { a: { rates } } })
      const { low, high } = intervalOf(draws?.scores ?? new Float64Array(), 50) ?? { low: 0, high: 0 }
      return high - low
    }
    expect((await width(64)) / (await width(16))).toBeCloseTo(0.5, 1)
  })

  test('methods are compared on the same cases', async () => {
    // The same half of the cases is hard for both: paired, b is behind in one case of 32 only.
    const hard = Array.from({ length: 32 }, (_, i) => i % 2)
    const [a, b] = await draw({
      methods: {
        a: { rates: { reliability: hard } },
        b: { rates: { reliability: hard.map((x, i) => (i === 1 ? 0 : x)) } },
      },
    })
    const gap = (a?.scores ?? new Float64Array()).map((score, i) => score - (b?.scores[i] ?? 0))
    const sd = (values: Float64Array) => Math.sqrt(meanOf(values.map((value) => (value - meanOf(values)) ** 2)))
    expect(sd(gap)).toBeLessThan(0.6 * sd(a?.scores ?? new Float64Array()))
  })

  test('the same seed draws the same, another seed other numbers', async () => {
    const sketch = { methods: { a: { rates: { reliability: [1, 0, 1] } } } }
    const [one, same, other] = [await draw(sketch), await draw(sketch), await draw(sketch, 2)]
    expect(same[0]?.scores).toEqual(one[0]?.scores)
    expect(other[0]?.scores).not.toEqual(one[0]?.scores)
  })

  test("adding a method leaves the others' draws alone", async () => {
    const a = { rates: { reliability: [1, 0, 1, 1] } }
    const [alone] = await draw({ methods: { b: a } })
    const [, among] = await draw({ methods: { a: { rates: { reliability: [0, 0, 0, 1] } }, b: a, c: a } })
    expect(among?.scores).toEqual(alone?.scores)
  })
})

describe('intervalOf', () => {
  test('is the 5 % and 95 % quantile, widened to what was measured', () => {
    const draws = Float64Array.from({ length: 101 }, (_, i) => 100 - i)
    expect(intervalOf(draws, 50)).toEqual({ low: 5, high: 95 })
    expect(intervalOf(draws, 99)).toEqual({ low: 5, high: 99 })
    expect(intervalOf(draws, null)).toBeNull()
  })
})

describe('standings', () => {
  const constant = (value: number) => new Float64Array(DRAWS).fill(value)
  const half = (a: number, b: number) => Float64Array.from({ length: DRAWS }, (_, i) => (i % 2 === 0 ? a : b))

  test('count how often each is best, and near the best', () => {
    const [a, b, c] = standings([half(60, 50), constant(55), constant(20)], 6)
    expect([a?.pBest, b?.pBest, c?.pBest]).toEqual([0.5, 0.5, 0])
    expect([a?.pNearBest, b?.pNearBest, c?.pNearBest]).toEqual([1, 1, 0])
    expect([a, b, c].map((own) => [own?.rankLow, own?.rankHigh])).toEqual([
      [1, 2],
      [1, 2],
      [3, 3],
    ])
  })

  test('share a draw among equals', () => {
    expect(standings([constant(5), constant(5)], 0).map(({ pBest }) => pBest)).toEqual([0.5, 0.5])
  })
})
