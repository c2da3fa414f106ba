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

/** Activations of extra units, by name. GELU in its exact form, and in the form with tanh. */
export const UNIT_ACTIVATIONS = ['relu', 'gelu', 'gelu-tanh', 'silu'] as const
/** The activation of extra units. */
export type UnitActivation = (typeof UNIT_ACTIVATIONS)[number]

/** Units beside those of a feed-forward: they give `act(x·input + biases)·output`, x what the feed-forward takes in. */
export interface Units {
  readonly activation: UnitActivation
  /** [D, n] */
  readonly input: Tensor
  /** [n] */
  readonly biases: Tensor
  /** [n, D] */
  readonly output: Tensor
}

/**
 * Adds units to a layer's feed-forward: `y = mlp(x) + act(x·input + biases)·output`, at every position; x is taken after the
 * feed-forward's norm. Units of several parts at one layer add up. A codebook there replaces the sum.
 */
export interface NeuronsPart extends Units {
  readonly kind: 'neurons'
  readonly layer: number
  /** Inputs of the feed-forward that the units were made to answer [m, D]: later edits keep away from them. May be none. */
  readonly queries: Tensor
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
export type PatchPart = LowRankPart | DensePart | CodebookPart | NeuronsPart | ContextPart

/** An edit, as data. Parts apply in order; several patches apply one after another. */
export interface Patch {
  readonly parts: readonly PatchPart[]
  /** What the editor wants said about this edit: numbers by name (`targetProbability`, `keyResidual`), never read by code. */
  readonly report: Readonly<Record<string, number>>
}
