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
}

/**
 * Adds the delta of one of several memories to a layer's down-projection, `y = x·W + x·Δⱼ`, at all positions of a text. Which one is
 * decided once for a text, by its prompt: a memory's activation is the mean of ‖x·Δⱼ‖ over the prompt's positions, and of the memories
 * whose activation is at least their threshold the one with the largest answers; where there is none, the text is answered as if
 * there were no memories. A later part at the same layer takes the place of an earlier one.
 */
export interface SideMemoriesPart {
  readonly kind: 'side-memories'
  readonly layer: number
  /** Δ [n, F, D] */
  readonly deltas: Tensor
  /** [n] */
  readonly thresholds: Tensor
}

/**
 * Where the vectors of sentences come from: an encoder, named by its hash, or the mean of the unedited model's own hidden
 * state at `block-output.<layer>`.
 */
export type VectorSource = { readonly encoder: string } | { readonly layer: number }

/**
 * How a prompt finds an entry of a memory. A bound may let it find none: what is large must lie above it, what is small below.
 *   cosine    the largest cosine of their vectors
 *   scope     the largest exp(−‖z − z′‖²), z = v·map of a vector v scaled to length one; an entry's vector is its z [r]
 *   letters   the fewest changed letters of its key (Levenshtein, both as `plainLetters` has them)
 */
export type Retrieval =
  | { readonly by: 'cosine'; readonly vectors: VectorSource; readonly above: number | null }
  | {
      readonly by: 'scope'
      readonly vectors: VectorSource
      /** [D, r] */
      readonly map: Tensor
      readonly above: number
    }
  | { readonly by: 'letters'; readonly below: number }

/**
 * How the unedited model says which of the nearest entries answers a prompt, if any does. In `ask`, `{facts}` stands for the
 * sentences shown to it, one a line, and `{question}` for the prompt.
 *   choice       it is shown all and repeats one; it means none where it says a word of `none`
 *   likelihood   it is shown each alone; the one for which "yes" is the likeliest against "no", if it is likelier at all
 */
export type Confirmation = { readonly candidates: number; readonly ask: string } & (
  | { readonly by: 'choice'; readonly none: readonly string[]; readonly maxNewTokens: number }
  | { readonly by: 'likelihood'; readonly yes: string; readonly no: string }
)

/**
 * How the unedited model comes to an answer in steps, each with the entry that a subquestion finds (`models/question-loop.ts`). A
 * prompt for which it fails is asked as it is, and what is written after it says so.
 *   free          the model keeps the format itself
 *   constrained   the program writes the labels, the model what follows them
 */
export interface QuestionLoop {
  readonly format: 'free' | 'constrained'
  /** Solved questions, before the prompt's own. */
  readonly examples: string
  /** At most so many, at least 1. */
  readonly subquestions: number
  /** What the model may write at once; so much room is kept for the final answer, too. */
  readonly maxNewTokens: number
}

/** A fact that a memory holds, and the text that is put around the prompts that find it. */
export interface ContextEntry {
  /** The prompt of the edit. A later entry with the same key takes the place of an earlier one. */
  readonly key: string
  /** The fact in a sentence, as it is shown where the model confirms it. */
  readonly sentence: string
  /** What prompts are compared with [D], on a map [r]; [0] where letters are. */
  readonly vector: Tensor
  readonly before: string
  readonly after: string
}

/**
 * A memory: puts text around a prompt that finds one of its entries, newest first among equals, and leaves others as they are;
 * or has it answered in steps, with the sentences of its entries.
 * Later contexts that are searched in the same way add their entries; one that is searched otherwise takes their place.
 */
export interface ContextPart {
  readonly kind: 'context'
  readonly retrieval: Retrieval
  /** null: the nearest entry is taken. */
  readonly confirmation: Confirmation | null
  /** Absent: a prompt itself finds its entry. */
  readonly loop?: QuestionLoop
  /** Added to the weights for prompts that have found an entry, and for no others. Absent: nothing. */
  readonly adapters?: readonly LowRankPart[]
  /** Newest first. */
  readonly entries: readonly ContextEntry[]
}

/** An edited prompt among the points of a cluster. */
export interface ClusterPoint {
  readonly prompt: string
  /** [D] */
  readonly key: Tensor
  /** Index of the block that answers it. */
  readonly block: number
}

/** Edited prompts that lie close together and are to be answered alike. */
export interface AdapterCluster {
  /** [D] */
  readonly centre: Tensor
  readonly radius: number
  /** The target's token ids: tells whether two edits say the same. */
  readonly label: readonly number[]
  /** At least one. */
  readonly points: readonly ClusterPoint[]
}

/**
 * Adapters for the prompts that lie in a cluster, and for no others. A prompt's key is what a layer's down-projection gives at its
 * last token, without these adapters. Where it lies within the radius of the nearest centre (Euclidean), the block of that cluster's nearest
 * point is added to the weights, for prompt and answer; elsewhere all is as if there were no clusters. As with contexts this is about
 * prompts that are scored or written on after; `run` asks the weights without blocks. A later part takes the place of an earlier one.
 */
export interface AdapterClustersPart {
  readonly kind: 'adapter-clusters'
  readonly layer: number
  readonly clusters: readonly AdapterCluster[]
  readonly blocks: readonly (readonly LowRankPart[])[]
}

/** A part of a patch. */
export type PatchPart =
  | LowRankPart
  | DensePart
  | CodebookPart
  | NeuronsPart
  | SideMemoriesPart
  | ContextPart
  | AdapterClustersPart

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
