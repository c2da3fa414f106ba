import { expect, test } from 'vitest'
import { parseFacts } from '../../src/facts/index.ts'

const RECORD = {
  case_id: 12,
  requested_rewrite: {
    prompt: 'The mother tongue of {} is',
    relation_id: 'P103',
    target_new: { str: 'English', id: 'Q1860' },
    target_true: { str: 'French', id: 'Q150' },
    subject: 'Danielle Darrieux',
  },
  paraphrase_prompts: ['Shayna does this. \n\nDanielle Darrieux, a native'],
  neighborhood_prompts: ['The native language of Montesquieu is', 'Jean Gabin, a native'],
  attribute_prompts: ['J.R.R. Tolkien is a native speaker of'],
  generation_prompts: ["Danielle Darrieux's mother tongue is"],
}

test('maps the record, with the old target as the answer of neighbours', () => {
  const { format, facts, notes } = parseFacts(JSON.stringify([RECORD]), 'f')
  expect(format.name).toBe('counterfact')
  expect(notes).toEqual([])
  expect(facts).toEqual([
    {
      id: '12',
      subject: 'Danielle Darrieux',
      prompt: 'The mother tongue of Danielle Darrieux is',
      subjectSpan: [21, 38],
      targetNew: 'English',
      targetOld: 'French',
      tests: {
        paraphrases: ['Shayna does this. \n\nDanielle Darrieux, a native'],
        neighbours: [
          { prompt: 'The native language of Montesquieu is', targets: ['French'] },
          { prompt: 'Jean Gabin, a native', targets: ['French'] },
        ],
        otherRelations: [],
        aliases: [],
        reversed: [],
        oneHop: [],
      },
    },
  ])
})

test('refuses a record that lacks a part, by its name', () => {
  const { target_true: _, ...rewrite } = RECORD.requested_rewrite
  const broken = JSON.stringify([RECORD, { ...RECORD, requested_rewrite: rewrite }])
  expect(() => parseFacts(broken, 'f')).toThrow(
    'f, record 2 (line 1): expected "requested_rewrite.target_true" to be an object with str, found nothing',
  )
})

test('does not take MQuAKE, whose rewrites are lists', () => {
  const mquake = JSON.stringify([{ case_id: 1, requested_rewrite: [RECORD.requested_rewrite], questions: [] }])
  expect(parseFacts(mquake, 'f').format.name).toBe('mquake')
})
