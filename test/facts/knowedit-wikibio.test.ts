import { expect, test } from 'vitest'
import { parseFacts } from '../../src/facts/index.ts'

const RECORD = {
  text: 'This is a Wikipedia passage about noel hogan. ',
  labels: 'Noel Anthony Hogan (born 25 December 1971) is an Irish musician.',
  concept: 'noel hogan',
  locality: { Relation_Specificity: [{ prompt: 'The place of birth of noel hogan is', ground_truth: ['Limerick'] }] },
}

test('takes the text as prompt, the person as subject and the next sentence as new target', () => {
  const { format, facts } = parseFacts(JSON.stringify([RECORD]), 'f')
  expect(format.name).toBe('knowedit-wikibio')
  expect(facts[0]).toMatchObject({
    subject: 'noel hogan',
    prompt: 'This is a Wikipedia passage about noel hogan.',
    subjectSpan: [34, 44],
    targetNew: RECORD.labels,
    tests: { otherRelations: [{ prompt: 'The place of birth of noel hogan is', targets: ['Limerick'] }] },
  })
})

test('refuses a passage that does not name the person', () => {
  expect(() => parseFacts(JSON.stringify([{ ...RECORD, concept: 'Noel Hogan' }]), 'f')).toThrow(
    /expected the subject "Noel Hogan" in the prompt.*upper and lower case count/,
  )
})
