/**
 * The GPT-J architecture (Wang & Komatsuzaki 2021): attention and feed-forward side by side after one LayerNorm, a rotary
 * embedding of neighbouring columns in the first part of each head, own head with a bias.
 */
import { add } from '../graph/ops/elementwise.ts'
import { type Architecture, forEachLayer, plainForm } from './architecture.ts'
import { addToResidual, embedAt, headAt, layerNormAt, moduleNames, projectQkv, readSizes } from './blocks.ts'
import { readConfig } from './config.ts'
import { GPT2_KEYS } from './gpt2.ts'

/** Base of the rotary embedding's wavelengths, which configurations do not say. */
const ROTARY_BASE = 10_000

/** The GPT-J architecture. */
export const gptj: Architecture = {
  name: 'gptj',
  title: 'GPT-J 6B',
  modelTypes: ['gptj'],
  prefix: 'transformer.',

  open(raw) {
    const read = readConfig(raw)
    const config = readSizes(read, 'gptj', { keys: GPT2_KEYS, mlpFactor: 4 })
    const { layers, width, mlpWidth, vocabulary, headWidth } = config
    const epsilon = read.number('layer_norm_epsilon', 1e-5)
    const activation = read.activation('activation_function', 'gelu_new')
    const turned = read.positive('rotary_dim', headWidth)
    const frequencies = Array.from({ length: turned / 2 }, (_, j) => ROTARY_BASE ** ((-2 * j) / turned))
    const rotary = { width: turned, pairs: 'interleaved', frequencies, magnitude: 1 } as const

    return {
      config,
      stored: 'out-in',
      attention: forEachLayer(layers, () => plainForm(headWidth, { rotary })),
      moduleName: moduleNames(block, {
        'mlp-down': 'mlp.fc_out',
        'mlp-up': 'mlp.fc_in',
        'attention-query': 'attn.q_proj',
        'attention-value': 'attn.v_proj',
        'attention-output': 'attn.out_proj',
      }),

      embed: (scope, ids) => embedAt(scope, 'transformer.wte', ids, [vocabulary, width]),

      toDownProjection(scope, layer, input) {
        const at = block(layer)
        const x = scope.site('block-input', layer, input) // [N, D]
        const h = layerNormAt(scope, `${at}.ln_1`, x, epsilon)
        const attended = scope.attention(layer, projectQkv(scope, `${at}.attn`, h, config, false)) // [N, D]
        const output = scope.site('attention-output', layer, scope.linear(attended, `${at}.attn.out_proj`, width))
        const inner = activation(scope.linear(scope.site('mlp-input', layer, h), `${at}.mlp.fc_in`, mlpWidth, true))
        return { residual: add(x, output), inner: scope.site('mlp-inner', layer, inner) } // [N, D], [N, F]
      },

      fromDownProjection(scope, layer, cut) {
        return addToResidual(scope, layer, cut, scope.linear(cut.inner, `${block(layer)}.mlp.fc_out`, width, true))
      },

      head(scope, x) {
        const h = layerNormAt(scope, 'transformer.ln_f', x, epsilon) // [R, D]
        const logits = headAt(scope, config.tiedHead ? 'transformer.wte' : 'lm_head', h, vocabulary) // [R, V]
        return add(logits, scope.weight('lm_head.bias', [vocabulary]))
      },
    }
  },
}

function block(layer: number): string {
  return `transformer.h.${layer}`
}
