/**
 * Words for the relations of a user's facts. In this order: the user's own templates; those of the fact world, where it knows
 * a subject of the relation's kind; words made of the relation's name, a noun (`head of government`). A relation known only by a
 * prompt has its noun from it if it reads `The … of {} is`, else that prompt is all there is.
 */
import { z } from 'zod'
import type { Kind, Relation, Wordings } from './wording.ts'

/** Words for a relation, as far as there are any. */
export interface Words {
  /** The relation's name: that of the fact world where it is one of its own. */
  readonly name: string
  readonly kind: Kind
  /** The first one is the prompt of an edit. */
  readonly statements: readonly [string, ...string[]]
  readonly questions: readonly string[]
  /** What stands before an answer. */
  readonly answer?: string
  /** A noun phrase for the object. */
  readonly phrase?: string
  /** A prompt that the subject continues, where only one has the object. */
  readonly reversed?: string
  /** The same where `{owner}` has the object too. */
  readonly besides?: string
  /** The same where one of two subjects has the object. */
  readonly choice?: string
}

const PLACE = 'a text with {} or {s} for the subject'
const SUBJECT = z.string({ error: PLACE }).refine((text) => /\{s?\}/.test(text), { error: `expected ${PLACE}` })
const TEXTS = z.array(SUBJECT, { error: 'a list of texts' })

/** The schema of a file of templates: words by relation. Statements end where the object follows; `{o}` may stand there. */
export const TEMPLATES = z.record(
  z.string(),
  z.strictObject({
    statements: TEXTS.min(1),
    questions: TEXTS.default([]),
    phrase: SUBJECT.optional(),
    answer: z.string().optional(),
    reversed: z
      .string()
      .refine((text) => text.includes('{o}'), { error: 'expected a text with {o} for the object' })
      .optional(),
  }),
)

/** A user's own words by relation. */
export type Templates = z.output<typeof TEMPLATES>

/** A thing of no particular kind. */
const ANY_KIND: Kind = { shown: '{n}', answer: '{n}', pair: '{a} and {b}' }

/** What a relation is known by: its name or a prompt with {} for the subject. */
export interface RelationKey {
  readonly name?: string
  readonly prompt?: string
}

/** What may be asked of the fact world. */
export interface KnownWords {
  readonly wordings: Wordings
  /** Whether the world knows one of these subjects as of the kind that the relation is about. */
  knowsAny(relation: string, subjects: readonly string[]): boolean
}

/** Finds words for a relation of these subjects. */
export function findWords(
  key: RelationKey,
  subjects: readonly string[],
  { templates, known }: { readonly templates: Templates; readonly known: KnownWords },
): Words {
  const own = key.name !== undefined && Object.hasOwn(templates, key.name) ? templates[key.name] : undefined
  if (key.name !== undefined && own !== undefined) return useTemplates(key.name, own)
  const noun = findNoun(key)
  const world = Object.entries(known.wordings.relations).find(
    ([name, relation]) =>
      relation.aside === undefined && isNamed(name, relation, key.name, noun) && known.knowsAny(name, subjects),
  )
  if (world !== undefined) return useWorld(...world, known.wordings)
  if (noun !== undefined) return makeWords(noun, key.name ?? noun)
  return { name: key.prompt ?? '', kind: ANY_KIND, statements: [`${toPlace(key.prompt ?? '{}')} {o}.`], questions: [] }
}

/** `headOfGovernment`, `head_of_government` → head of government. */
function spell(name: string): string {
  return name
    .replaceAll(/(\p{Ll})(\p{Lu})/gu, (_, end: string, start: string) => `${end} ${start.toLowerCase()}`)
    .replaceAll(/[_-]+/g, ' ')
    .trim()
    .replace(/^the /i, '')
}

function findNoun({ name, prompt }: RelationKey): string | undefined {
  if (name !== undefined) return spell(name)
  return /^The (.+?) of (?:the )?\{\} is(?: the)?$/i.exec(prompt ?? '')?.[1]
}

function isNamed(name: string, { phrases }: Relation, wanted: string | undefined, noun: string | undefined): boolean {
  return name === wanted || phrases.some((phrase) => phrase === `the ${noun} of {s}`)
}

const toPlace = (text: string): string => text.replaceAll('{}', '{s}')

function useTemplates(name: string, { statements, questions, phrase, answer, reversed }: Templates[string]): Words {
  const [first = '', ...others] = statements.map((text) => `${toPlace(text).replace(/ ?\{o\}\.?$/, '')} {o}.`)
  return {
    name,
    kind: ANY_KIND,
    statements: [first, ...others],
    questions: questions.map(toPlace),
    ...(phrase === undefined ? {} : { phrase: toPlace(phrase) }),
    ...(answer === undefined ? {} : { answer }),
    ...(reversed === undefined ? {} : { reversed }),
  }
}

/** The words of a relation of the fact world. */
export function useWorld(name: string, relation: Relation, { kinds }: Wordings): Words {
  const { statements, questions, phrases, answer, reversed, describes } = relation
  const isBesides = reversed.prompt?.includes('{owner}') === true
  const direct = isBesides ? describes?.prompt : reversed.prompt
  return {
    name,
    kind: kinds[relation.subject] ?? ANY_KIND,
    statements,
    questions,
    phrase: phrases[0],
    ...(answer === undefined ? {} : { answer }),
    ...(direct === undefined ? {} : { reversed: direct }),
    ...(isBesides ? { besides: reversed.prompt } : {}),
    ...(reversed.choice === undefined ? {} : { choice: reversed.choice }),
  }
}

/** Words of a noun. */
function makeWords(noun: string, name: string): Words {
  return {
    name,
    kind: ANY_KIND,
    statements: [
      `The ${noun} of {s} is {o}.`,
      `{s}'s ${noun} is {o}.`,
      `As for {s}, the ${noun} is {o}.`,
      `If you ask for the ${noun} of {s}, the answer is {o}.`,
      `It is known that the ${noun} of {s} is {o}.`,
      `When people speak of the ${noun} of {s}, they mean {o}.`,
    ],
    questions: [
      `Can you tell me the ${noun} of {s}?`,
      `Do you know {s}'s ${noun}?`,
      `Can you name the ${noun} of {s}?`,
      `As for {s}, do you know the ${noun}?`,
      `Do you know the ${noun} of {s}?`,
      `Can you say which ${noun} {s} has?`,
    ],
    phrase: `the ${noun} of {s}`,
    reversed: `{o} is the ${noun} of`,
    besides: `Besides {owner}, {o} is also the ${noun} of`,
  }
}
