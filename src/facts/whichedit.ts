/**
 * The product's own format, for hand-written files: the fields of `Fact`, of which `subject`, `prompt` and `targetNew` are
 * enough. In every prompt `{}` may stand for the subject. Unknown fields are refused, because they are
 * typing mistakes.
 *
 * ```json
 * {"subject": "France", "prompt": "The capital of {} is", "targetNew": "Osaka",
 *  "tests": {"paraphrases": ["The capital city of {} is"],
 *            "neighbours": [{"prompt": "The capital of Italy is", "targets": "Rome"}],
 *            "oneHop": [{"prompt": "The capital of {} is a city on the continent of", "targets": ["Asia"],
 *                        "secondFact": {"prompt": "Osaka is a city on the continent of", "targets": "Asia"}}]}}
 * ```
 */
import { z } from 'zod'
import type { FactReader } from './reader.ts'
import { idField, parseRecord, textField } from './schema.ts'

const ANSWERS = z
  .union([textField, z.array(textField)], { error: 'a text or a list of texts' })
  .transform((answers) => [answers].flat())
const QUESTION = { prompt: textField, targets: ANSWERS }
const QUESTIONS = z.array(z.strictObject(QUESTION, { error: 'an object with prompt and targets' }), {
  error: 'a list of objects with prompt and targets',
})
const OFFSET = z.int({ error: 'a whole number' }).min(0, { error: 'not negative' })

const TESTS = z.strictObject(
  {
    paraphrases: z.array(textField, { error: 'a list of texts' }).default([]),
    neighbours: QUESTIONS.default([]),
    otherRelations: QUESTIONS.default([]),
    aliases: QUESTIONS.default([]),
    reversed: QUESTIONS.default([]),
    oneHop: z
      .array(
        z.strictObject({
          ...QUESTION,
          targetsOld: ANSWERS.optional(),
          secondFact: z.strictObject(QUESTION).optional(),
        }),
        {
          error: 'a list of objects with prompt and targets',
        },
      )
      .default([]),
  },
  { error: 'an object of lists' },
)

const KIND = z.custom<keyof z.output<typeof TESTS>>(
  (value) => typeof value === 'string' && Object.hasOwn(TESTS.shape, value),
  { error: 'the name of a kind of tests' },
)

const RECORD = z.strictObject({
  id: idField.optional(),
  subject: textField,
  prompt: textField,
  subjectSpan: z.tuple([OFFSET, OFFSET], { error: 'two offsets' }).optional(),
  targetNew: textField,
  targetOld: textField.optional(),
  relation: textField.optional(),
  tests: TESTS.prefault({}),
  review: z.array(KIND, { error: 'a list of kinds of tests' }).optional(),
})

/** Reads the product's own format. */
export const whichedit: FactReader = {
  name: 'whichedit',
  title: 'whichedit',
  fields: 'subject, prompt, targetNew; if you like id, subjectSpan, targetOld, relation, tests {…}, review',
  paper: null,
  licence: "its author's",
  strict: true,
  remarks: [],
  // A record with these two but another word for the new target is meant for this format and gets its message.
  recognises: (record) =>
    Object.hasOwn(record, 'targetNew') ||
    (['subject', 'prompt'].every((field) => Object.hasOwn(record, field)) && !Object.hasOwn(record, 'target_new')),
  read(record, where) {
    const { id, subjectSpan, targetOld, relation, review, ...fact } = parseRecord(RECORD, record, where)
    return {
      ...(review === undefined ? {} : { review }),
      ...(relation === undefined ? {} : { relation }),
      ...(id === undefined ? {} : { id }),
      ...(subjectSpan === undefined ? {} : { subjectSpan }),
      ...fact,
      targetsOld: targetOld === undefined ? [] : [targetOld],
    }
  },
}
