/**
 * A probe asks one kind of question of an edited model. It is pure: it says which questions a fact gives rise to and
 * judges what the two models said; the asking itself (`evidence/run.ts`) is the same for all, batched, and the unedited
 * model is asked once for all methods.
 */
import type { Citation } from '../citation.ts'
import type { Fact, Question } from '../facts/fact.ts'

/** What a user weighs. */
export type Criterion = 'reliability' | 'generalization' | 'locality' | 'portability' | 'efficiency'

/** One question of a probe. */
export interface ProbeItem extends Question {
  /** Which of the fact's prompts of this kind. */
  readonly item: number
  /** Asked of the unedited model only: unless it answers this, the item cannot be judged. */
  readonly requires?: Question
}

/** What a model said to one question: both readings, with their raw material. */
export interface Reading {
  /** Free generation, greedy. */
  readonly text: string
  /** Teacher forcing along the first target. */
  readonly targetIds: readonly number[]
  readonly logProbs: readonly number[]
  readonly argmax: readonly number[]
  /** The method was to answer in steps, and they failed: this is what the model says without them. */
  readonly loopFailed?: true
}

/** A judgement in [0, 1], or null with the reason why it cannot be made. */
export type Judgement =
  | { readonly value: number; readonly teacherForced: number }
  | { readonly value: null; readonly teacherForced: null; readonly reason: string }

/** What the models said to an item. */
export interface ProbeAnswers {
  readonly item: ProbeItem
  /** The unedited model's reading. */
  readonly base: Reading
  readonly edited: Reading
  /** The unedited model's reading of `item.requires`. */
  readonly required?: Reading
}

/** One kind of question. */
export interface Probe {
  /** File name and word: `one-hop`. */
  readonly name: string
  readonly criterion: Exclude<Criterion, 'efficiency'>
  /** `Does a paraphrase also give the new answer?` */
  readonly asks: string
  readonly version: number
  readonly direction: 'higher' | 'lower'
  readonly unit: 'rate'
  readonly range: readonly [number, number]
  readonly paper: Citation
  items(fact: Fact): ProbeItem[]
  /** `value` judges the free text (the default for scoring), `teacherForced` the reading of the papers. */
  judge(answers: ProbeAnswers): Judgement
}
