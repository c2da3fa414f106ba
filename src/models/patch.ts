/**
 * What an editor returns: plain data that turns a model into an edited model. Dropping it undoes the edit.
 * The kinds of the parts and where they sit decide a computation's graph; their numbers are its inputs, so that one
 * compiled session serves every fact of a method.
 */
import type { Tensor } from '../tensor/tensor.ts'

/** A matrix [in, out] as the product `left · right` of two narrow ones. */
export interface Factors {
  /** [in, r] */
  readonly left: Tensor
  /** [r, out] */
  readonly right: Tensor
}

/** Adds `left · right` to a weight, `y = x·W + (x·left)·right`. */
export interface LowRankPart extends Factors {
  readonly kind: 'low-rank'
  /** Name of the weight, as in the model's files. */
  readonly weight: string
}

/** Adds a whole matrix to a weight. */
export interface DensePart {
  readonly kind: 'dense'
  readonly weight: string
  /** [in, out] */
  readonly delta: Tensor
}

/**
 * Replaces the output of a layer's down-projection at the prompt's last token by a stored value, where the
 * down-projection's input there lies within the radius of the nearest key (Euclidean). A later codebook at the same
 * layer takes the place of an earlier one.
 */
export interface CodebookPart {
  readonly kind: 'codebook'
  readonly layer: number
  /** [n, F] */
  readonly keys: Tensor
  /** [n, D] */
  readonly values: Tensor
  /** [n] */
  readonly radii: Tensor
  /** The target's token ids of each entry: tells whether two entries say the same. */
  readonly labels: readonly (readonly number[])[]
}

/**
 * Where the vectors of sentences come from: an encoder, named by its hash, or the mean of the unedited model's own hidden
 * state at `block-output.<layer>`.
 */
export type VectorSource = { readonly encoder: string } | { readonly layer: number }

/**
 * Puts text before a prompt. With one entry, always that one; with several, the one whose vector is nearest (cosine) to
 * the prompt's. A later context takes the place of an earlier one.
 */
export interface ContextPart {
  readonly kind: 'context'
  readonly vectors: VectorSource
  readonly entries: readonly {
    readonly before: string
    /** [D] */
    readonly vector: Tensor
  }[]
}

/** A part of a patch. */
export type PatchPart = LowRankPart | DensePart | CodebookPart | ContextPart

/** An edit, as data. Parts apply in order; several patches apply one after another. */
export interface Patch {
  readonly parts: readonly PatchPart[]
  /** What the editor wants said about this edit: numbers by name (`targetProbability`, `keyResidual`), never read by code. */
  readonly report: Readonly<Record<string, number>>
  /**
   * What the same method's next edit of a stream must know of this one and cannot read off the parts, by name: keys that it is
   * to leave alone, statistics that go on. Nothing else reads it, and a model with the patch is the same without it.
   */
  readonly state?: Readonly<Record<string, Tensor>>
}
