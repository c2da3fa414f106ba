/**
 * KnowEdit's WikiBio: the beginning of a biography and the sentence that should follow it, instead of one that a model
 * had made up. Taken as EasyEdit takes it: the text is the prompt, the person its subject, the sentence the new target.
 */
import { z } from 'zod'
import { knowedit } from './knowedit.ts'
import type { FactReader } from './reader.ts'
import { parseRecord, questionsField, textField, toQuestions } from './schema.ts'

const RECORD = z.object({
  text: textField,
  labels: textField,
  concept: textField,
  locality: z
    .object({ Relation_Specificity: questionsField.optional() }, { error: 'an object of lists of questions' })
    .optional(),
})

/** Reads KnowEdit's WikiBio. */
export const knoweditWikibio: FactReader = {
  name: 'knowedit-wikibio',
  title: 'KnowEdit (WikiBio)',
  fields: 'text, labels, concept, locality {…}',
  paper: knowedit.paper,
  licence: knowedit.licence,
  strict: false,
  remarks: [
    'The new target is a whole sentence: a freely generated text seldom holds it word for word, so read the teacher-forced numbers.',
    'Several records continue one biography; they share its subject.',
  ],
  recognises: (record) => ['text', 'labels', 'concept'].every((field) => Object.hasOwn(record, field)),
  read(record, where) {
    const { text, labels, concept, locality } = parseRecord(RECORD, record, where)
    return {
      subject: concept,
      prompt: text,
      targetNew: labels,
      targetsOld: [],
      tests: { otherRelations: toQuestions(locality?.Relation_Specificity) },
    }
  },
}
