/**
 * The Qwen2 architecture (Yang et al. 2024, arXiv 2407.10671), also Qwen2.5: Llama's, with biases on the projections to
 * queries, keys and values. Models with a sliding window are refused.
 */
import type { Architecture } from './architecture.ts'
import { readConfig } from './config.ts'
import { openLlama } from './llama.ts'

/** The Qwen2 architecture. */
export const qwen2: Architecture = {
  name: 'qwen2',
  modelTypes: ['qwen2'],

  open(raw) {
    readConfig(raw).only('use_sliding_window', [false], false)
    return openLlama(raw, { name: 'qwen2', biased: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'] })
  },
}
