/**
 * The T5 architecture (Raffel et al. 2020, arXiv 1910.10683), also Flan-T5: an encoder and a decoder with RMSNorm, no
 * biases, unscaled attention with a learned bias by the bucket of a distance, shared by the layers of a stack. Version 1.0
 * has ReLU and a tied head whose input is scaled by 1/√D; version 1.1 and Flan a gated GELU and a head of its own.
 *
 * Layers are counted through: the encoder's come first.
 */
import type { Node } from '../graph/graph.ts'
import { add, gelu, geluTanh, relu, scale, silu } from '../graph/ops/elementwise.ts'
import { type Architecture, forEachLayer, plainForm, type QueriesKeysValues, type Scope } from './architecture.ts'
import { addToResidual, embedAt, gatedInner, headAt, rmsNormAt } from './blocks.ts'
import { readConfig } from './config.ts'
import type { ModelConfig, WeightRole } from './model.ts'

const EMBEDDING = 'shared'
/** Lengths of training; the relative positions set no limit of their own. */
const TRAINED_LENGTH = 512

/** Kinds of feed-forward; a gated GELU is the one in the tanh form. */
const FEED_FORWARD_FORMS = {
  relu: { activation: relu, isGated: false },
  gelu: { activation: gelu, isGated: false },
  'gated-gelu': { activation: geluTanh, isGated: true },
  'gated-silu': { activation: silu, isGated: true },
} as const
const FEED_FORWARDS = ['relu', 'gelu', 'gated-gelu', 'gated-silu'] as const

/** The T5 architecture. */
export const t5: Architecture = {
  name: 't5',
  title: 'T5, T5 v1.1, Flan-T5',
  modelTypes: ['t5'],

  open(raw) {
    const read = readConfig(raw)
    const width = read.positive('d_model')
    const heads = read.positive('num_heads')
    const encoderLayers = read.layers('num_layers')
    const config: ModelConfig = {
      architecture: 't5',
      layers: encoderLayers + (read.has('num_decoder_layers') ? read.layers('num_decoder_layers') : encoderLayers),
      encoderLayers,
      width,
      mlpWidth: read.positive('d_ff'),
      heads,
      kvHeads: heads,
      headWidth: read.positive('d_kv'),
      vocabulary: read.positive('vocab_size'),
      contextLength: read.positive('n_positions', TRAINED_LENGTH),
      tiedHead: read.flag('tie_word_embeddings', true),
    }
    const { layers, mlpWidth, headWidth, vocabulary } = config
    const epsilon = read.number('layer_norm_epsilon', 1e-6)
    const feedForward = read.word('feed_forward_proj', FEED_FORWARDS, 'relu')
    const { activation, isGated } = FEED_FORWARD_FORMS[feedForward]
    const relative = {
      count: read.positive('relative_attention_num_buckets', 32),
      farthest: read.positive('relative_attention_max_distance', 128),
    }
    const isEncoder = (layer: number) => layer < encoderLayers
    const block = (layer: number) =>
      isEncoder(layer) ? `encoder.block.${layer}` : `decoder.block.${layer - encoderLayers}`
    const mlp = (layer: number) => `${block(layer)}.layer.${isEncoder(layer) ? 1 : 2}`
    const roles: Record<WeightRole, (layer: number) => string | undefined> = {
      'mlp-down': (layer) => `${mlp(layer)}.DenseReluDense.wo`,
      'mlp-up': (layer) => `${mlp(layer)}.DenseReluDense.${isGated ? 'wi_1' : 'wi'}`,
      'mlp-gate': (layer) => (isGated ? `${mlp(layer)}.DenseReluDense.wi_0` : undefined),
      'attention-query': (layer) => `${block(layer)}.layer.0.SelfAttention.q`,
      'attention-value': (layer) => `${block(layer)}.layer.0.SelfAttention.v`,
      'attention-output': (layer) => `${block(layer)}.layer.0.SelfAttention.o`,
    }
    /** The first layer of each stack holds the biases of all. */
    const distances = (scope: Scope, layer: number) => {
      const first = block(isEncoder(layer) ? 0 : encoderLayers)
      return scope.weight(`${first}.layer.0.SelfAttention.relative_attention_bias.weight`, [relative.count, heads])
    }
    const project = (scope: Scope, name: string, x: Node, memory: Node): QueriesKeysValues => {
      const inner = heads * headWidth
      const q = scope.linear(x, `${name}.q`, inner)
      return { q, k: scope.linear(memory, `${name}.k`, inner), v: scope.linear(memory, `${name}.v`, inner) }
    }

    return {
      config,
      stored: 'out-in',
      decoderStart: read.number('decoder_start_token_id', read.number('pad_token_id', 0)),
      attention: forEachLayer(layers, () => plainForm(headWidth, { scale: 1, relative })),
      moduleName: (role, layer) => roles[role](layer),

      embed: (scope, ids) => embedAt(scope, EMBEDDING, ids, [vocabulary, width]),

      toDownProjection(scope, layer, input) {
        const at = block(layer)
        const x = scope.site('block-input', layer, input) // [N, D]
        const h = rmsNormAt(scope, `${at}.layer.0.layer_norm`, x, epsilon)
        const qkv = project(scope, `${at}.layer.0.SelfAttention`, h, h)
        const attended = scope.attention(layer, qkv, { distances: distances(scope, layer) }) // [N, H·E]
        const output = scope.linear(attended, `${at}.layer.0.SelfAttention.o`, width)
        const own = add(x, scope.site('attention-output', layer, output))
        const residual = isEncoder(layer) ? own : add(own, readInput(scope, layer, own)) // [N, D]
        const m = scope.site('mlp-input', layer, rmsNormAt(scope, `${mlp(layer)}.layer_norm`, residual, epsilon))
        const dense = `${mlp(layer)}.DenseReluDense`
        const inner = isGated
          ? gatedInner(
              scope.linear(m, `${dense}.wi_0`, mlpWidth),
              scope.linear(m, `${dense}.wi_1`, mlpWidth),
              activation,
            )
          : activation(scope.linear(m, `${dense}.wi`, mlpWidth))
        return { residual, inner: scope.site('mlp-inner', layer, inner) } // [N, F]
      },

      fromDownProjection(scope, layer, cut) {
        return addToResidual(scope, layer, cut, scope.linear(cut.inner, `${mlp(layer)}.DenseReluDense.wo`, width))
      },

      endEncoder: (scope, x) => rmsNormAt(scope, 'encoder.final_layer_norm', x, epsilon),

      head(scope, x) {
        const h = rmsNormAt(scope, 'decoder.final_layer_norm', x, epsilon) // [R, D]
        if (!config.tiedHead) return headAt(scope, 'lm_head', h, vocabulary)
        return headAt(scope, EMBEDDING, scale(h, width ** -0.5), vocabulary) // [R, V]
      },
    }

    /** What a decoder's layer reads from the encoder. */
    function readInput(scope: Scope, layer: number, x: Node): Node {
      const name = `${block(layer)}.layer.1`
      const h = rmsNormAt(scope, `${name}.layer_norm`, x, epsilon)
      const qkv = project(scope, `${name}.EncDecAttention`, h, scope.encoded())
      return scope.linear(scope.attention(layer, qkv, { kind: 'cross' }), `${name}.EncDecAttention.o`, width)
    }
  },
}
