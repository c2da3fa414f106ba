import { describe, expect, test } from 'vitest'
import type { JournalRecord } from '../../src/evidence/record.ts'
import { buildMatrix, type CaseNumbers, type MatrixOptions } from '../../src/scoring/matrix.ts'
import { countEqually, weightedMeans } from '../../src/scoring/measure.ts'
import { type EvidenceSketch, sketchEvidence } from '../support/sketch-evidence.ts'

const WORKLOAD = { edits: 1, arrival: 'single', relatedKnowledge: 'medium', queries: 0, access: 'weights' } as const
const FREE: MatrixOptions = { reading: 'free-running', profile: { mix: {}, workload: WORKLOAD } }

function build(sketch: EvidenceSketch, options: Partial<MatrixOptions['profile']> = {}, reading = FREE.reading) {
  return buildMatrix([sketchEvidence(sketch)], { reading, profile: { ...FREE.profile, ...options } })
}

function means(numbers: CaseNumbers | undefined) {
  if (numbers === undefined) throw new Error('no such method')
  return weightedMeans(numbers, countEqually(numbers.size.length).cases)
}

describe('rates by case', () => {
  test('average the prompts of a case, then the cases: the case is the unit', () => {
    const { cases, methods } = build({ methods: { a: { rates: { generalization: [[1, 1, 1, 1], [0]] } } } })
    expect(cases).toHaveLength(2)
    // Four prompts to one, and yet one half.
    expect(means(methods[0]?.rates.generalization).value).toBe(0.5)
  })

  test('leave out what cannot be judged', () => {
    const { methods } = build({ methods: { a: { rates: { 'one-hop': [[1, null], [null, null], [0]] } } } })
    const numbers = methods[0]?.rates.portability
    expect(numbers?.count).toBe(2)
    expect([...(numbers?.size ?? [])]).toEqual([1, 0, 1])
    expect(means(numbers).value).toBe(0.5)
  })

  test('mix probes by their weights over all cases, however unevenly they are spread', () => {
    // Alias in three cases with mean 2/3, one-hop in one case with 0: (1·2/3 + 2·0) / 3.
    const rates = { alias: [1, 0, 1], 'one-hop': [null, 0, null] }
    const { methods } = build({ methods: { a: { rates } } }, { mix: { portability: { oneHop: 2 } } })
    const numbers = methods[0]?.rates.portability
    expect(means(numbers).value).toBeCloseTo(2 / 9, 12)
    // Sizes average 1 over the cases that have a number; the case with both probes weighs most.
    const sizes = [...(numbers?.size ?? [])]
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeCloseTo(3, 12)
    expect(sizes.map((size) => size.toFixed(4))).toEqual(['0.3333', '2.3333', '0.3333'])
  })

  test('a probe with weight 0 has no say', () => {
    const rates = { neighbours: [1, 1], 'other-relations': [0, 0] }
    const { methods } = build({ methods: { a: { rates } } }, { mix: { locality: { otherRelations: 0 } } })
    expect(means(methods[0]?.rates.locality).value).toBe(1)
  })

  test('keep the unedited model beside the edited one, on the same prompts', () => {
    const { methods } = build({
      methods: { a: { rates: { reliability: [1, 1, 0, null] } } },
      base: { reliability: [1, 0, 0, 1] },
    })
    expect(means(methods[0]?.rates.reliability)).toEqual({ value: 2 / 3, base: 1 / 3 })
  })

  test('take the reading that is asked for', () => {
    const sketch = { methods: { a: { rates: { reliability: [0, 0] }, teacherForced: { reliability: [0.5, 1] } } } }
    expect(means(build(sketch).methods[0]?.rates.reliability).value).toBe(0)
    expect(means(build(sketch, {}, 'teacher-forced').methods[0]?.rates.reliability).value).toBe(0.75)
  })

  test.each([Number.NaN, -0.1, 1.1, Number.POSITIVE_INFINITY])('refuse the rate %d', (value) => {
    expect(() => build({ methods: { a: { rates: { reliability: [value] } } } })).toThrow(
      expect.objectContaining({ code: 'E_RECORD', message: expect.stringContaining('a, f000, reliability 0') }),
    )
  })
})

describe('failed edits', () => {
  const sketch = {
    methods: {
      a: { rates: { reliability: [1, 1], neighbours: [1, 1] }, failed: [1] },
      b: { rates: { reliability: [1, 1], neighbours: [1, 1] } },
    },
    base: { reliability: [0, 0.5] },
  }

  test('count as 0 for what was to be gained, against the same unedited rate', () => {
    const rates = build(sketch).methods[0]?.rates.reliability
    expect(means(rates)).toEqual({ value: 0.5, base: 0.25 })
    expect(rates?.count).toBe(2)
  })

  test('say nothing about locality', () => {
    const rates = build(sketch).methods[0]?.rates.locality
    expect(rates?.count).toBe(1)
    expect(means(rates).value).toBe(1)
  })

  test('are counted by reason', () => {
    expect([...(build(sketch).methods[0]?.failures ?? [])]).toEqual([['the loss is not finite', 1]])
  })

  test('are forgotten once a later run did better', () => {
    const later = sketchEvidence({
      methods: { a: { rates: { reliability: [1, 1] } } },
      run: { id: 'later', createdAt: '2026-02-01T00:00:00.000Z' },
    })
    const [method] = buildMatrix([later, sketchEvidence(sketch)], FREE).methods
    expect(method?.failures.size).toBe(0)
    expect(means(method?.rates.reliability).value).toBe(1)
  })
})

describe('costs', () => {
  test('are kept by case, the peak and the preparation once', () => {
    const { methods } = build({
      methods: { a: { rates: { reliability: [1, 1] }, editS: [2, 4], queryS: -0.5, prepareS: 60, peakBytes: 7 } },
    })
    expect([...(methods[0]?.edit.value ?? [])]).toEqual([2, 4])
    expect([...(methods[0]?.query.value ?? [])]).toEqual([-0.5, -0.5])
    expect(methods[0]).toMatchObject({ prepareS: 60, peakBytes: 7 })
  })

  test('come from the latest run only: times of two machines are never mixed', () => {
    const make = (editS: number, id: string, createdAt: string) =>
      sketchEvidence({ methods: { a: { rates: { reliability: [1] }, editS } }, run: { id, createdAt } })
    const runs = [make(9, 'new', '2026-03-01T00:00:00.000Z'), make(5, 'old', '2026-02-01T00:00:00.000Z')]
    expect([...(buildMatrix(runs, FREE).methods[0]?.edit.value ?? [])]).toEqual([9])
  })

  test.each([
    ['edit', -1],
    ['edit', Number.NaN],
    ['query', Number.POSITIVE_INFINITY],
  ] as const)('refuse %s of %d s', (cost, value) => {
    const { run, records } = sketchEvidence({ methods: { a: { rates: { reliability: [1] } } } })
    const wrong: JournalRecord = { kind: 'cost', method: 'a', regime: 'single', factId: 'f000', cost, value, unit: 's' }
    expect(() => buildMatrix([{ run, records: [...records, wrong] }], FREE)).toThrow(
      expect.objectContaining({ code: 'E_RECORD' }),
    )
  })
})

describe('runs', () => {
  test('of different models are refused', () => {
    const one = sketchEvidence({ methods: { a: { rates: { reliability: [1] } } } })
    const other = { ...one, run: { ...one.run, model: { ...one.run.model, id: 'm2' } } }
    expect(() => buildMatrix([one, other], FREE)).toThrow(expect.objectContaining({ code: 'E_MIXED_MODELS', exit: 2 }))
  })

  test('without a case are refused', () => {
    expect(() => build({ methods: { a: {} } })).toThrow(expect.objectContaining({ code: 'E_NO_EVIDENCE', exit: 66 }))
    expect(() => buildMatrix([], FREE)).toThrow(expect.objectContaining({ code: 'E_NO_EVIDENCE' }))
  })

  test('on different data keep their cases apart', () => {
    const one = sketchEvidence({ methods: { a: { rates: { reliability: [1] } } } })
    const other = { ...one, run: { ...one.run, id: 'x', data: { ...one.run.data, hash: 'd2' } } }
    expect(buildMatrix([one, other], FREE).cases).toHaveLength(2)
  })
})
