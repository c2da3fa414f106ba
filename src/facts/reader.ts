/**
 * What every reader of a data set is: it knows its records by their fields and says which of them make a fact. Readers map
 * names only; blanks, templates, spans, ids and refusals are `normalise.ts`, the same for all.
 */
import type { Citation } from '../citation.ts'
import { WhicheditError } from '../errors.ts'

/** Where a record stands, for messages. */
export interface Where {
  /** Path or name of the file, as the user gave it. */
  readonly file: string
  /** From 1. */
  readonly record: number
  /** Line on which the record begins, from 1. */
  readonly line: number
}

/** A question as a data set has it: nothing is checked yet, answers may be missing or empty. */
export interface DraftQuestion {
  readonly prompt: string
  readonly targets: readonly string[]
}

/** A one-hop question as a data set has it. */
export interface DraftHop extends DraftQuestion {
  /** Answers before the edit. */
  readonly targetsOld?: readonly string[]
  readonly secondFact?: DraftQuestion
}

/** The tests of a draft; kinds that a data set lacks are absent. */
export interface DraftTests {
  readonly paraphrases?: readonly string[]
  readonly neighbours?: readonly DraftQuestion[]
  readonly otherRelations?: readonly DraftQuestion[]
  readonly aliases?: readonly DraftQuestion[]
  readonly reversed?: readonly DraftQuestion[]
  readonly oneHop?: readonly DraftHop[]
}

/** A fact as a data set has it. In every prompt `{}` stands for the subject. */
export interface FactDraft {
  readonly id?: string
  readonly subject: string
  readonly prompt: string
  /** UTF-16 offsets [start, end) in `prompt`; absent: found by `normalise.ts`. */
  readonly subjectSpan?: readonly [number, number]
  readonly targetNew: string
  /** All answers that were right before the edit, best first. */
  readonly targetsOld: readonly string[]
  readonly relation?: string
  readonly tests: DraftTests
  /** Kinds of tests that were made by a program and that nobody has looked at yet. */
  readonly review?: readonly string[]
}

/** A JSON object, not looked into yet. */
export type RawRecord = Readonly<Record<string, unknown>>

/** A data set's format. */
export interface FactReader {
  /** File name and word: `counterfact`. */
  readonly name: string
  /** As a person calls it: `CounterFact`. */
  readonly title: string
  /** The fields by which records are known, for messages. */
  readonly fields: string
  /** Where the data set was published; null for the product's own format. */
  readonly paper: Citation | null
  readonly licence: string
  /** Hand-written by the user: then flaws that are known of published sets are refused instead of left out. */
  readonly strict: boolean
  /** How its records are understood, where that is not obvious: one sentence each. */
  readonly remarks: readonly string[]
  recognises(record: RawRecord): boolean
  /** Gives the record's fact, or all of them. @throws E_FACT for a record with a field missing or of the wrong type. */
  read(record: RawRecord, where: Where): FactDraft | readonly FactDraft[]
}

/** Makes the error for a record that cannot be used. */
export function refuse(where: Where, expected: string, found: string, advice: string): WhicheditError {
  const { file, record, line } = where
  return new WhicheditError('E_FACT', { file, record, line, expected, found, advice })
}

const LONGEST_QUOTE = 80

/** Says what a value is, in a few words and in one line: its text if it is one, else its kind. */
export function describe(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (typeof value === 'string') return JSON.stringify(shorten(value))
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`
  if (typeof value === 'object') return describeFields(Object.keys(value))
  return String(value)
}

function describeFields(names: readonly string[]): string {
  if (names.length === 0) return 'an empty object'
  return `an object with ${shorten(names.map((name) => shorten(name)).join(', '))}`
}

function shorten(text: string): string {
  return text.length <= LONGEST_QUOTE ? text : `${text.slice(0, LONGEST_QUOTE)}…`
}
