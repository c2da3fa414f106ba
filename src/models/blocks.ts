/** What the layers of many architectures are made of, by the names of weights: norms, embeddings, feed-forwards, heads. */
import type { Node } from '../graph/graph.ts'
import { add, multiply } from '../graph/ops/elementwise.ts'
import { matmul } from '../graph/ops/matmul.ts'
import { layerNorm, rmsNorm } from '../graph/ops/normalize.ts'
import { gatherRows } from '../graph/ops/rows.ts'
import type { LayerCut, QueriesKeysValues, Scope } from './architecture.ts'
import type { ConfigReader } from './config.ts'
import type { ModelConfig, WeightRole } from './model.ts'

/** The keys of a configuration that hold a model's sizes. */
export interface SizeKeys {
  readonly layers: string
  readonly width: string
  readonly mlpWidth: string
  readonly heads: string
  readonly context: string
}

const SIZE_KEYS: SizeKeys = {
  layers: 'num_hidden_layers',
  width: 'hidden_size',
  mlpWidth: 'intermediate_size',
  heads: 'num_attention_heads',
  context: 'max_position_embeddings',
}

/** What a configuration does not say and what it calls things. */
export interface SizeOptions {
  readonly keys?: SizeKeys
  readonly tiedHead?: boolean
  /** Feed-forward width where the file has none, as a multiple of the model's. */
  readonly mlpFactor?: number
  /** Width of a head where the file has none; default: the model's over their number. */
  readonly headWidth?: number
}

/** Reads the sizes of a model of one stack, decoder-only unless said otherwise. @throws E_CONFIG */
export function readSizes(read: ConfigReader, architecture: string, options: SizeOptions = {}): ModelConfig {
  const { keys = SIZE_KEYS, tiedHead = false, mlpFactor, headWidth } = options
  const width = read.positive(keys.width)
  const heads = read.positive(keys.heads)
  return {
    architecture,
    layers: read.layers(keys.layers),
    encoderLayers: 0,
    width,
    mlpWidth: read.positive(keys.mlpWidth, mlpFactor === undefined ? undefined : mlpFactor * width),
    heads,
    kvHeads: read.divisor('num_key_value_heads', heads),
    headWidth: read.positive('head_dim', headWidth ?? width / heads),
    vocabulary: read.positive('vocab_size'),
    contextLength: read.positive(keys.context),
    tiedHead: read.flag('tie_word_embeddings', tiedHead),
  }
}

/** Layer normalisation with the weight and bias of a name. */
export function layerNormAt(scope: Scope, name: string, x: Node, epsilon: number): Node {
  const width = [Number(x.shape.at(-1))]
  return layerNorm(x, scope.weight(`${name}.weight`, width), scope.weight(`${name}.bias`, width), epsilon)
}

/** Root-mean-square normalisation with the weight of a name. */
export function rmsNormAt(scope: Scope, name: string, x: Node, epsilon: number): Node {
  return rmsNorm(x, scope.weight(`${name}.weight`, [Number(x.shape.at(-1))]), epsilon)
}

/** Rows of the embedding of a name: ids [N] → [N, width]. */
export function embedAt(scope: Scope, name: string, ids: Node, [rows, width]: readonly [number, number]): Node {
  return gatherRows(scope.weight(`${name}.weight`, [rows, width]), ids)
}

/** The head: the embedding itself where it is tied, else a weight of its own: [R, D] → [R, V]. */
export function headAt(scope: Scope, name: string, x: Node, vocabulary: number): Node {
  return matmul(x, scope.weight(`${name}.weight`, [vocabulary, Number(x.shape.at(-1))]), 'b')
}

/** A gated feed-forward up to its down-projection: `act(x·G) ⊙ (x·U)` [N, F]. */
export function gatedInner(gate: Node, up: Node, activation: (x: Node) => Node): Node {
  return multiply(activation(gate), up)
}

/** Queries, keys and values from three projections under a name: H·E, KV·E and KV·E columns. */
export function projectQkv(
  scope: Scope,
  name: string,
  x: Node,
  { heads, kvHeads, headWidth }: ModelConfig,
  bias: boolean,
): QueriesKeysValues {
  return {
    q: scope.linear(x, `${name}.q_proj`, heads * headWidth, bias),
    k: scope.linear(x, `${name}.k_proj`, kvHeads * headWidth, bias),
    v: scope.linear(x, `${name}.v_proj`, kvHeads * headWidth, bias),
  }
}

/** A layer's end without further ado: the down-projection's output added to the residual stream, both sites marked. */
export function addToResidual(scope: Scope, layer: number, { residual }: LayerCut, output: Node): Node {
  return scope.site('block-output', layer, add(residual, scope.site('mlp-output', layer, output)))
}

/** Names of a layer's linear layers by role, under the name of the layer. */
export type RoleNames = Readonly<Partial<Record<WeightRole, string>>>

/** The linear layer of a role, from the names that an architecture has for them. */
export function moduleNames(
  block: (layer: number) => string,
  roles: RoleNames,
): (role: WeightRole, layer: number) => string | undefined {
  return (role, layer) => roles[role] && `${block(layer)}.${roles[role]}`
}
