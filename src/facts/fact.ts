/**
 * What is to be edited: a fact, with every prompt that tests whether the edit did what was wanted and nothing else.
 * Readers of data sets and the built-in set produce this; probes and editors read nothing else.
 */

/** A prompt and the answers that count as right, best first. Prompts never end in a space; targets never start with one. */
export interface Question {
  readonly prompt: string
  readonly targets: readonly [string, ...string[]]
}

/** A question whose answer needs a second fact besides the edited one. */
export interface HopQuestion extends Question {
  /** Answers before the edit, where the data set gives them. */
  readonly targetsOld?: readonly string[]
  /** The second fact alone, asked directly; absent where the data set does not say which it is. */
  readonly secondFact?: Question
}

/** The prompts that test an edit. Each list may be empty: not every data set has every kind. */
export interface FactTests {
  /** The edit's prompt in other words; the new target is right. */
  readonly paraphrases: readonly string[]
  /** Other subjects of the same relation (in ZsRE an unrelated question), with their true answers: must not change. */
  readonly neighbours: readonly Question[]
  /** Other facts about the same subject: must not change. */
  readonly otherRelations: readonly Question[]
  /** The fact with the subject under another name: must change. */
  readonly aliases: readonly Question[]
  /** The fact asked from its object's side, or other direct logical consequences: must change. */
  readonly reversed: readonly Question[]
  /** Questions that combine the fact with a second one: must change. */
  readonly oneHop: readonly HopQuestion[]
}

/** One wanted change. */
export interface Fact {
  /** Unique in its data set; stable between readings of the same file. */
  readonly id: string
  readonly subject: string
  /** The edit's prompt, which holds the subject verbatim; the model is to continue it with `targetNew`. */
  readonly prompt: string
  /** Where in `prompt` the subject stands, as UTF-16 offsets [start, end). */
  readonly subjectSpan: readonly [number, number]
  readonly targetNew: string
  /** The answer before the edit, where the data set gives one. */
  readonly targetOld?: string
  /** What the fact says of its subject (`capital`), where the data set tells; cases are drawn evenly over relations. */
  readonly relation?: string
  readonly tests: FactTests
  /** Kinds of tests that were made by a program and that nobody has looked at yet; absent: none. */
  readonly review?: readonly string[]
}
