/**
 * The Llama architecture (Touvron et al. 2023, arXiv 2302.13971; grouped-query attention as in Llama 2): RMSNorm, rotary
 * embedding, grouped-query attention, SwiGLU, tied or untied head. Also SmolLM, SmolLM2.
 */

import type { Node } from '../graph/graph.ts'
import { add, multiply, silu } from '../graph/ops/elementwise.ts'
import { matmul } from '../graph/ops/matmul.ts'
import { rmsNorm } from '../graph/ops/normalize.ts'
import { gatherRows } from '../graph/ops/rows.ts'
import type { Architecture, Configuration, Network } from './architecture.ts'
import { readConfig } from './config.ts'
import type { Json } from './json.ts'
import type { WeightRole } from './model.ts'

const EMBEDDING = 'model.embed_tokens.weight'
const FINAL_NORM = 'model.norm.weight'
const HEAD = 'lm_head.weight'

const ROLES: Readonly<Record<WeightRole, string>> = {
  'mlp-down': 'mlp.down_proj',
  'mlp-up': 'mlp.up_proj',
  'mlp-gate': 'mlp.gate_proj',
  'attention-output': 'self_attn.o_proj',
}

/** The Llama architecture. */
export const llama: Architecture = {
  name: 'llama',
  modelTypes: ['llama'],

  open(raw) {
    const read = readConfig(raw)
    read.only('attention_bias', [false], false)
    read.only('mlp_bias', [false], false)
    return openLlama(raw, { name: 'llama', biased: [] })
  },
}

/** What tells the members of the family apart. */
export interface LlamaVariant {
  /** Name of the architecture. */
  readonly name: string
  /** Projections of the attention that add a bias. */
  readonly biased: readonly string[]
}

/** Reads the configuration of a member of the family. @throws E_CONFIG */
export function openLlama(raw: Readonly<Record<string, Json>>, { name, biased }: LlamaVariant): Network {
  const read = readConfig(raw)
  const width = read.positive('hidden_size')
  const heads = read.positive('num_attention_heads')
  const epsilon = read.number('rms_norm_eps', 1e-6)
  read.only('hidden_act', ['silu', 'swish'], 'silu')
  const config: Configuration = {
    architecture: name,
    layers: read.positive('num_hidden_layers'),
    width,
    mlpWidth: read.positive('intermediate_size'),
    heads,
    kvHeads: read.positive('num_key_value_heads', heads),
    headWidth: read.positive('head_dim', width / heads),
    vocabulary: read.positive('vocab_size'),
    contextLength: read.positive('max_position_embeddings'),
    tiedHead: read.flag('tie_word_embeddings', false),
    ropeTheta: read.ropeTheta(),
  }
  return llamaNetwork(config, epsilon, biased)
}

function llamaNetwork(config: Configuration, epsilon: number, biased: readonly string[]): Network {
  const weightName = (role: WeightRole, layer: number) => `${block(layer)}.${ROLES[role]}.weight`
  return {
    config,
    weights: () => llamaWeights(config, biased),
    weightName,

    embed: (scope, ids) => gatherRows(scope.weight(EMBEDDING), ids),

    toDownProjection(scope, layer, input) {
      const name = block(layer)
      const norm = (value: Node, which: string) => rmsNorm(value, scope.weight(`${name}.${which}.weight`), epsilon)
      const linear = (value: Node, which: string) => {
        const product = scope.linear(value, `${name}.${which}.weight`)
        return biased.includes(which) ? add(product, scope.weight(`${name}.${which}.bias`)) : product
      }

      const x = scope.site('block-input', layer, input) // [N, D]
      const h = norm(x, 'input_layernorm')
      const attended = scope.attention(
        layer,
        linear(h, 'self_attn.q_proj'),
        linear(h, 'self_attn.k_proj'),
        linear(h, 'self_attn.v_proj'),
      ) // [N, H·E]
      const residual = add(x, scope.site('attention-output', layer, linear(attended, 'self_attn.o_proj'))) // [N, D]
      const m = scope.site('mlp-input', layer, norm(residual, 'post_attention_layernorm'))
      const inner = multiply(silu(linear(m, 'mlp.gate_proj')), linear(m, 'mlp.up_proj')) // [N, F]
      return { residual, inner: scope.site('mlp-inner', layer, inner) }
    },

    fromDownProjection(scope, layer, { residual, inner }) {
      const output = scope.linear(inner, weightName('mlp-down', layer)) // [N, D]
      return scope.site('block-output', layer, add(residual, scope.site('mlp-output', layer, output)))
    },

    head(scope, x) {
      const h = rmsNorm(x, scope.weight(FINAL_NORM), epsilon) // [R, D]
      return matmul(h, scope.weight(config.tiedHead ? EMBEDDING : HEAD), 'b') // [R, V]
    },
  }
}

function llamaWeights(
  { layers, width: D, mlpWidth: F, vocabulary: V, ...config }: Configuration,
  biased: readonly string[],
) {
  const heads = config.heads * config.headWidth
  const kvHeads = config.kvHeads * config.headWidth
  const weights = new Map<string, readonly number[]>([
    [EMBEDDING, [V, D]],
    [FINAL_NORM, [D]],
  ])
  if (!config.tiedHead) weights.set(HEAD, [V, D])
  for (let layer = 0; layer < layers; layer++) {
    const name = block(layer)
    weights.set(`${name}.input_layernorm.weight`, [D])
    weights.set(`${name}.self_attn.q_proj.weight`, [heads, D])
    weights.set(`${name}.self_attn.k_proj.weight`, [kvHeads, D])
    weights.set(`${name}.self_attn.v_proj.weight`, [kvHeads, D])
    weights.set(`${name}.self_attn.o_proj.weight`, [D, heads])
    weights.set(`${name}.post_attention_layernorm.weight`, [D])
    weights.set(`${name}.mlp.gate_proj.weight`, [F, D])
    weights.set(`${name}.mlp.up_proj.weight`, [F, D])
    weights.set(`${name}.mlp.down_proj.weight`, [D, F])
    for (const which of biased) {
      const [out = 0] = weights.get(`${name}.${which}.weight`) ?? []
      weights.set(`${name}.${which}.bias`, [out])
    }
  }
  return weights
}

function block(layer: number): string {
  return `model.layers.${layer}`
}
