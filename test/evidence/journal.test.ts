import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeRecords, endsGroup, parseJournal } from '../../src/evidence/journal.ts'
import type { JournalRecord } from '../../src/evidence/record.ts'
import { makeCase, makePreparation, makeProbeRecord, makeReading } from '../support/records.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const read = (text: string) => parseJournal(bytesOf(text), 'journal.jsonl')

const FIRST = [...makePreparation('stub'), ...makeCase('stub', 'f1')]
const LAST = makeCase('stub', 'f2')

test('records survive the way to text and back', () => {
  const records: JournalRecord[] = [
    ...FIRST,
    makeProbeRecord({
      factId: 'é\u0000\u2028"\\',
      value: null,
      teacherForced: null,
      reason: 'unknown',
      prompt: '\ud800',
      edited: { ...makeReading('a'), loopFailed: true },
    }),
    {
      kind: 'failure',
      method: 'stub',
      regime: 'single',
      factId: 'é\u0000\u2028"\\',
      stage: 'edit',
      code: 'E_X',
      message: 'm',
    },
    { kind: 'case', method: 'stub', regime: 'single', factId: 'é\u0000\u2028"\\', report: {}, wallS: 0 },
    { kind: 'failure', method: 'other', regime: 'single', factId: null, stage: 'prepare', code: 'E_X', message: 'm' },
  ]
  const text = encodeRecords(records)
  expect(text.split('\n')).toHaveLength(records.length + 1)
  expect(read(text)).toEqual({ records, completeBytes: bytesOf(text).length, leftOverBytes: 0 })
})

test('an empty journal has no records', () => {
  expect(read('')).toEqual({ records: [], completeBytes: 0, leftOverBytes: 0 })
})

test('cut at any byte of the last case, the case is left out whole and the rest kept', () => {
  const kept = bytesOf(encodeRecords(FIRST))
  const whole = bytesOf(encodeRecords([...FIRST, ...LAST]))
  for (let length = kept.length; length < whole.length; length++) {
    expect(parseJournal(whole.subarray(0, length), 'j')).toEqual({
      records: FIRST,
      completeBytes: kept.length,
      leftOverBytes: length - kept.length,
    })
  }
  expect(parseJournal(whole, 'j').records).toEqual([...FIRST, ...LAST])
})

test('whatever follows the last complete case is left out', () => {
  const kept = encodeRecords(FIRST)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
      const journal = parseJournal(new Uint8Array([...bytesOf(kept), ...noise]), 'j')
      expect(journal.records).toEqual(FIRST)
      expect(journal.leftOverBytes).toBe(noise.length)
    }),
  )
})

const LINES = encodeRecords([...FIRST, ...LAST]).split('\n')
const withLine = (at: number, line: string) => LINES.map((old, index) => (index === at ? line : old)).join('\n')
const changed = (at: number, changes: object) =>
  withLine(at, JSON.stringify({ ...JSON.parse(LINES[at] ?? ''), ...changes }))

describe('damage before the last complete case is an error with file and line', () => {
  test.each([
    ['not JSON', withLine(2, '{"kind":"probe"'), 3, 'expected one JSON object a line'],
    ['zeros', withLine(2, '\u0000\u0000\u0000'), 3, 'expected one JSON object a line'],
    ['another kind', withLine(2, '{"kind":"note"}'), 3, 'expected a record of kind'],
    ['no object', withLine(2, '7'), 3, 'expected a record of kind'],
    ['a rate above 1', changed(2, { value: 1.5 }), 3, 'value'],
    ['a missing reason', changed(2, { value: null, teacherForced: null }), 3, 'needs a reason'],
    ['half a null', changed(2, { value: null, reason: 'x' }), 3, 'null together'],
    ['lists of two lengths', changed(2, { base: { ...makeReading(''), argmax: [1] } }), 3, 'the same length'],
    ['a negative cost', changed(3, { value: -1 }), 4, 'value'],
    ['a number in quotes', changed(4, { wallS: '2' }), 5, 'wallS'],
    ['another case in between', changed(3, { factId: 'f9' }), 4, 'inside those of another case'],
    ['a case twice', withLine(7, LINES[4] ?? ''), 8, 'there already: case of stub on fact f1'],
  ])('%s', (_, text, line, problem) => {
    expect(() => read(text)).toThrowError(
      expect.objectContaining({
        code: 'E_JOURNAL',
        exit: 2,
        message: expect.stringMatching(`^journal\\.jsonl:${line}: .*${problem}`),
      }),
    )
  })
})

test('damage in what was being written is left out', () => {
  expect(read(withLine(7, '{"kind":"case"')).records).toEqual(FIRST)
})

describe('what has no place in a file is refused', () => {
  test.each<[string, JournalRecord]>([
    ['NaN', { kind: 'case', method: 'm', regime: 'single', factId: 'f', report: { p: Number.NaN }, wallS: 1 }],
    [
      'infinity',
      { kind: 'cost', method: 'm', regime: 'single', factId: 'f', cost: 'edit', value: Infinity, unit: 's' },
    ],
    [
      'a log-probability of minus infinity',
      makeProbeRecord({ edited: { ...makeReading(''), logProbs: [0, -Infinity] } }),
    ],
  ])('%s', (_, record) => {
    expect(() => encodeRecords([record])).toThrowError(expect.objectContaining({ code: 'E_INTERNAL' }))
  })
})

test('a group ends with a case, a preparation or the failure of a lane', () => {
  expect(FIRST.map(endsGroup)).toEqual([false, true, false, false, true])
  const failure = { kind: 'failure', method: 'm', regime: 'single', stage: 'edit', code: 'E', message: '' } as const
  expect(endsGroup({ ...failure, factId: null })).toBe(true)
  expect(endsGroup({ ...failure, factId: 'f' })).toBe(false)
})
