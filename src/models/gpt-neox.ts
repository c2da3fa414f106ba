/**
 * The GPT-NeoX architecture (Black et al. 2022, arXiv 2204.06745), also Pythia: attention and feed-forward side by side, each
 * after a LayerNorm of its own (one after the other where the configuration says so), a rotary embedding of the first part of
 * each head, queries, keys and values in one projection, head by head.
 */
import type { Node } from '../graph/graph.ts'
import { add } from '../graph/ops/elementwise.ts'
import { reshape, splitLast } from '../graph/ops/shape.ts'
import { type Architecture, forEachLayer, plainForm, type QueriesKeysValues } from './architecture.ts'
import { addToResidual, embedAt, headAt, layerNormAt, moduleNames, readSizes } from './blocks.ts'
import { readConfig } from './config.ts'
import { readRotary } from './rotary.ts'

const EMBEDDING = 'gpt_neox.embed_in'
/** Share of a head's columns that turn, and base, where a file has neither. */
const ROTARY_SHARE = 0.25
const ROTARY_BASE = 10_000

/** The GPT-NeoX architecture. */
export const gptNeox: Architecture = {
  name: 'gpt-neox',
  title: 'GPT-NeoX 20B, Pythia',
  modelTypes: ['gpt_neox'],
  prefix: 'gpt_neox.',

  open(raw) {
    const read = readConfig(raw)
    const config = readSizes(read, 'gpt-neox')
    const { layers, width, mlpWidth, vocabulary, headWidth } = config
    const epsilon = read.number('layer_norm_eps', 1e-5)
    const activation = read.activation('hidden_act', 'gelu')
    const biased = read.flag('attention_bias', true)
    const isParallel = read.flag('use_parallel_residual', true)
    const { rotary } = readRotary(raw, {
      headWidth,
      share: read.number('rotary_pct', ROTARY_SHARE),
      base: read.number('rotary_emb_base', read.number('rope_theta', ROTARY_BASE)),
    })

    return {
      config,
      stored: 'out-in',
      attention: forEachLayer(layers, () => plainForm(headWidth, { rotary })),
      moduleName: moduleNames(block, {
        'mlp-down': 'mlp.dense_4h_to_h',
        'mlp-up': 'mlp.dense_h_to_4h',
        'attention-query': 'attention.query_key_value',
        'attention-value': 'attention.query_key_value',
        'attention-output': 'attention.dense',
      }),

      embed: (scope, ids) => embedAt(scope, EMBEDDING, ids, [vocabulary, width]),

      toDownProjection(scope, layer, input) {
        const at = block(layer)
        const x = scope.site('block-input', layer, input) // [N, D]
        const h = layerNormAt(scope, `${at}.input_layernorm`, x, epsilon)
        const qkv = scope.linear(h, `${at}.attention.query_key_value`, 3 * width, biased) // [N, H·3·E]
        const attended = scope.attention(layer, splitHeads(qkv, headWidth)) // [N, D]
        const output = scope.linear(attended, `${at}.attention.dense`, width, biased)
        const residual = add(x, scope.site('attention-output', layer, output)) // [N, D]
        const normed = layerNormAt(scope, `${at}.post_attention_layernorm`, isParallel ? x : residual, epsilon)
        const m = scope.site('mlp-input', layer, normed)
        const inner = activation(scope.linear(m, `${at}.mlp.dense_h_to_4h`, mlpWidth, true)) // [N, F]
        return { residual, inner: scope.site('mlp-inner', layer, inner) }
      },

      fromDownProjection(scope, layer, cut) {
        return addToResidual(
          scope,
          layer,
          cut,
          scope.linear(cut.inner, `${block(layer)}.mlp.dense_4h_to_h`, width, true),
        )
      },

      head(scope, x) {
        const h = layerNormAt(scope, 'gpt_neox.final_layer_norm', x, epsilon) // [R, D]
        return headAt(scope, config.tiedHead ? EMBEDDING : 'embed_out', h, vocabulary) // [R, V]
      },
    }
  },
}

/** Query, key and value of each head stand side by side: [N, H·3·E] → three times [N, H·E]. */
function splitHeads(qkv: Node, headWidth: number): QueriesKeysValues {
  const [rows = 0, columns = 0] = qkv.shape
  const heads = Number(columns) / (3 * headWidth)
  const byHead = splitLast(reshape(qkv, [rows, heads, 3 * headWidth]), [headWidth, headWidth, headWidth])
  const [q = qkv, k = qkv, v = qkv] = byHead.map((part) => reshape(part, [rows, heads * headWidth]))
  return { q, k, v }
}

function block(layer: number): string {
  return `gpt_neox.layers.${layer}`
}
