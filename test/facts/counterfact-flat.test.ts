import { expect, test } from 'vitest'
import { parseFacts } from '../../src/facts/index.ts'

const RECORD = {
  case_id: 18,
  prompt: 'Porsche 911, created by',
  target_new: 'Honda',
  subject: 'Porsche 911',
  ground_truth: 'Porsche',
  rephrase_prompt: 'The production of Porsche 911 is overseen by',
  locality_prompt: 'Porsche 924, produced by',
  locality_ground_truth: 'Porsche',
}

test('maps the record', () => {
  const { format, facts } = parseFacts(JSON.stringify([RECORD]), 'f')
  expect(format.name).toBe('counterfact-flat')
  expect(facts[0]).toMatchObject({
    id: '18',
    subjectSpan: [0, 11],
    targetNew: 'Honda',
    targetOld: 'Porsche',
    tests: {
      paraphrases: ['The production of Porsche 911 is overseen by'],
      neighbours: [{ prompt: 'Porsche 924, produced by', targets: ['Porsche'] }],
    },
  })
})

test('needs subject, prompt and new target only, and takes JSON Lines', () => {
  const { subject, prompt, target_new } = RECORD
  const { facts } = parseFacts(`${JSON.stringify({ subject, prompt, target_new })}\n`, 'f')
  expect(facts[0]).not.toHaveProperty('targetOld')
  expect(facts[0]?.tests).toMatchObject({ paraphrases: [], neighbours: [] })
})

test('leaves a locality prompt without answer out', () => {
  const { facts, notes } = parseFacts(JSON.stringify([{ ...RECORD, locality_ground_truth: '' }]), 'f')
  expect(facts[0]?.tests.neighbours).toEqual([])
  expect(notes).toMatchObject([{ rule: 'noAnswer', count: 1, records: [1] }])
})

test('refuses an edit whose prompt lacks its subject', () => {
  expect(() => parseFacts(JSON.stringify([{ ...RECORD, subject: 'Porsche 912' }]), 'mine.json')).toThrow(
    'mine.json, record 1 (line 1): expected the subject "Porsche 912" in the prompt, found "Porsche 911, created by"',
  )
})
