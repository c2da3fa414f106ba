/**
 * The Gemma 2 architecture (Gemma Team 2024, arXiv 2408.00118): Gemma's, with norms after attention and feed-forward,
 * every other layer in a sliding window, and soft caps on scores and logits.
 */
import type { Architecture } from './architecture.ts'
import { readConfig } from './config.ts'
import { openGemma } from './gemma.ts'

const DEFAULT_WINDOW = 4096

/** The Gemma 2 architecture. */
export const gemma2: Architecture = {
  name: 'gemma2',
  title: 'Gemma 2',
  modelTypes: ['gemma2'],
  prefix: 'model.',
  open(raw) {
    const read = readConfig(raw)
    const windows = read.windows(read.layers('num_hidden_layers'), (layer) => layer % 2 === 0, DEFAULT_WINDOW)
    const scale = read.number('query_pre_attn_scalar', 256) ** -0.5
    const softcap = read.numberOrNull('attn_logit_softcapping', 50)
    return openGemma(raw, 'gemma2', {
      postNorms: true,
      form: (layer) => ({ scale, softcap, window: windows[layer] ?? null }),
      logitCap: read.numberOrNull('final_logit_softcapping', 30),
    })
  },
}
