/**
 * The BERT architecture (Devlin et al. 2019, arXiv 1810.04805) as an encoder of sentences, also MiniLM: learned positions, one
 * type of token, LayerNorm after attention and feed-forward, attention both ways.
 */
import type { Node } from '../graph/graph.ts'
import { add } from '../graph/ops/elementwise.ts'
import { gatherRows } from '../graph/ops/rows.ts'
import { slice } from '../graph/ops/shape.ts'
import { forEachLayer, type Layers, plainForm } from './architecture.ts'
import { embedAt, layerNormAt, moduleNames, readSizes } from './blocks.ts'
import { readConfig } from './config.ts'
import type { Json } from './json.ts'

/** The encoder that it is here. */
export const bert = {
  name: 'bert',
  title: 'BERT, MiniLM (sentence vectors)',
  modelTypes: ['bert'],
  prefix: 'bert.',
  open,
}

/** Reads `config.json`. @throws E_CONFIG for missing or unsupported values. */
function open(raw: Readonly<Record<string, Json>>): Layers {
  const read = readConfig(raw)
  read.only('position_embedding_type', ['absolute'], 'absolute')
  read.only('is_decoder', [false], false)
  const sizes = readSizes(read, 'bert')
  const config = { ...sizes, encoderLayers: sizes.layers }
  const { layers, width, mlpWidth, vocabulary, contextLength, headWidth } = config
  const epsilon = read.number('layer_norm_eps', 1e-12)
  const activation = read.activation('hidden_act', 'gelu')
  const types = read.positive('type_vocab_size', 2)

  return {
    config,
    stored: 'out-in',
    attention: forEachLayer(layers, () => plainForm(headWidth)),
    moduleName: moduleNames(block, {
      'mlp-down': 'output.dense',
      'mlp-up': 'intermediate.dense',
      'attention-output': 'attention.output.dense',
    }),

    embed(scope, ids) {
      const at = 'bert.embeddings'
      const tokens = embedAt(scope, `${at}.word_embeddings`, ids, [vocabulary, width])
      const table = scope.weight(`${at}.position_embeddings.weight`, [contextLength, width])
      const firstType = slice(scope.weight(`${at}.token_type_embeddings.weight`, [types, width]), 0, 0, 1)
      const sum = add(add(tokens, firstType), gatherRows(table, scope.positions(ids)))
      return layerNormAt(scope, `${at}.LayerNorm`, sum, epsilon)
    },

    toDownProjection(scope, layer, input) {
      const at = block(layer)
      const project = (x: Node, which: string) => scope.linear(x, `${at}.attention.self.${which}`, width, true)
      const x = scope.site('block-input', layer, input) // [N, D]
      const qkv = { q: project(x, 'query'), k: project(x, 'key'), v: project(x, 'value') }
      const attended = scope.linear(scope.attention(layer, qkv), `${at}.attention.output.dense`, width, true)
      const output = scope.site('attention-output', layer, attended)
      const residual = layerNormAt(scope, `${at}.attention.output.LayerNorm`, add(x, output), epsilon)
      const m = scope.site('mlp-input', layer, residual)
      const inner = activation(scope.linear(m, `${at}.intermediate.dense`, mlpWidth, true)) // [N, F]
      return { residual, inner: scope.site('mlp-inner', layer, inner) }
    },

    fromDownProjection(scope, layer, { residual, inner }) {
      const at = block(layer)
      const output = scope.site('mlp-output', layer, scope.linear(inner, `${at}.output.dense`, width, true))
      const normed = layerNormAt(scope, `${at}.output.LayerNorm`, add(residual, output), epsilon) // [N, D]
      return scope.site('block-output', layer, normed)
    },
  }
}

function block(layer: number): string {
  return `bert.encoder.layer.${layer}`
}
