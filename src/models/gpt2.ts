/**
 * The GPT-2 architecture (Radford et al. 2019): learned positions, LayerNorm, queries, keys and values in one projection, a
 * plain feed-forward with GELU in the tanh form, tied head. Its linear layers are stored [in, out].
 */
import { add } from '../graph/ops/elementwise.ts'
import { gatherRows } from '../graph/ops/rows.ts'
import { splitLast } from '../graph/ops/shape.ts'
import { type Architecture, forEachLayer, plainForm } from './architecture.ts'
import { addToResidual, embedAt, headAt, layerNormAt, moduleNames, readSizes, type SizeKeys } from './blocks.ts'
import { readConfig } from './config.ts'

/** Keys of GPT-2's and GPT-J's configurations. */
export const GPT2_KEYS: SizeKeys = {
  layers: 'n_layer',
  width: 'n_embd',
  mlpWidth: 'n_inner',
  heads: 'n_head',
  context: 'n_positions',
}

const EMBEDDING = 'transformer.wte'

/** The GPT-2 architecture. */
export const gpt2: Architecture = {
  name: 'gpt2',
  title: 'GPT-2',
  modelTypes: ['gpt2'],
  prefix: 'transformer.',

  open(raw) {
    const read = readConfig(raw)
    read.only('add_cross_attention', [false], false)
    const config = readSizes(read, 'gpt2', { keys: GPT2_KEYS, tiedHead: true, mlpFactor: 4 })
    const { layers, width, mlpWidth, vocabulary, headWidth, contextLength } = config
    const epsilon = read.number('layer_norm_epsilon', 1e-5)
    const activation = read.activation('activation_function', 'gelu_new')
    const scaled = read.flag('scale_attn_weights', true) ? headWidth ** -0.5 : 1
    const byLayer = read.flag('scale_attn_by_inverse_layer_idx', false)

    return {
      config,
      stored: 'in-out',
      attention: forEachLayer(layers, (layer) => plainForm(headWidth, { scale: scaled / (byLayer ? layer + 1 : 1) })),
      moduleName: moduleNames(block, {
        'mlp-down': 'mlp.c_proj',
        'mlp-up': 'mlp.c_fc',
        'attention-query': 'attn.c_attn',
        'attention-value': 'attn.c_attn',
        'attention-output': 'attn.c_proj',
      }),

      embed: (scope, ids) => embedAt(scope, EMBEDDING, ids, [vocabulary, width]),

      embedPositions: (scope, ids) =>
        gatherRows(scope.weight('transformer.wpe.weight', [contextLength, width]), scope.positions(ids)),

      toDownProjection(scope, layer, input) {
        const at = block(layer)
        const x = scope.site('block-input', layer, input) // [N, D]
        const h = layerNormAt(scope, `${at}.ln_1`, x, epsilon)
        const qkv = scope.linear(h, `${at}.attn.c_attn`, 3 * width, true) // [N, 3·D]
        const [q = qkv, k = qkv, v = qkv] = splitLast(qkv, [width, width, width])
        const attended = scope.linear(scope.attention(layer, { q, k, v }), `${at}.attn.c_proj`, width, true)
        const residual = add(x, scope.site('attention-output', layer, attended)) // [N, D]
        const m = scope.site('mlp-input', layer, layerNormAt(scope, `${at}.ln_2`, residual, epsilon))
        const inner = activation(scope.linear(m, `${at}.mlp.c_fc`, mlpWidth, true)) // [N, F]
        return { residual, inner: scope.site('mlp-inner', layer, inner) }
      },

      fromDownProjection(scope, layer, cut) {
        return addToResidual(scope, layer, cut, scope.linear(cut.inner, `${block(layer)}.mlp.c_proj`, width, true))
      },

      head(scope, x) {
        const h = layerNormAt(scope, 'transformer.ln_f', x, epsilon) // [R, D]
        return headAt(scope, config.tiedHead ? EMBEDDING : 'lm_head', h, vocabulary) // [R, V]
      },
    }
  },
}

function block(layer: number): string {
  return `transformer.h.${layer}`
}
