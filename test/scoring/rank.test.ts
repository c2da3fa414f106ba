import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { rankMethods } from '../../src/scoring/rank.ts'
import { bestMethod, type RankedMethod, type Ranking } from '../../src/scoring/ranking.ts'
import { type EvidenceSketch, type MethodSketch, makeProfile, sketchEvidence } from '../support/sketch-evidence.ts'

const GAINS = 'weights: {reliability: 50, locality: 50}\nminimums: {}'

async function rank(
  methods: Readonly<Record<string, MethodSketch>>,
  yaml = GAINS,
  rest: Partial<EvidenceSketch> & { seed?: number; reading?: Ranking['reading']; draws?: number } = {},
): Promise<Ranking> {
  const { seed = 1, reading = 'free-running', draws = 1000, ...sketch } = rest
  const profile = await makeProfile(yaml)
  return rankMethods({ profile, evidence: [sketchEvidence({ methods, ...sketch })], seed, reading, draws })
}

/** As many ones as told, then zeros. */
function ones(count: number, of: number): number[] {
  return Array.from({ length: of }, (_, i) => (i < count ? 1 : 0))
}

function find(ranking: Ranking, name: string): RankedMethod {
  const found = ranking.ranking.find(({ method }) => method === name)
  if (found === undefined) throw new Error(`${name} is missing`)
  return found
}

const GOOD: MethodSketch = { rates: { reliability: ones(30, 32), neighbours: ones(31, 32) }, editS: 1, queryS: 0 }
const FAIR: MethodSketch = { rates: { reliability: ones(24, 32), neighbours: ones(22, 32) }, editS: 1, queryS: 0 }
const POOR: MethodSketch = { rates: { reliability: ones(6, 32), neighbours: ones(10, 32) }, editS: 1, queryS: 0 }
const NONE: MethodSketch = {
  family: 'control',
  rates: { reliability: ones(0, 32), neighbours: ones(32, 32) },
  editS: 0,
  queryS: 0,
}

describe('scores', () => {
  test('are the weighted average of the values', async () => {
    const ranking = await rank({ good: GOOD, fair: FAIR }, 'weights: {reliability: 30, locality: 10}\nminimums: {}')
    expect(find(ranking, 'good').score).toBeCloseTo(0.75 * (3000 / 32) + 0.25 * (3100 / 32), 9)
    expect(find(ranking, 'fair').score).toBeCloseTo(0.75 * 75 + 0.25 * (2200 / 32), 9)
    expect(ranking.ranking.map(({ method, rank }) => [method, rank])).toEqual([
      ['good', 1],
      ['fair', 2],
    ])
  })

  test('take out what the unedited model already says', async () => {
    const ranking = await rank({ good: { rates: { reliability: [1, 1, 1, 0] } } }, 'weights: {reliability: 1}', {
      base: { reliability: [1, 1, 0, 0] },
    })
    const { value, raw, base } = find(ranking, 'good').criteria.reliability
    expect([value, raw, base]).toEqual([50, 0.75, 0.5])
  })

  test('project costs to the workload and report their parts', async () => {
    const costly: MethodSketch = {
      rates: { reliability: [1, 1] },
      prepareS: 100,
      editS: [2, 4],
      queryS: 0.01,
      peakBytes: 8 * 2 ** 30,
    }
    const ranking = await rank(
      { costly },
      'weights: {efficiency: 1}\nworkload: {edits: 50, queries: 2000}\nscales: {efficiency: {good: 27 s, bad: 2700 s}}',
    )
    const { cost, criteria } = find(ranking, 'costly')
    expect(cost).toMatchObject({ prepareS: 100, editS: 3, queryS: 0.01, peakBytes: 8 * 2 ** 30 })
    // 100 s + 50 · 3 s + 2000 · 10 ms.
    expect(cost.projectedS).toBeCloseTo(270, 9)
    // Time half way on its scale and memory half way on 1–64 GiB: 50 both, whatever their mix.
    expect(criteria.efficiency.value).toBeCloseTo(50, 9)
    expect(criteria.efficiency.raw).toBeCloseTo(270, 9)
  })

  test('a formula takes the place of the average', async () => {
    const ranking = await rank({ good: GOOD, fair: FAIR }, `${GAINS}\nformula: min(reliability, locality)`)
    expect(find(ranking, 'fair').score).toBeCloseTo(2200 / 32, 9)
    expect(ranking.lead?.parts).toEqual([])
  })

  test('a formula over what nobody measured is refused', async () => {
    await expect(rank({ good: GOOD }, `${GAINS}\nformula: portability`)).rejects.toMatchObject({
      code: 'E_FORMULA',
      exit: 2,
    })
  })

  test('a preference adds its points to a family and to a method, and shows', async () => {
    const plain = await rank({ good: GOOD, fair: { ...FAIR, family: 'memory' } })
    const preferring = await rank(
      { good: GOOD, fair: { ...FAIR, family: 'memory' } },
      `${GAINS}\nprefer: {memory: 40, good: -5}`,
    )
    for (const [name, points] of [
      ['fair', 40],
      ['good', -5],
    ] as const) {
      expect(find(preferring, name).score).toBeCloseTo((find(plain, name).score ?? 0) + points, 9)
      expect(find(preferring, name).preference).toBe(points)
    }
    expect(preferring.lead?.parts).toContainEqual({ of: 'preference', points: 45 })
  })

  test('both readings are scored; the teacher-forced one is called optimistic', async () => {
    const forced = { good: { ...GOOD, teacherForced: { reliability: ones(32, 32), neighbours: ones(32, 32) } } }
    const free = await rank(forced)
    const other = await rank(forced, GAINS, { reading: 'teacher-forced' })
    expect(find(free, 'good').otherReadingScore).toBe(100)
    expect(find(other, 'good').score).toBe(100)
    expect(find(other, 'good').otherReadingScore).toBe(find(free, 'good').score)
    expect(other.notes.join()).toContain('optimistic')
    expect(free.notes.join()).not.toContain('optimistic')
  })
})

describe('what could not be measured', () => {
  test('by nobody is left out, its weight shared, and said', async () => {
    const ranking = await rank({ good: GOOD }, 'weights: {reliability: 30, locality: 10, portability: 60}')
    expect(ranking.weights).toEqual({
      reliability: 0.75,
      generalization: 0,
      locality: 0.25,
      portability: 0,
      efficiency: 0,
    })
    expect(ranking.profile.weights.portability).toBeCloseTo(0.6, 12)
    expect(find(ranking, 'good').criteria.portability).toMatchObject({
      value: null,
      raw: null,
      low: null,
      high: null,
      cases: 0,
    })
    expect(ranking.notes).toContainEqual(
      'portability is left out and its weight shared among the others: no method has an answer that could be judged.',
    )
  })

  test('because the model knows it all is said so', async () => {
    const rates = { reliability: [1, 1], neighbours: [1, 1], alias: [1, 1] }
    const ranking = await rank({ good: { rates } }, 'weights: {reliability: 1, portability: 1}', {
      base: { alias: [1, 1] },
    })
    expect(ranking.notes.join()).toContain(
      'portability is left out and its weight shared among the others: the unedited model',
    )
  })

  test('by one method only rules that one out: it is not compared on less than the others', async () => {
    const partly = { rates: { reliability: ones(32, 32) } }
    const ranking = await rank({ good: GOOD, partly })
    expect(find(ranking, 'partly')).toMatchObject({ rank: null, score: null, ruledOut: ['not measured: locality'] })
    expect(find(ranking, 'good').rank).toBe(1)
  })

  test('without any weight on what was measured is refused', async () => {
    await expect(rank({ good: GOOD }, 'weights: {portability: 1}')).rejects.toMatchObject({
      code: 'E_NOTHING_MEASURED',
      exit: 2,
    })
  })
})

describe('ruling out', () => {
  const limited: [string, string, string, MethodSketch][] = [
    ['memory', 'limits: {memory: 6 GiB}', 'needs 9 GiB, limit 6 GiB', { ...GOOD, peakBytes: 9 * 2 ** 30 }],
    ['preparation', 'limits: {prepare: 2 h}', 'prepares for 3 h, limit 2 h', { ...GOOD, prepareS: 3 * 3600 }],
    ['time of an edit', 'limits: {edit: 2 s}', 'edits for 5 s, limit 2 s', { ...GOOD, editS: 5 }],
    ['time of a query', 'limits: {query: 5 ms}', 'slows a query by 20 ms, limit 5 ms', { ...GOOD, queryS: 0.02 }],
    [
      'weights out of reach',
      'workload: {access: api}',
      'needs the weights of the model, which the workload cannot reach (access: api)',
      GOOD,
    ],
  ]
  test.each(limited)('for %s', async (_, yaml, reason, method) => {
    const ranking = await rank({ good: method, ike: { ...FAIR, family: 'in-context' } }, `${GAINS}\n${yaml}`)
    expect(find(ranking, 'good')).toMatchObject({ rank: null, pBest: null, tie: false, ruledOut: [reason] })
    expect(find(ranking, 'ike')).toMatchObject({ rank: 1, pBest: 1 })
    expect(bestMethod(ranking)?.method).toBe('ike')
  })

  test('for a minimum only where it is clearly missed', async () => {
    const near = { rates: { reliability: ones(14, 32), neighbours: ones(32, 32) } }
    const ranking = await rank(
      { good: GOOD, near, poor: POOR },
      'weights: {reliability: 1}\nminimums: {reliability: 50}',
    )
    // 14 of 32 is below 50, but its interval is not.
    expect(find(ranking, 'near').ruledOut).toBeUndefined()
    expect(find(ranking, 'near').criteria.reliability.high).toBeGreaterThan(50)
    expect(find(ranking, 'poor').ruledOut?.[0]).toMatch(/^reliability 19, at most 3\d on this evidence; minimum 50$/)
  })

  test('for a preparation that failed', async () => {
    const ranking = await rank({ good: GOOD, sick: { prepareFailure: 'the covariance is singular' } })
    expect(find(ranking, 'sick').ruledOut).toEqual(['could not be prepared: the covariance is singular'])
  })

  test('for edits that all failed', async () => {
    const ranking = await rank({ good: GOOD, sick: { failed: Array.from({ length: 32 }, (_, i) => i) } })
    expect(find(ranking, 'sick')).toMatchObject({
      failedCases: 32,
      ruledOut: ['every edit failed: the loss is not finite'],
    })
  })

  test('for not being probed yet', async () => {
    expect(find(await rank({ good: GOOD, late: {} }), 'late').ruledOut).toEqual(['not probed yet'])
  })

  test('can leave nobody: then nothing qualifies, and nothing is lost', async () => {
    const ranking = await rank({ poor: POOR, none: NONE }, 'weights: {reliability: 1}\nminimums: {reliability: 90}')
    expect(bestMethod(ranking)).toBeUndefined()
    expect(find(ranking, 'poor').score).toBeCloseTo(100 * (6 / 32), 9)
  })
})

describe('the control', () => {
  test('is ranked as a yardstick, not ruled out by a minimum', async () => {
    const ranking = await rank({ good: GOOD, fair: FAIR, none: NONE }, 'weights: {reliability: 1, locality: 1}')
    expect(find(ranking, 'none')).toMatchObject({ rank: 3, score: 50 })
  })

  test('as leader is warned about, and is no answer', async () => {
    const ranking = await rank({ fair: FAIR, none: NONE }, 'weights: {locality: 90, reliability: 10}\nminimums: {}')
    expect(find(ranking, 'none').rank).toBe(1)
    expect(bestMethod(ranking)?.method).toBe('fair')
    expect(ranking.notes[0]).toMatch(/^NONE, the control, scores best/)
  })

  test('in the upper half is warned about', async () => {
    const ranking = await rank(
      { a: GOOD, b: FAIR, c: POOR, none: NONE },
      'weights: {locality: 60, reliability: 40}\nminimums: {}',
    )
    expect(find(ranking, 'none').rank).toBe(3)
    expect(ranking.notes.join()).not.toContain('control')
    const local = await rank(
      { a: GOOD, b: FAIR, c: POOR, none: NONE },
      'weights: {locality: 75, reliability: 25}\nminimums: {}',
    )
    expect(find(local, 'none').rank).toBe(2)
    expect(local.notes[0]).toMatch(/^NONE, the control, is in the upper half/)
  })
})

describe('ties', () => {
  test('a close second cannot be told apart, a distant one can', async () => {
    const close = { ...GOOD, rates: { reliability: ones(29, 32), neighbours: ones(31, 32) } }
    const ranking = await rank({ good: GOOD, close, poor: POOR })
    expect(ranking.ranking.map(({ method, tie }) => [method, tie])).toEqual([
      ['good', true],
      ['close', true],
      ['poor', false],
    ])
    expect(find(ranking, 'good').rankHigh).toBe(2)
    expect(ranking.notes.join()).toContain('GOOD, CLOSE cannot be told apart')
  })

  test('a winner by far ties with nobody', async () => {
    const ranking = await rank({ good: GOOD, poor: POOR })
    expect(ranking.ranking.map(({ tie }) => tie)).toEqual([false, false])
    expect(find(ranking, 'good')).toMatchObject({ pBest: 1, rankLow: 1, rankHigh: 1 })
  })

  test('equal scores share a rank, and the next one skips', async () => {
    const ranking = await rank({ b: GOOD, a: GOOD, c: POOR })
    expect(ranking.ranking.map(({ method, rank }) => [method, rank])).toEqual([
      ['a', 1],
      ['b', 1],
      ['c', 3],
    ])
  })
})

describe('notes', () => {
  test('tell failed cases, missing cases, few cases, unknown words', async () => {
    const methods = {
      good: { rates: { reliability: [1, 1, 1], neighbours: [1, 1, 1] }, failed: [2] },
      short: { rates: { reliability: [1], neighbours: [1] } },
    }
    const yaml = `${GAINS}\nprefer: {shrt: 1}\nmix: {locality: {neighbors: 2}}`
    const { notes } = await rank(methods, yaml)
    expect(notes).toContainEqual(expect.stringMatching(/^GOOD: 1 of 3 cases failed \(the loss is not finite\)/))
    expect(notes).toContain('Only 3 cases: take this as a hint, not as a result.')
    expect(notes).toContain('SHORT was measured on 1 of 3 cases.')
    expect(notes).toContain("The profile's prefer names shrt, which is not in this evidence. Did you mean short?")
    expect(notes).toContain(
      "The profile's mix.locality names neighbors, which is not in this evidence. Did you mean neighbours?",
    )
    expect(notes.join()).toContain('The extra time of a query was not measured for')
  })

  test('tell that a workload was not measured as it is', async () => {
    const { notes } = await rank({ good: GOOD }, `${GAINS}\nworkload: {arrival: batch, edits: 100}`)
    expect(notes[0]).toContain('the evidence is of single edits')
  })
})

describe('the document', () => {
  test('survives JSON and holds no NaN', async () => {
    const ranking = await rank({ good: GOOD, partly: { rates: { reliability: [1] } }, none: NONE })
    expect(JSON.parse(JSON.stringify(ranking))).toEqual(ranking)
    expect(ranking).toMatchObject({
      schemaVersion: 1,
      reading: 'free-running',
      seed: 1,
      model: { name: 'tiny', id: 'm1' },
    })
    expect(ranking.runs).toEqual([
      { id: '0123456789abcdef', createdAt: '2026-01-02T03:04:05.678Z', data: 'facts.json', cases: 32 },
    ])
  })

  test('is the same for the same seed', async () => {
    const methods = { good: GOOD, fair: FAIR }
    expect(await rank(methods)).toEqual(await rank(methods))
    expect(find(await rank(methods, GAINS, { seed: 2 }), 'good').scoreLow).not.toBe(
      find(await rank(methods), 'good').scoreLow,
    )
  })
})

describe('properties', () => {
  const CASES = 4
  const answers = fc.array(fc.constantFrom(0, 0.5, 1), { minLength: CASES, maxLength: CASES })
  const method = fc.record({ reliability: answers, neighbours: answers, alias: answers })
  const methods = fc.array(method, { minLength: 3, maxLength: 4 })
  const weights = fc.tuple(
    fc.integer({ min: 1, max: 9 }),
    fc.integer({ min: 1, max: 9 }),
    fc.integer({ min: 1, max: 9 }),
  )
  const runs = { numRuns: 40 }
  const draws = { draws: 50 }

  type Rates = { reliability: number[]; neighbours: number[]; alias: number[] }
  const yamlOf = ([a, b, c]: readonly number[], factor = 1) =>
    `weights: {reliability: ${(a ?? 0) * factor}, locality: ${(b ?? 0) * factor}, portability: ${(c ?? 0) * factor}}\nminimums: {}`
  const named = (all: readonly Rates[]) => Object.fromEntries(all.map((rates, i) => [`m${i}`, { rates, queryS: 0 }]))
  const order = ({ ranking }: Ranking) => ranking.map(({ method, rank, score }) => ({ method, rank, score }))

  test('scaling weights changes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(methods, weights, async (all, w) => {
        const plain = await rank(named(all), yamlOf(w), draws)
        const scaled = await rank(named(all), yamlOf(w, 7), draws)
        expect(scaled.ranking.map(({ method }) => method)).toEqual(plain.ranking.map(({ method }) => method))
        for (const { method, score, pBest } of plain.ranking) {
          expect(find(scaled, method).score).toBeCloseTo(score ?? Number.NaN, 9)
          expect(find(scaled, method).pBest).toBeCloseTo(pBest ?? Number.NaN, 2)
        }
      }),
      runs,
    )
  })

  test('the order of the records does not matter', async () => {
    await fc.assert(
      fc.asyncProperty(methods, weights, async (all, w) => {
        const profile = await makeProfile(yamlOf(w))
        const { run, records } = sketchEvidence({ methods: named(all) })
        const turned = { run: { ...run, methods: run.methods.toReversed() }, records: records.toReversed() }
        const [one, other] = [{ run, records }, turned].map((evidence) =>
          rankMethods({ profile, evidence: [evidence], seed: 1, reading: 'free-running', draws: 50 }),
        )
        expect(other).toEqual(one)
      }),
      runs,
    )
  })

  test('a method that is nowhere better never ranks above one that is nowhere worse', async () => {
    await fc.assert(
      fc.asyncProperty(methods, weights, async (all, w) => {
        const [first] = all
        if (first === undefined) return
        const lower = (values: number[]) => values.map((value) => Math.max(0, value - 0.5))
        const dominated = {
          reliability: lower(first.reliability),
          neighbours: lower(first.neighbours),
          alias: first.alias,
        }
        const ranking = await rank({ ...named(all), dominated: { rates: dominated, queryS: 0 } }, yamlOf(w), draws)
        expect(find(ranking, 'dominated').rank ?? 0).toBeGreaterThanOrEqual(find(ranking, 'm0').rank ?? 0)
      }),
      runs,
    )
  })

  test('a better answer never lowers a method', async () => {
    await fc.assert(
      fc.asyncProperty(methods, weights, fc.nat(CASES - 1), async (all, w, i) => {
        const [first, ...rest] = all
        if (first === undefined) return
        const raised = { ...first, alias: first.alias.map((value, k) => (k === i ? 1 : value)) }
        const before = find(await rank(named(all), yamlOf(w), draws), 'm0')
        const after = find(await rank(named([raised, ...rest]), yamlOf(w), draws), 'm0')
        expect(after.score ?? 0).toBeGreaterThanOrEqual((before.score ?? 0) - 1e-9)
        expect(after.rank ?? 0).toBeLessThanOrEqual(before.rank ?? 0)
      }),
      runs,
    )
  })

  test('adding a method keeps the order of the rest, their scores and their intervals', async () => {
    await fc.assert(
      fc.asyncProperty(methods, weights, async (all, w) => {
        const few = await rank(named(all.slice(0, -1)), yamlOf(w), draws)
        const many = await rank(named(all), yamlOf(w), draws)
        const added = `m${all.length - 1}`
        expect(
          order(many)
            .filter(({ method }) => method !== added)
            .map(({ method, score }) => [method, score]),
        ).toEqual(order(few).map(({ method, score }) => [method, score]))
        for (const { method, scoreLow, scoreHigh } of few.ranking) {
          expect([find(many, method).scoreLow, find(many, method).scoreHigh]).toEqual([scoreLow, scoreHigh])
        }
      }),
      runs,
    )
  })
})
