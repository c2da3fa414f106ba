import { describe, expect, test } from 'vitest'
import type { JournalRecord, ProbeRecord } from '../../src/evidence/record.ts'
import { chooseSites, measureSites } from '../../src/scoring/choose-sites.ts'
import { makePreparation, makeProbeRecord, makeRunInfo } from '../support/records.ts'

type Values = readonly (number | null)[]

/** A run of one candidate: the values of each case's reliability, two paraphrases and neighbour. */
function runOf(cases: Readonly<Record<string, { r: Values; g: Values; l: Values }>>) {
  const records = Object.entries(cases).flatMap(([factId, { r, g, l }]): JournalRecord[] => {
    const probe = (criterion: ProbeRecord['criterion'], name: string, values: Values) =>
      values.map((value, item) => {
        const judged = { value, teacherForced: value === null ? null : 1, ...(value === null ? { reason: 'no' } : {}) }
        return makeProbeRecord({ factId, probe: name, criterion, item, ...judged })
      })
    return [
      ...probe('reliability', 'reliability', r),
      ...probe('generalization', 'generalization', g),
      ...probe('locality', 'neighbours', l),
      { method: 'stub', regime: 'single', factId, kind: 'cost', cost: 'edit', value: 2, unit: 's' },
      { method: 'stub', regime: 'single', factId, kind: 'case', report: {}, wallS: 3 },
    ]
  })
  return { run: makeRunInfo(), records: [...makePreparation('stub'), ...records] }
}

const failure = (factId: string | null) =>
  ({ method: 'stub', regime: 'single', kind: 'failure', factId, stage: 'edit', code: 'E_X', message: 'no' }) as const

describe('a candidate in numbers', () => {
  test('is the harmonic mean of three rates, each the mean over cases', () => {
    const [one] = measureSites([runOf({ f1: { r: [1], g: [1, 0], l: [1] }, f2: { r: [1], g: [1, 1], l: [0] } })])
    // 1; (0.5 + 1) / 2 = 0.75; 0.5: 3 / (1 + 4/3 + 2) = 9/13
    expect(one).toMatchObject({ cases: 2, failures: 0, rates: { reliability: 1, generalization: 0.75, locality: 0.5 } })
    expect(one?.mean).toBeCloseTo(9 / 13, 12)
    expect(one?.teacherForced).toEqual({ reliability: 1, generalization: 1, locality: 1 })
    expect(one?.editS).toBe(2)
  })

  test('is 0 where one rate is 0', () => {
    expect(measureSites([runOf({ f1: { r: [1], g: [0], l: [1] } })])[0]?.mean).toBe(0)
  })

  test('is of the rates that the facts can judge', () => {
    const [one] = measureSites([runOf({ f1: { r: [1], g: [], l: [null] }, f2: { r: [0], g: [], l: [null] } })])
    expect(one).toMatchObject({ rates: { reliability: 0.5, generalization: null, locality: null }, mean: 0.5 })
  })

  test('counts a case that failed as 0 for what the edit was to gain', () => {
    const good = runOf({ f1: { r: [1], g: [1], l: [1] }, f2: { r: [1], g: [1], l: [1] } })
    const half = runOf({ f1: { r: [1], g: [1], l: [1] } })
    const end = { method: 'stub', regime: 'single', factId: 'f2', kind: 'case', report: {}, wallS: 1 } as const
    const [, one] = measureSites([good, { ...half, records: [...half.records, failure('f2'), end] }])
    expect(one).toMatchObject({ cases: 2, failures: 1, reason: 'no', rates: { reliability: 0.5, locality: 1 } })
    // 3 / (2 + 2 + 1)
    expect(one?.mean).toBeCloseTo(0.6, 12)
  })

  test('that could not be prepared has none, and takes nothing from the others', () => {
    const good = runOf({ f1: { r: [1], g: [1], l: [1] } })
    const [one, two] = measureSites([{ run: makeRunInfo(), records: [failure(null)] }, good])
    expect(one).toMatchObject({ mean: null, cases: 0, failures: 1, editS: null })
    expect(two?.mean).toBe(1)
  })
})

test.each([
  ['the largest mean', [0.5, 0.7, 0.6], [0, 2, -2], 1],
  ['of equal ones the published', [0.7, 0.7, 0.7], [-2, 0, 2], 1],
  ['of equal ones the nearest', [0.1, 0.7, 0.7], [0, 4, -2], 2],
  ['of two as near the lower', [0.1, 0.7, 0.7], [0, 2, -2], 2],
  ['sums in another order are equal', [0.1 + 0.2, 0.3], [0, 2], 0],
  ['the published where nothing works', [0, 0], [2, 0], 1],
  ['none that could not be prepared', [null, 0, null], [0, 2, -2], 1],
] as const)('takes %s', (_, means, offsets, place) => {
  expect(chooseSites(means.map((mean, i) => ({ mean, offset: offsets[i] ?? Number.NaN })))).toBe(place)
})

test('takes none where none could be prepared', () => {
  expect(chooseSites([{ mean: null, offset: 0 }])).toBeUndefined()
})
