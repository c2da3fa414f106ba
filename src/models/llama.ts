/**
 * The Llama architecture (Touvron et al. 2023, arXiv 2302.13971; grouped-query attention as in Llama 2): RMSNorm, rotary
 * embedding, grouped-query attention, SwiGLU, tied or untied head. Also SmolLM, SmolLM2.
 */

import type { Node } from '../graph/graph.ts'
import { add } from '../graph/ops/elementwise.ts'
import type { Architecture, Network, QueriesKeysValues, Scope } from './architecture.ts'
import { forEachLayer, plainForm } from './architecture.ts'
import { addToResidual, embedAt, gatedInner, headAt, moduleNames, projectQkv, readSizes, rmsNormAt } from './blocks.ts'
import { type ConfigReader, readConfig } from './config.ts'
import type { Json } from './json.ts'
import type { ModelConfig } from './model.ts'
import { readRotary } from './rotary.ts'

const EMBEDDING = 'model.embed_tokens'

/** The Llama architecture. */
export const llama: Architecture = {
  name: 'llama',
  title: 'Llama 1–3, SmolLM2',
  modelTypes: ['llama'],
  prefix: 'model.',
  open(raw) {
    const read = readConfig(raw)
    const biased = read.flag('attention_bias', false)
    return openLlama(raw, 'llama', {
      qkvBias: biased,
      outputBias: biased,
      mlpBias: read.flag('mlp_bias', false),
    })
  },
}

/** What tells the members of the family apart. */
export interface LlamaVariant {
  /** Biases of the projections to queries, keys and values; of the attention's output; of the feed-forward. Default: none. */
  readonly qkvBias?: boolean
  readonly outputBias?: boolean
  readonly mlpBias?: boolean
  /** Positions that each layer sees; default: all. */
  readonly windows?: (read: ConfigReader, layers: number) => readonly (number | null)[]
  /** Queries, keys and values of a normalised input; default: a projection each. */
  readonly project?: (scope: Scope, name: string, x: Node, config: ModelConfig, epsilon: number) => QueriesKeysValues
  /** The two halves of the gated feed-forward; default: a projection each. */
  readonly gateAndUp?: (scope: Scope, name: string, x: Node, config: ModelConfig) => { gate: Node; up: Node }
  /** Names of the linear layers that are, or hold, the queries, the values and the feed-forward's `up`. */
  readonly query?: string
  readonly value?: string
  readonly up?: string
}

/** Reads the configuration of a member of the family. @throws E_CONFIG */
export function openLlama(raw: Readonly<Record<string, Json>>, name: string, variant: LlamaVariant = {}): Network {
  const read = readConfig(raw)
  const sizes = readSizes(read, name)
  const { layers, width, mlpWidth, vocabulary, headWidth } = sizes
  const epsilon = read.number('rms_norm_eps', 1e-6)
  const activation = read.activation('hidden_act', 'silu')
  const { rotary, longest } = readRotary(raw, { headWidth })
  const config = { ...sizes, contextLength: longest ?? sizes.contextLength }
  const windows = variant.windows?.(read, layers)
  const { qkvBias = false, outputBias = false, mlpBias = false } = variant
  const { query = 'self_attn.q_proj', value = 'self_attn.v_proj', up = 'mlp.up_proj' } = variant
  const project = variant.project ?? ((scope, at, x) => projectQkv(scope, at, x, config, qkvBias))
  const gateAndUp =
    variant.gateAndUp ??
    ((scope, at, x) => ({
      gate: scope.linear(x, `${at}.gate_proj`, mlpWidth, mlpBias),
      up: scope.linear(x, `${at}.up_proj`, mlpWidth, mlpBias),
    }))

  return {
    config,
    stored: 'out-in',
    attention: forEachLayer(layers, (layer) => plainForm(headWidth, { rotary, window: windows?.[layer] ?? null })),
    moduleName: moduleNames(block, {
      'mlp-down': 'mlp.down_proj',
      'mlp-up': up,
      ...(variant.gateAndUp ? {} : { 'mlp-gate': 'mlp.gate_proj' }),
      'attention-query': query,
      'attention-value': value,
      'attention-output': 'self_attn.o_proj',
    }),

    embed: (scope, ids) => embedAt(scope, EMBEDDING, ids, [vocabulary, width]),

    toDownProjection(scope, layer, input) {
      const name = block(layer)
      const x = scope.site('block-input', layer, input) // [N, D]
      const h = rmsNormAt(scope, `${name}.input_layernorm`, x, epsilon)
      const attended = scope.attention(layer, project(scope, `${name}.self_attn`, h, config, epsilon)) // [N, H·E]
      const output = scope.linear(attended, `${name}.self_attn.o_proj`, width, outputBias)
      const residual = add(x, scope.site('attention-output', layer, output)) // [N, D]
      const m = scope.site('mlp-input', layer, rmsNormAt(scope, `${name}.post_attention_layernorm`, residual, epsilon))
      const { gate, up } = gateAndUp(scope, `${name}.mlp`, m, config)
      return { residual, inner: scope.site('mlp-inner', layer, gatedInner(gate, up, activation)) } // [N, F]
    },

    fromDownProjection(scope, layer, cut) {
      const output = scope.linear(cut.inner, `${block(layer)}.mlp.down_proj`, width, mlpBias) // [N, D]
      return addToResidual(scope, layer, cut, output)
    },

    head(scope, x) {
      const h = rmsNormAt(scope, 'model.norm', x, epsilon) // [R, D]
      return headAt(scope, config.tiedHead ? EMBEDDING : 'lm_head', h, vocabulary) // [R, V]
    },
  }
}

function block(layer: number): string {
  return `model.layers.${layer}`
}
