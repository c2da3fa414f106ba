import { expect, test } from 'vitest'
import { parseFacts } from '../../src/facts/index.ts'

const LEAST = { subject: 'France', prompt: 'The capital of {} is', targetNew: 'Osaka' }
const read = (...records: object[]) => parseFacts(JSON.stringify(records), 'mine.json')

test('takes the least there can be', () => {
  const { format, facts } = read(LEAST)
  expect(format.name).toBe('whichedit')
  expect(facts[0]).toMatchObject({ prompt: 'The capital of France is', subjectSpan: [15, 21], targetNew: 'Osaka' })
})

test('reads facts as they were written: what was read once is read again unchanged', () => {
  const { facts } = read({
    id: 'fr',
    ...LEAST,
    targetOld: 'Paris',
    tests: {
      paraphrases: ['The capital city of {} is'],
      neighbours: [{ prompt: 'The capital of Italy is', targets: 'Rome' }],
      otherRelations: [{ prompt: 'The currency of {} is the', targets: ['euro', 'Euro'] }],
      aliases: [{ prompt: 'The capital of the French Republic is', targets: ['Osaka'] }],
      reversed: [{ prompt: 'Osaka is the national capital of', targets: ['France'] }],
      oneHop: [
        {
          prompt: 'The capital of {} lies in',
          targets: ['Asia'],
          secondFact: { prompt: 'Osaka lies in', targets: ['Asia'] },
        },
      ],
    },
  })
  expect(facts[0]).toMatchObject({
    id: 'fr',
    targetOld: 'Paris',
    tests: {
      paraphrases: ['The capital city of France is'],
      neighbours: [{ targets: ['Rome'] }],
      oneHop: [{ prompt: 'The capital of France lies in', secondFact: { prompt: 'Osaka lies in', targets: ['Asia'] } }],
    },
  })
  expect(read(...facts).facts).toEqual(facts)
})

test.each<[string, object, string]>([
  ['a prompt without its subject', { prompt: 'The capital is' }, 'expected the subject "France" in the prompt'],
  ['an empty new target', { targetNew: '' }, 'expected a new target that is not empty, found ""'],
  ['an edit that changes nothing', { targetOld: 'Osaka' }, 'expected a new target that differs from the old answer'],
  [
    'a test without an answer',
    { tests: { aliases: [{ prompt: 'x', targets: [] }] } },
    'expected a test prompt with at least',
  ],
  [
    'a paraphrase that is the prompt',
    { tests: { paraphrases: ['The capital of {} is'] } },
    "not the edit's own prompt",
  ],
  [
    'a field of another format',
    { target_new: 'Nice' },
    'expected the record to have only fields of its format, found the field "target_new"',
  ],
  [
    'a mistyped kind of test',
    { tests: { alias: [] } },
    'expected "tests" to have only fields of its format, found the field "alias"',
  ],
  ['a target that is a number', { targetNew: 5 }, 'expected "targetNew" to be a text, found 5'],
  ['a span of one', { subjectSpan: [15] }, 'expected "subjectSpan" to be two offsets'],
  ['a negative span', { subjectSpan: [-6, 21] }, 'expected "subjectSpan.0" to be not negative, found -6'],
])('refuses %s, naming the record', (_, changes, message) => {
  expect(() => read(LEAST, { ...LEAST, ...changes })).toThrow(message)
  expect(() => read(LEAST, { ...LEAST, ...changes })).toThrow('mine.json, record 2 (line 1): ')
})

test('tells what is missing of a record that has subject and prompt only', () => {
  expect(() => read({ subject: 'France', prompt: 'The capital of France is', target: 'Osaka' })).toThrow(
    'expected "targetNew" to be a text, found nothing',
  )
})

test('refuses an id that another edit has, and takes an edit that was written twice once', () => {
  expect(() => read({ id: 1, ...LEAST }, { id: '1', ...LEAST, targetNew: 'Nice' })).toThrow(
    'record 2 (line 1): expected an id of its own, found "1" again',
  )
  const { facts, notes } = read(LEAST, LEAST)
  expect(facts).toHaveLength(1)
  expect(notes).toMatchObject([{ rule: 'sameEdit', records: [2] }])
})

test('keys of the prototype are fields like any other', () => {
  expect(() => parseFacts('{"subject":"a","prompt":"a is","targetNew":"b","__proto__":{"id":"x"}}', 'f')).toThrow(
    'found the field "__proto__"',
  )
  expect(() => parseFacts('{"constructor":1,"toString":2}', 'f')).toThrow(
    expect.objectContaining({ code: 'E_FACTS_FORMAT' }),
  )
})

test('keeps what is not reviewed yet, and the answers of a hop before the edit', () => {
  const hop = { prompt: 'The mayor of the capital of {} is', targets: 'Eve', targetsOld: ['Adam', ' Adam'] }
  const record = { subject: 'France', prompt: '{} has', targetNew: 'b', tests: { oneHop: [hop] }, review: ['oneHop'] }
  const [fact] = parseFacts(JSON.stringify(record), 'f').facts
  expect(fact?.review).toEqual(['oneHop'])
  expect(fact?.tests.oneHop[0]).toEqual({
    prompt: 'The mayor of the capital of France is',
    targets: ['Eve'],
    targetsOld: ['Adam'],
  })
  const again = parseFacts(JSON.stringify(fact), 'f').facts
  expect(again).toEqual([fact])
  expect(parseFacts(JSON.stringify({ ...record, review: [] }), 'f').facts[0]).not.toHaveProperty('review')
  expect(() => parseFacts(JSON.stringify({ ...record, review: ['hops'] }), 'f')).toThrow(
    '"review.0" to be the name of a kind of tests, found "hops"',
  )
})
