/**
 * The Gemma architecture (Gemma Team 2024, arXiv 2403.08295) and what its successors share: embeddings scaled by √D, norms
 * whose weights are stored as their difference from one, GeGLU in the tanh form. Gemma 2 and 3 also normalise what attention
 * and feed-forward give, and cap or window scores; see their own files.
 */
import { constant, type Node } from '../graph/graph.ts'
import { add, geluTanh, scale } from '../graph/ops/elementwise.ts'
import { rmsNorm } from '../graph/ops/normalize.ts'
import {
  type Architecture,
  type AttentionForm,
  forEachLayer,
  type Network,
  plainForm,
  type QueriesKeysValues,
  type Scope,
} from './architecture.ts'
import { softCap } from './attention.ts'
import { embedAt, gatedInner, headAt, moduleNames, projectQkv, readSizes } from './blocks.ts'
import { readConfig } from './config.ts'
import type { Json } from './json.ts'
import { readRotary } from './rotary.ts'

const EMBEDDING = 'model.embed_tokens'

/** The first Gemma. */
export const gemma: Architecture = {
  name: 'gemma',
  title: 'Gemma 1',
  modelTypes: ['gemma'],
  prefix: 'model.',
  open(raw) {
    // The first files say "gelu" and mean its tanh form.
    const activation =
      raw.hidden_act === 'gelu' ? geluTanh : readConfig(raw).activation('hidden_act', 'gelu_pytorch_tanh')
    return openGemma(raw, 'gemma', { postNorms: false, activation })
  },
}

/** What tells the members of the family apart. */
export interface GemmaVariant {
  /** Are the outputs of attention and feed-forward normalised before they are added? */
  readonly postNorms: boolean
  /** Activation of the feed-forward; default: as the file says under `hidden_activation`. */
  readonly activation?: (x: Node) => Node
  /** How a layer attends besides rotating all of each head; default: no more than that. */
  readonly form?: (layer: number) => Partial<AttentionForm>
  /** What is done to queries and keys; default: nothing. */
  readonly norms?: (
    qkv: QueriesKeysValues,
    headWidth: number,
    norm: (which: string, heads: Node) => Node,
  ) => QueriesKeysValues
  /** Logits z become c·tanh(z/c); null: they stay. */
  readonly logitCap?: number | null
}

/** Reads the configuration of a member of the family. @throws E_CONFIG */
export function openGemma(raw: Readonly<Record<string, Json>>, name: string, variant: GemmaVariant): Network {
  const read = readConfig(raw)
  // Gemma's heads are wider than the model's width over their number.
  const config = readSizes(read, name, { tiedHead: true, headWidth: 256 })
  const { layers, width, mlpWidth, vocabulary, headWidth } = config
  const epsilon = read.number('rms_norm_eps', 1e-6)
  const activation = variant.activation ?? read.activation('hidden_activation', 'gelu_pytorch_tanh')
  const biased = read.flag('attention_bias', false)
  const { rotary } = readRotary(raw, { headWidth })
  const { postNorms, form = () => ({}), norms = (qkv) => qkv, logitCap = null } = variant
  const normAt = (scope: Scope, at: string, x: Node) => onePlusNorm(scope, at, x, epsilon)
  const afterNorm = (scope: Scope, at: string, x: Node) => (postNorms ? normAt(scope, at, x) : x)

  return {
    config,
    stored: 'out-in',
    attention: forEachLayer(layers, (layer) => plainForm(headWidth, { rotary, ...form(layer) })),
    moduleName: moduleNames(block, {
      'mlp-down': 'mlp.down_proj',
      'mlp-up': 'mlp.up_proj',
      'mlp-gate': 'mlp.gate_proj',
      'attention-query': 'self_attn.q_proj',
      'attention-value': 'self_attn.v_proj',
      'attention-output': 'self_attn.o_proj',
    }),

    embed: (scope, ids) => scale(embedAt(scope, EMBEDDING, ids, [vocabulary, width]), Math.sqrt(width)),

    toDownProjection(scope, layer, input) {
      const at = block(layer)
      const x = scope.site('block-input', layer, input) // [N, D]
      const h = normAt(scope, `${at}.input_layernorm`, x)
      const qkv = projectQkv(scope, `${at}.self_attn`, h, config, biased)
      const normed = norms(qkv, headWidth, (which, heads) => normAt(scope, `${at}.self_attn.${which}`, heads))
      const attended = scope.linear(scope.attention(layer, normed), `${at}.self_attn.o_proj`, width, biased)
      const output = scope.site('attention-output', layer, attended)
      const residual = add(x, afterNorm(scope, `${at}.post_attention_layernorm`, output)) // [N, D]
      const mlpNorm = postNorms ? 'pre_feedforward_layernorm' : 'post_attention_layernorm'
      const m = scope.site('mlp-input', layer, normAt(scope, `${at}.${mlpNorm}`, residual))
      const gate = scope.linear(m, `${at}.mlp.gate_proj`, mlpWidth)
      const up = scope.linear(m, `${at}.mlp.up_proj`, mlpWidth)
      return { residual, inner: scope.site('mlp-inner', layer, gatedInner(gate, up, activation)) } // [N, F]
    },

    fromDownProjection(scope, layer, { residual, inner }) {
      const at = block(layer)
      const output = scope.site('mlp-output', layer, scope.linear(inner, `${at}.mlp.down_proj`, width)) // [N, D]
      const added = add(residual, afterNorm(scope, `${at}.post_feedforward_layernorm`, output))
      return scope.site('block-output', layer, added)
    },

    head(scope, x) {
      const h = normAt(scope, 'model.norm', x) // [R, D]
      const logits = headAt(scope, config.tiedHead ? EMBEDDING : 'lm_head', h, vocabulary) // [R, V]
      return logitCap === null ? logits : softCap(logits, logitCap)
    },
  }
}

/** Root-mean-square normalisation times `1 + w`. */
function onePlusNorm(scope: Scope, name: string, x: Node, epsilon: number): Node {
  const width = [Number(x.shape.at(-1))]
  const one = constant(Float32Array.of(1), [1], 'float32')
  return rmsNorm(x, add(scope.weight(`${name}.weight`, width), one), epsilon)
}

function block(layer: number): string {
  return `model.layers.${layer}`
}
