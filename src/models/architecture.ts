/**
 * What a file of an architecture provides: its configuration, the names of its weights, and its layers as a graph.
 * A layer is cut at the down-projection of its feed-forward, because that is where work can be captured and resumed.
 * Shape letters: N = B·T flattened tokens, D width, F feed-forward width, V vocabulary, H heads of width E.
 *
 * An encoder-decoder counts its layers through: the encoder's come first, the decoder's after them.
 */
import type { Node } from '../graph/graph.ts'
import type { RotaryPairs } from '../graph/ops/attention.ts'
import type { Json } from './json.ts'
import type { LayerSite, ModelConfig, WeightRole } from './model.ts'

/** A rotary position embedding: the angle of pair j at position p is p · frequencies[j]. */
export interface Rotary {
  /** Columns of each head that turn, from the first on. */
  readonly width: number
  readonly pairs: RotaryPairs
  /** Radians a position, of each pair [width/2]. */
  readonly frequencies: readonly number[]
  /** What cosines and sines are multiplied by (YaRN's attention factor); 1 elsewhere. */
  readonly magnitude: number
}

/** Buckets of distances that share a learned bias (Raffel et al. 2020, T5). */
export interface RelativeBuckets {
  readonly count: number
  /** Distances from here on share the last bucket. */
  readonly farthest: number
}

/** How a layer attends. */
export interface AttentionForm {
  /** What the products of queries and keys are multiplied by. */
  readonly scale: number
  readonly rotary: Rotary | null
  /** Positions seen, the own among them; null: all. */
  readonly window: number | null
  /** Scores s become c·tanh(s/c); null: they stay. */
  readonly softcap: number | null
  /** Present where a bias for the distance is added to the scores. */
  readonly relative: RelativeBuckets | null
}

/** Which attention: among a stack's own tokens, or from the decoder's tokens to the encoder's. */
export type AttentionKind = 'self' | 'cross'

/** Queries, keys and values of one layer: q [N, H·E], k and v [N, KV·E]. */
export interface QueriesKeysValues {
  readonly q: Node
  readonly k: Node
  readonly v: Node
}

/** What an architecture builds its layers with. Patches, reads, writes and caches are the scope's business. */
export interface Scope {
  /** A weight as it lies in the files. */
  weight(name: string, shape: readonly number[]): Node
  /**
   * `x · W (+ b)` of a linear layer, patched where the model is: [N, in] → [N, out]. Its weight is `<name>.weight`, its bias
   * `<name>.bias`.
   */
  linear(x: Node, name: string, out: number, bias?: boolean): Node
  /** The position in its row of each of the tokens [N], int64. */
  positions(ids: Node): Node
  /** What the encoder made of the input [N, D]; in a decoder's layers only. */
  encoded(): Node
  /** Marks an activation as a site: what is read or overwritten there happens here. */
  site(kind: LayerSite, layer: number, value: Node): Node
  /**
   * Attention of one layer in its form → [N, H·E]. `distances` [buckets, H] holds what is added to the scores by the bucket
   * of a distance.
   */
  attention(layer: number, inputs: QueriesKeysValues, options?: { kind?: AttentionKind; distances?: Node }): Node
}

/** A layer cut at its down-projection: the residual stream to which its output is added, and its input. */
export interface LayerCut {
  /** [N, D] */
  readonly residual: Node
  /** [N, F] */
  readonly inner: Node
}

/** A family of models that share a layout. */
export interface Architecture {
  /** File name and the name in `ModelConfig`. */
  readonly name: string
  /** As its authors call it. */
  readonly title: string
  /** Values of `model_type` in `config.json`. */
  readonly modelTypes: readonly string[]
  /** What checkpoints of the bare model leave out at the beginning of weights' names: `transformer.`. */
  readonly prefix?: string
  /** A weight's name, from what some checkpoints call it. */
  readonly rename?: (name: string) => string
  /** Reads `config.json`. @throws E_CONFIG for missing or unsupported values. */
  open(raw: Readonly<Record<string, Json>>): Network
}

/** The layers of an architecture with its sizes: builds graphs. */
export interface Layers {
  readonly config: ModelConfig
  /** How each layer attends to its own stack. */
  readonly attention: readonly AttentionForm[]
  /** How linear layers are stored: [out, in], or [in, out] as GPT-2's. */
  readonly stored: 'out-in' | 'in-out'
  /** The decoder's first token, in an encoder-decoder. */
  readonly decoderStart?: number
  /** The linear layer of a role; undefined where the layers have none. */
  moduleName(role: WeightRole, layer: number): string | undefined
  /** Token embeddings, which know no position: ids [N] → [N, D]. */
  embed(scope: Scope, ids: Node): Node
  /** What is added to them for their positions, where a table has it: ids [N] → [N, D]. */
  embedPositions?(scope: Scope, ids: Node): Node
  /** The layer up to its down-projection: [N, D] → cut. */
  toDownProjection(scope: Scope, layer: number, x: Node): LayerCut
  /** The layer from its down-projection on: cut → [N, D]. */
  fromDownProjection(scope: Scope, layer: number, cut: LayerCut): Node
  /** What follows the encoder's last layer; in an encoder-decoder: [N, D] → [N, D]. */
  endEncoder?(scope: Scope, x: Node): Node
}

/** Layers with a head that predicts tokens. */
export interface Network extends Layers {
  /** Final norm and head: [R, D] → [R, V]. */
  head(scope: Scope, x: Node): Node
}

/** The form most architectures have: scores scaled by 1/√E, and no more than that. */
export function plainForm(headWidth: number, form: Partial<AttentionForm> = {}): AttentionForm {
  return { scale: headWidth ** -0.5, rotary: null, window: null, softcap: null, relative: null, ...form }
}

/** The same form for every layer. */
export function forEachLayer<T>(layers: number, make: (layer: number) => T): readonly T[] {
  return Array.from({ length: layers }, (_, layer) => make(layer))
}
