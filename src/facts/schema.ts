/** Fields that several formats share, and the check of a record against its schema, with field and finding in the message. */
import { z } from 'zod'
import { type DraftQuestion, describe, type RawRecord, refuse, type Where } from './reader.ts'

/** A text. */
export const textField = z.string({ error: 'a text' })

/** A name as text or whole number. */
export const idField = z.union([textField, z.int()], { error: 'a text or a whole number' }).transform(String)

/** Answers as published sets write them: one, a list of aliases, or a list of such lists. */
export const answersField = z
  .union([textField, z.array(z.union([textField, z.array(textField)]))], {
    error: 'a text, a list of texts or a list of such lists',
  })
  .transform((answers) => [answers].flat(2))

/** Questions with their answers, as KnowEdit writes them. */
export const questionsField = z.array(z.object({ prompt: textField, ground_truth: answersField }), {
  error: 'a list of objects with prompt and ground_truth',
})

/** Renames the fields of {@link questionsField}. */
export function toQuestions(items: z.output<typeof questionsField> = []): DraftQuestion[] {
  return items.map(({ prompt, ground_truth }) => ({ prompt, targets: ground_truth }))
}

/** Gives the record in the schema's form. @throws E_FACT naming the first field that does not fit. */
export function parseRecord<T>(schema: z.ZodType<T>, record: RawRecord, where: Where): T {
  const result = schema.safeParse(record)
  if (result.success) return result.data
  const [issue] = result.error.issues
  if (issue === undefined) throw result.error
  const path = issue.path.map(String)
  const field = path.length === 0 ? 'the record' : `"${path.join('.')}"`
  if (issue.code === 'unrecognized_keys') {
    const found = `the field ${describe(issue.keys[0])}`
    throw refuse(
      where,
      `${field} to have only fields of its format`,
      found,
      'Look for a typing mistake, or take it out.',
    )
  }
  throw refuse(where, `${field} to be ${issue.message}`, describe(valueAt(record, path)), 'Correct the record.')
}

function valueAt(record: unknown, path: readonly string[]): unknown {
  let value = record
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<string, unknown>)[key]
  }
  return value
}
