/**
 * The Gemma 3 architecture (Gemma Team 2025, arXiv 2503.19786), without its pictures: Gemma 2's, with queries and keys normalised head
 * by head instead of capped scores, five layers in a sliding window to one that sees all, and a rotary embedding for each of
 * the two kinds.
 */
import type { Architecture } from './architecture.ts'
import { readConfig } from './config.ts'
import { openGemma } from './gemma.ts'
import { normHeads } from './qwen3.ts'
import { readRotary } from './rotary.ts'

/** Every sixth layer sees all positions. */
const WINDOW_PATTERN = 6
const DEFAULT_WINDOW = 4096
const GLOBAL_BASE = 1_000_000
const LOCAL_BASE = 10_000

/** The Gemma 3 architecture. */
export const gemma3: Architecture = {
  name: 'gemma3',
  title: 'Gemma 3 (its text part)',
  modelTypes: ['gemma3_text'],
  prefix: 'model.',
  // The language model within one that takes in pictures, as older and newer libraries save it.
  rename: (name) =>
    name
      .replace(/^(language_model\.model|model\.language_model)\./, 'model.')
      .replace(/^language_model\.lm_head\./, 'lm_head.'),
  open(raw) {
    const read = readConfig(raw)
    read.only('use_bidirectional_attention', [false], false)
    const pattern = read.positive('sliding_window_pattern', WINDOW_PATTERN)
    const windows = read.windows(
      read.layers('num_hidden_layers'),
      (layer) => (layer + 1) % pattern !== 0,
      DEFAULT_WINDOW,
    )
    const headWidth = read.positive('head_dim', 256)
    const scale = read.number('query_pre_attn_scalar', 256) ** -0.5
    const softcap = read.numberOrNull('attn_logit_softcapping', null)
    const global = readRotary(raw, {
      headWidth,
      layerType: 'full_attention',
      base: read.number('rope_theta', GLOBAL_BASE),
    })
    // Files of either kind say the local base in a key of its own, or in the object of its type of layer; no scaling there.
    const { rope_scaling: _, ...unscaled } = raw
    const local = readRotary(unscaled, {
      headWidth,
      layerType: 'sliding_attention',
      base: read.number('rope_local_base_freq', LOCAL_BASE),
    })
    return openGemma(raw, 'gemma3', {
      postNorms: true,
      form: (layer) => {
        const window = windows[layer] ?? null
        return { scale, softcap, window, rotary: window === null ? global.rotary : local.rotary }
      },
      norms: normHeads,
      logitCap: read.numberOrNull('final_logit_softcapping', null),
    })
  },
}
