/**
 * The Mistral architecture (Jiang et al. 2023, arXiv 2310.06825): Llama's, in which each position may see only the last ones
 * (a sliding window; later releases have none).
 */
import type { Architecture } from './architecture.ts'
import { openLlama } from './llama.ts'

const DEFAULT_WINDOW = 4096

/** The Mistral architecture. */
export const mistral: Architecture = {
  name: 'mistral',
  title: 'Mistral 7B and its descendants',
  modelTypes: ['mistral'],
  prefix: 'model.',
  open: (raw) =>
    openLlama(raw, 'mistral', { windows: (read, layers) => read.windows(layers, () => true, DEFAULT_WINDOW) }),
}
