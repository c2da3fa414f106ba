import fc from 'fast-check'
import { errorFunction } from 'simple-statistics'
import { describe, expect, test } from 'vitest'
import { createRandom, type Random } from '../../src/tensor/random.ts'

const DRAWS = 20_000
// Kolmogorov's distance of n draws exceeds 1.95/√n in one of a thousand samples; the seed is fixed, so this never flickers.
const KS_LIMIT = 1.95 / Math.sqrt(DRAWS)

const normalCdf = (x: number) => (1 + errorFunction(x / Math.SQRT2)) / 2

/** Largest distance between the empirical distribution and `cdf`. */
function kolmogorovDistance(values: readonly number[], cdf: (x: number) => number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const n = sorted.length
  return Math.max(...sorted.map((x, i) => Math.max(cdf(x) - i / n, (i + 1) / n - cdf(x))))
}

// SHA-256, xoroshiro128+, Box–Muller and Marsaglia–Tsang written again in Python give all of these but the shuffle.
const GOLDEN = {
  uniform: [0.9745165706582777, 0.018212412791771215],
  integer: 320,
  normal: -0.4229317558639478,
  gamma: 0.5983696625849325,
  shuffle: [3, 1, 5, 4, 2],
}

const draw = (make: (random: Random) => number) => {
  const random = createRandom(7).stream('distribution test')
  return Array.from({ length: DRAWS }, () => make(random))
}

describe('distributions', () => {
  test.each<[string, (random: Random) => number, (x: number) => number]>([
    ['uniform', (random) => random.uniform(), (x) => x],
    ['normal', (random) => random.normal(), normalCdf],
    // A gamma of shape ½ is half a squared normal; 1 is exponential; 2 and 3 are sums of exponentials.
    ['gamma(½)', (random) => random.gamma(0.5), (x) => 2 * normalCdf(Math.sqrt(2 * x)) - 1],
    ['gamma(1)', (random) => random.gamma(1), (x) => 1 - Math.exp(-x)],
    ['gamma(2)', (random) => random.gamma(2), (x) => 1 - Math.exp(-x) * (1 + x)],
    ['gamma(3)', (random) => random.gamma(3), (x) => 1 - Math.exp(-x) * (1 + x + (x * x) / 2)],
  ])('%s follows its distribution function', (_name, make, cdf) => {
    expect(kolmogorovDistance(draw(make), cdf)).toBeLessThan(KS_LIMIT)
  })

  test.each([0.1, 0.5, 1, 2.5, 40])('gamma(%f) has mean and variance equal to its shape', (shape) => {
    const values = draw((random) => random.gamma(shape))
    const mean = values.reduce((sum, x) => sum + x, 0) / DRAWS
    const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / DRAWS
    // Four standard errors: Var(mean) = a/n, Var(s²) ≈ (μ₄ − σ⁴)/n with μ₄ = 3a² + 6a.
    expect(Math.abs(mean - shape)).toBeLessThan(4 * Math.sqrt(shape / DRAWS))
    expect(Math.abs(variance - shape)).toBeLessThan(4 * Math.sqrt((2 * shape ** 2 + 6 * shape) / DRAWS))
  })

  test('integer hits every value about equally often', () => {
    const counts = new Array<number>(7).fill(0)
    for (const value of draw((random) => random.integer(7))) counts[value] = (counts[value] ?? 0) + 1
    const expected = DRAWS / 7
    const chiSquared = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    expect(chiSquared).toBeLessThan(22.46) // 99.9 % point for 6 degrees of freedom
  })

  test('shuffle reaches every order about equally often', () => {
    const random = createRandom(7).stream('shuffle test')
    const counts = new Map<string, number>()
    for (let i = 0; i < DRAWS; i++) {
      const order = random.shuffle(['a', 'b', 'c']).join('')
      counts.set(order, (counts.get(order) ?? 0) + 1)
    }
    expect(counts.size).toBe(6)
    const expected = DRAWS / 6
    const chiSquared = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    expect(chiSquared).toBeLessThan(20.52) // 99.9 % point for 5 degrees of freedom
  })
})

describe('streams', () => {
  test('golden: seed 1, stream "a"', () => {
    const random = createRandom(1).stream('a')
    expect([random.uniform(), random.uniform()]).toEqual(GOLDEN.uniform)
    expect(random.integer(1000)).toBe(GOLDEN.integer)
    expect(random.normal()).toBeCloseTo(GOLDEN.normal, 12)
    expect(random.gamma(0.5)).toBeCloseTo(GOLDEN.gamma, 12)
    expect(random.shuffle([1, 2, 3, 4, 5])).toEqual(GOLDEN.shuffle)
  })

  test('a stream does not depend on what was drawn before', () => {
    const fresh = createRandom(3).stream('x').uniform()
    const used = createRandom(3)
    used.uniform()
    used.stream('y').normal()
    expect(used.stream('x').uniform()).toBe(fresh)
  })

  test('seed, name and nesting each make another stream', () => {
    const paths = [
      createRandom(1),
      createRandom(2),
      createRandom(1).stream('a'),
      createRandom(1).stream('b'),
      createRandom(1).stream('a').stream('b'),
      createRandom(1).stream('a","b'),
    ]
    expect(new Set(paths.map((random) => random.uniform())).size).toBe(paths.length)
  })

  test('a number and its text are the same seed', () => {
    expect(createRandom('12').uniform()).toBe(createRandom(12).uniform())
  })
})

describe('properties', () => {
  test('integer stays in range and shuffle keeps the items', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1 }), fc.array(fc.integer()), (seed, below, items) => {
        const random = createRandom(seed)
        const value = random.integer(below)
        const before = [...items]
        const shuffled = random.shuffle(items)
        expect(Number.isInteger(value) && value >= 0 && value < below).toBe(true)
        expect([...shuffled].sort()).toEqual([...items].sort())
        expect(items).toEqual(before)
      }),
    )
  })

  test.each([0, -1, 1.5, Number.NaN])('refuses integer(%f)', (below) => {
    expect(() => createRandom(1).integer(below)).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }))
  })

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('refuses gamma(%f)', (shape) => {
    expect(() => createRandom(1).gamma(shape)).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }))
  })
})
