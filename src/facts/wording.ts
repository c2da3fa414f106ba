/**
 * How facts are said and asked: templates with places for the subject, `{s}` as shown in a sentence and `{n}` bare, and the
 * object, `{o}`. A statement ends in its object, so what stands before it is a prompt that the object continues.
 */
import { z } from 'zod'

const TEXTS = z.tuple([z.string()], z.string())

const RELATION = z.object({
  /** The kind of its subjects. */
  subject: z.string(),
  /** Why it does not count as a fact, where it is only asked beside others. */
  aside: z.string().optional(),
  /** Noun phrases for the object: `the capital of {s}`. */
  phrases: TEXTS,
  /** The first one is the prompt of an edit. */
  statements: TEXTS,
  questions: TEXTS,
  /** What stands before an answer. */
  answer: z.string().optional(),
  /** The fact from its object's side: a prompt that the subject continues, or a choice between two subjects. */
  reversed: z.object({ prompt: z.string().optional(), choice: z.string().optional() }).default({}),
  /** How the object describes the subject, and a prompt that asks which subject that is. */
  describes: z.object({ as: z.string(), prompt: z.string() }).optional(),
})

/** How subjects of a kind stand in a sentence, as an answer and two of them together. */
const KIND = z.object({ shown: z.string(), answer: z.string(), pair: z.string() })

/** The schema of facts/wordings.json. */
export const WORDINGS = z.object({
  kinds: z.record(z.string(), KIND),
  relations: z.record(z.string(), RELATION),
})

/** Words for a relation. */
export type Relation = z.output<typeof RELATION>
/** Words for a kind of subjects. */
export type Kind = z.output<typeof KIND>
/** All words. */
export type Wordings = z.output<typeof WORDINGS>

/** Words by the place in which they stand. */
type Values = Readonly<Record<string, string>>

/** What stands in the places of a subject. */
export type Names = Readonly<Record<'s' | 'n', string>>

/** Puts words into the places of a template. */
export function fill(template: string, values: Values): string {
  return template.replaceAll(/\{(\w+)\}/g, (place, name: string) =>
    Object.hasOwn(values, name) ? (values[name] ?? place) : place,
  )
}

/** A filled template with a capital letter at its beginning. */
export function say(template: string, values: Values): string {
  const text = fill(template, values)
  const [first = ''] = text
  return first.toUpperCase() + text.slice(first.length)
}

/** What stands before the object of a statement. */
export function begin(statement: string, names: Names): string {
  return say(statement.replace(/ \{o\}\.?$/, ''), names)
}

/** How far the two statements that rephrase a fact stand apart in their list, and the two questions. */
const APART = 4

/** The words that rephrase a fact. */
interface Rephrasing {
  readonly statements: readonly string[]
  readonly questions: readonly string[]
  readonly answer?: string | undefined
}

/** Prompts for a fact in other words than the first statement's: two statements and two questions, taken in turn. */
export function rephrase({ statements, questions, answer }: Rephrasing, names: Names, turn: number): string[] {
  const ask = (question: string): string =>
    `Question: ${say(question, names)} Answer:${answer === undefined ? '' : ` ${answer}`}`
  return [
    ...takeTwo(statements.slice(1), turn).map((statement) => begin(statement, names)),
    ...takeTwo(questions, turn).map(ask),
  ]
}

function takeTwo(items: readonly string[], turn: number): string[] {
  return [turn, turn + APART].flatMap((at) => items[at % items.length] ?? [])
}
