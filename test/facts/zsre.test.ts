import { expect, test } from 'vitest'
import { parseFacts } from '../../src/facts/index.ts'

const RECORD = {
  subject: 'UniFirst',
  src: 'What is the product made by UniFirst?',
  pred: 'uniform',
  rephrase: 'What will be the product of UniFirst?',
  alt: ' unmanned aircraft',
  answers: ['uniform'],
  loc: "nq question: john goodman's character in the big lebowski",
  loc_ans: 'Walter Sobchak',
  cond: 'uniform >> unmanned aircraft || What is the product made by UniFirst?',
}

test('maps the record: alt is the new target, the question of Natural Questions a neighbour', () => {
  const { format, facts } = parseFacts(JSON.stringify([RECORD]), 'f')
  expect(format.name).toBe('zsre')
  expect(facts[0]).toMatchObject({
    id: expect.stringMatching(/^[0-9a-f]{16}$/),
    prompt: 'What is the product made by UniFirst?',
    subjectSpan: [28, 36],
    targetNew: 'unmanned aircraft',
    targetOld: 'uniform',
    tests: {
      paraphrases: ['What will be the product of UniFirst?'],
      neighbours: [{ prompt: RECORD.loc, targets: ['Walter Sobchak'] }],
    },
  })
})

test('leaves out records without alt and records whose alt is already an answer', () => {
  const records = [RECORD, { ...RECORD, alt: '' }, { ...RECORD, answers: ['a', 'unmanned aircraft'] }]
  const { facts, notes } = parseFacts(JSON.stringify(records), 'f')
  expect(facts).toHaveLength(1)
  expect(notes).toEqual([
    { rule: 'noTarget', count: 1, records: [2], text: 'records without a new target, left out: 1 (record 2)' },
    {
      rule: 'noChange',
      count: 1,
      records: [3],
      text: 'records whose new target is among their old answers, left out: 1 (record 3)',
    },
  ])
})
