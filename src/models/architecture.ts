/**
 * What a file of an architecture provides: its configuration, the names of its weights, and its layers as a graph.
 * A layer is cut at the down-projection of its feed-forward, because that is where work can be captured and resumed.
 * Shape letters: N = B·T flattened tokens, D width, F feed-forward width, V vocabulary.
 */
import type { Node } from '../graph/graph.ts'
import type { Json } from './json.ts'
import type { LayerSite, ModelConfig, WeightRole } from './model.ts'

/** What the attention of a model needs to know of it. */
export interface AttentionShape {
  readonly heads: number
  readonly kvHeads: number
  readonly headWidth: number
  /** Base of the rotary embedding's wavelengths. */
  readonly ropeTheta: number
}

/** What an architecture builds its layers with. Patches, reads, writes and caches are the scope's business. */
export interface Scope {
  /** A weight as it lies in the files. */
  weight(name: string): Node
  /** `x · W` for a linear layer's weight, patched where the model is: [N, in] → [N, out]. */
  linear(x: Node, name: string): Node
  /** Marks an activation as a site: what is read or overwritten there happens here. */
  site(kind: LayerSite, layer: number, value: Node): Node
  /** Causal attention of one layer: q [N, H·E], k and v [N, KV·E] → [N, H·E], rotary embedding included. */
  attention(layer: number, q: Node, k: Node, v: Node): Node
}

/** A layer cut at its down-projection: the residual stream to which its output is added, and its input. */
export interface LayerCut {
  /** [N, D] */
  readonly residual: Node
  /** [N, F] */
  readonly inner: Node
}

/** What every architecture's configuration has. */
export type Configuration = ModelConfig & AttentionShape

/** A family of models that share a layout. */
export interface Architecture {
  /** File name and the name in `ModelConfig`. */
  readonly name: string
  /** Values of `model_type` in `config.json`. */
  readonly modelTypes: readonly string[]
  /** Reads `config.json`. @throws E_CONFIG for missing or unsupported values. */
  open(raw: Readonly<Record<string, Json>>): Network
}

/** An architecture with its sizes: builds graphs. */
export interface Network {
  readonly config: Configuration
  /** Every weight a graph of this network may use, with its shape as stored (a linear layer: [out, in]). */
  weights(): ReadonlyMap<string, readonly number[]>
  weightName(role: WeightRole, layer: number): string
  /** Token embeddings: ids [N] → [N, D]. */
  embed(scope: Scope, ids: Node): Node
  /** The layer up to its down-projection: [N, D] → cut. */
  toDownProjection(scope: Scope, layer: number, x: Node): LayerCut
  /** The layer from its down-projection on: cut → [N, D]. */
  fromDownProjection(scope: Scope, layer: number, cut: LayerCut): Node
  /** Final norm and head: [R, D] → [R, V]. */
  head(scope: Scope, x: Node): Node
}
