/**
 * What every editing method is: a function from facts to a patch, with its paper and its settings.
 * One file a method; `editors/index.ts` lists them.
 */
import type { Citation } from '../citation.ts'
import type { Context } from '../context.ts'
import type { Fact } from '../facts/fact.ts'
import type { Footprint } from '../models/footprint.ts'
import type { LanguageModel } from '../models/model.ts'
import type { Patch } from '../models/patch.ts'

/** The families of methods. */
export type Family =
  | 'memory'
  | 'in-context'
  | 'extra-parameters'
  | 'locate-then-edit'
  | 'meta-learning'
  | 'fine-tuning'
  | 'control'

/** What a method asks of the model or the user. */
export type Need = 'gradient' | 'hidden' | 'covariance' | 'sentence-vectors' | 'training-facts'

/** Settings of a method, from `hparams/<name>.yaml`. */
export type Hparams = Readonly<Record<string, number | string | boolean>>

/** What one setting means. */
export interface HparamField {
  readonly meaning: string
  /** `layer` marks a layer of the model: its range is the model's, and published values carry over by relative depth. */
  readonly unit: string
  /** The values allowed: a closed range of numbers, or a list of words. Absent for booleans and layers. */
  readonly range?: readonly [number, number] | readonly string[]
  /** Only whole numbers. */
  readonly whole?: true
  /** The name of this setting in the reference code. */
  readonly reference: string
}

/** The settings of a method, by name. Values live in YAML. */
export type HparamSpec<H extends Hparams> = { readonly [K in keyof H]: HparamField }

/** What a method may learn from before any fact is known. */
export interface Material {
  /** Plain text of the user's, one document an item; null: sample it from the model itself. */
  readonly text: readonly string[] | null
  /** Facts that are not among those to be edited or tested (demonstrations, training). */
  readonly facts: readonly Fact[]
}

/** The work of {@link Editor.prepare}. */
export interface PrepareJob<H extends Hparams> {
  readonly model: LanguageModel
  readonly hparams: H
  readonly material: Material
}

/** The work of {@link Editor.edit}. */
export interface EditJob<H extends Hparams, P> {
  /** The model to be edited, with the patches of `history` already on it. */
  readonly model: LanguageModel
  readonly facts: readonly Fact[]
  readonly hparams: H
  readonly prepared: P
  /** Patches of this method from earlier calls of the same stream, oldest first. */
  readonly history: readonly Patch[]
}

/** What a method takes besides the program and the questions asked of an unedited model, in bytes. */
export interface MethodMemory {
  /** At the peak of the preparation. */
  readonly prepareBytes: number
  /** What of the preparation stays. */
  readonly heldBytes: number
  readonly editBytes: number
  /** What asking the edited model takes more than asking the unedited one. */
  readonly queryBytes: number
}

/** An editing method. */
export interface Editor<H extends Hparams = Hparams, P = unknown> {
  /** File name and command-line word: `rome`. */
  readonly name: string
  /** As in the paper: `ROME`. */
  readonly title: string
  /** One sentence for a newcomer. */
  readonly summary: string
  /** Changes when the method's result may change; part of a run's identity. */
  readonly version: number
  readonly paper: Citation
  readonly family: Family
  /** Facts accepted by one `edit` call. */
  readonly batch: 'one' | 'many'
  readonly needs: readonly Need[]
  readonly hparams: HparamSpec<H>
  /** Estimates, from shapes and settings alone, what an edit of one fact takes; not less than it does. Absent: judged by `needs`. */
  memory?(model: Footprint, hparams: H): MethodMemory
  /** Work that does not depend on the facts (statistics, training). Large results are cached under `ctx.cacheDir` by what determines them. */
  prepare?(job: PrepareJob<H>, ctx: Context): Promise<P>
  /**
   * Never changes the model. Same job and same `ctx.random` seed give the same patch.
   * @throws E_NO_FACTS for an empty list, E_BATCH for more facts than the method takes.
   */
  edit(job: EditJob<H, P>, ctx: Context): Promise<Patch>
}
