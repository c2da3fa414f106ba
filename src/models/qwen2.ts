/**
 * The Qwen2 architecture (Yang et al. 2024, arXiv 2407.10671), also Qwen2.5: Llama's, with biases on the projections to
 * queries, keys and values, and a sliding window in the upper layers of some.
 */
import type { Architecture } from './architecture.ts'
import type { ConfigReader } from './config.ts'
import { openLlama } from './llama.ts'

const DEFAULT_WINDOW = 4096
const DEFAULT_BELOW = 28

/** The Qwen2 architecture. */
export const qwen2: Architecture = {
  name: 'qwen2',
  title: 'Qwen2, Qwen2.5',
  modelTypes: ['qwen2'],
  prefix: 'model.',
  open: (raw) => openLlama(raw, 'qwen2', { qkvBias: true, windows: qwenWindows }),
}

/** The layers below `max_window_layers` see all positions; the others do too, unless the file turns windows on. */
export function qwenWindows(read: ConfigReader, layers: number): readonly (number | null)[] {
  if (!read.flag('use_sliding_window', false)) return Array.from({ length: layers }, () => null)
  const below = read.number('max_window_layers', DEFAULT_BELOW)
  return read.windows(layers, (layer) => layer >= below, DEFAULT_WINDOW)
}
