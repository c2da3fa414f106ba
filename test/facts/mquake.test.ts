import { expect, test } from 'vitest'
import { parseFacts } from '../../src/facts/index.ts'

/** Of MQuAKE-CF-3k, shortened. */
const REWRITE = {
  prompt: '{} was created in the country of',
  relation_id: 'P495',
  target_new: { str: 'Italy', id: 'Q38' },
  target_true: { str: 'India', id: 'Q668' },
  subject: 'Ambedkar Jayanti',
  question: 'Which country was Ambedkar Jayanti created in?',
}
const RECORD = {
  case_id: 7,
  requested_rewrite: [REWRITE],
  questions: ['What is the capital of the country of Ambedkar Jayanti?', 'Ambedkar Jayanti: which capital?'],
  answer: 'New Delhi',
  answer_alias: ['Delhi'],
  new_answer: 'Rome',
  new_answer_alias: ['Roma'],
  new_single_hops: [
    { question: REWRITE.question, cloze: 'x', answer: 'Italy', answer_alias: [] },
    { question: 'What is the capital of Italy?', cloze: 'y', answer: 'Rome', answer_alias: ['Roma'] },
  ],
}
const read = (...records: object[]) => parseFacts(JSON.stringify(records), 'f')

test('maps a case of one edit: its questions are hops, the other link is the second fact', () => {
  const { format, facts } = read(RECORD)
  expect(format.name).toBe('mquake')
  const secondFact = { prompt: 'What is the capital of Italy?', targets: ['Rome', 'Roma'] }
  expect(facts).toEqual([
    {
      id: '7-1',
      subject: 'Ambedkar Jayanti',
      prompt: 'Ambedkar Jayanti was created in the country of',
      subjectSpan: [0, 16],
      targetNew: 'Italy',
      targetOld: 'India',
      tests: {
        paraphrases: [REWRITE.question],
        neighbours: [],
        otherRelations: [],
        aliases: [],
        reversed: [],
        oneHop: RECORD.questions.map((prompt) => ({
          prompt,
          targets: ['Rome', 'Roma'],
          targetsOld: ['New Delhi', 'Delhi'],
          secondFact,
        })),
      },
    },
  ])
})

test('makes each edit of a case a fact of its own, without the questions that need them all', () => {
  const second = {
    ...REWRITE,
    prompt: 'The capital of {} is',
    subject: 'Italy',
    target_new: { str: 'Osaka' },
    target_true: { str: 'Rome' },
  }
  const { records, facts } = read({ ...RECORD, requested_rewrite: [REWRITE, second] })
  expect(records).toBe(1)
  expect(facts.map(({ id, prompt, tests }) => [id, prompt, tests.oneHop])).toEqual([
    ['7-1', 'Ambedkar Jayanti was created in the country of', []],
    ['7-2', 'The capital of Italy is', []],
  ])
})

test('names no second fact where the chain has more links, and asks nothing where the new answer is missing', () => {
  const [first, last] = RECORD.new_single_hops
  const longer = read({ ...RECORD, new_single_hops: [first, { question: 'And?', answer: 'Italy' }, last] })
  expect(longer.facts[0]?.tests.oneHop.map(({ secondFact }) => secondFact)).toEqual([undefined, undefined])
  const { new_answer: _, ...without } = RECORD
  expect(read(without).facts[0]?.tests.oneHop).toEqual([])
})

test('takes an edit that several cases share once', () => {
  const { facts, notes } = read(RECORD, { ...RECORD, case_id: 8 })
  expect(facts.map(({ id }) => id)).toEqual(['7-1'])
  expect(notes.map(({ rule, count }) => [rule, count])).toEqual([['sameEdit', 1]])
})

test.each([
  [
    { requested_rewrite: [{ ...REWRITE, target_new: 'Italy' }] },
    '"requested_rewrite.0.target_new" to be an object with str',
  ],
  [{ requested_rewrite: [REWRITE], questions: 'What?' }, '"questions" to be a list of texts'],
  [{ requested_rewrite: [3] }, '"requested_rewrite.0" to be'],
])('refuses %j', (record, message) => {
  expect(() => read(record)).toThrow(message)
})
