/**
 * The OPT architecture (Zhang et al. 2022, arXiv 2205.01068): learned positions counted from 2, ReLU, LayerNorm before
 * attention and feed-forward, or after each of them with embeddings narrower than the model (the release with 350 M
 * parameters); tied head.
 */
import { constant, type Node } from '../graph/graph.ts'
import { add } from '../graph/ops/elementwise.ts'
import { gatherRows } from '../graph/ops/rows.ts'
import { type Architecture, forEachLayer, plainForm, type Scope } from './architecture.ts'
import { embedAt, headAt, layerNormAt, moduleNames, projectQkv, readSizes } from './blocks.ts'
import { readConfig } from './config.ts'

const EMBEDDING = 'model.decoder.embed_tokens'
/** The first row of the table of positions that is used. */
const FIRST_POSITION = 2
/** The LayerNorms' ε, which configurations do not say. */
const EPSILON = 1e-5

/** The OPT architecture. */
export const opt: Architecture = {
  name: 'opt',
  title: 'OPT',
  modelTypes: ['opt'],
  prefix: 'model.',

  open(raw) {
    const read = readConfig(raw)
    read.only('layer_norm_elementwise_affine', [true], true)
    const sizes = readSizes(read, 'opt', { keys: OPT_KEYS, tiedHead: true })
    const { layers, width, mlpWidth, vocabulary, headWidth, contextLength } = sizes
    const embedded = read.positive('word_embed_proj_dim', width)
    const isNormedBefore = read.flag('do_layer_norm_before', true)
    const hasFinalNorm = isNormedBefore && !read.flag('_remove_final_layer_norm', false)
    const biased = read.flag('enable_bias', true)
    const activation = read.activation('activation_function', 'relu')
    const normBefore = (scope: Scope, name: string, x: Node) => (isNormedBefore ? norm(scope, name, x) : x)
    const normAfter = (scope: Scope, name: string, x: Node) => (isNormedBefore ? x : norm(scope, name, x))

    return {
      config: sizes,
      stored: 'out-in',
      attention: forEachLayer(layers, () => plainForm(headWidth)),
      moduleName: moduleNames(block, {
        'mlp-down': 'fc2',
        'mlp-up': 'fc1',
        'attention-query': 'self_attn.q_proj',
        'attention-value': 'self_attn.v_proj',
        'attention-output': 'self_attn.out_proj',
      }),

      embed(scope, ids) {
        const tokens = embedAt(scope, EMBEDDING, ids, [vocabulary, embedded])
        return embedded === width ? tokens : scope.linear(tokens, 'model.decoder.project_in', width)
      },

      embedPositions(scope, ids) {
        const table = scope.weight('model.decoder.embed_positions.weight', [contextLength + FIRST_POSITION, width])
        const first = constant(BigInt64Array.of(BigInt(FIRST_POSITION)), [], 'int64')
        return gatherRows(table, add(scope.positions(ids), first))
      },

      toDownProjection(scope, layer, input) {
        const at = block(layer)
        const x = scope.site('block-input', layer, input) // [N, D]
        const h = normBefore(scope, `${at}.self_attn_layer_norm`, x)
        const attended = scope.attention(layer, projectQkv(scope, `${at}.self_attn`, h, sizes, biased))
        const output = scope.linear(attended, `${at}.self_attn.out_proj`, width, biased)
        const added = add(x, scope.site('attention-output', layer, output)) // [N, D]
        const residual = normAfter(scope, `${at}.self_attn_layer_norm`, added)
        const m = scope.site('mlp-input', layer, normBefore(scope, `${at}.final_layer_norm`, residual))
        const inner = activation(scope.linear(m, `${at}.fc1`, mlpWidth, biased)) // [N, F]
        return { residual, inner: scope.site('mlp-inner', layer, inner) }
      },

      fromDownProjection(scope, layer, { residual, inner }) {
        const at = block(layer)
        const output = scope.site('mlp-output', layer, scope.linear(inner, `${at}.fc2`, width, biased)) // [N, D]
        return scope.site('block-output', layer, normAfter(scope, `${at}.final_layer_norm`, add(residual, output)))
      },

      head(scope, x) {
        const h = hasFinalNorm ? norm(scope, 'model.decoder.final_layer_norm', x) : x // [R, D]
        const narrowed = embedded === width ? h : scope.linear(h, 'model.decoder.project_out', embedded)
        return headAt(scope, sizes.tiedHead ? EMBEDDING : 'lm_head', narrowed, vocabulary) // [R, V]
      },
    }
  },
}

const OPT_KEYS = {
  layers: 'num_hidden_layers',
  width: 'hidden_size',
  mlpWidth: 'ffn_dim',
  heads: 'num_attention_heads',
  context: 'max_position_embeddings',
}

function norm(scope: Scope, name: string, x: Node): Node {
  return layerNormAt(scope, name, x, EPSILON)
}

function block(layer: number): string {
  return `model.decoder.layers.${layer}`
}
