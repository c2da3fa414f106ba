/**
 * The Qwen3 architecture (Yang et al. 2025, arXiv 2505.09388): Llama's, with queries and keys normalised head by head, and no
 * biases.
 */
import type { Node } from '../graph/graph.ts'
import { reshape } from '../graph/ops/shape.ts'
import type { Architecture, QueriesKeysValues } from './architecture.ts'
import { projectQkv, rmsNormAt } from './blocks.ts'
import { readConfig } from './config.ts'
import { openLlama } from './llama.ts'
import { qwenWindows } from './qwen2.ts'

/** The Qwen3 architecture. */
export const qwen3: Architecture = {
  name: 'qwen3',
  title: 'Qwen3 (dense)',
  modelTypes: ['qwen3'],
  prefix: 'model.',
  open(raw) {
    const biased = readConfig(raw).flag('attention_bias', false)
    return openLlama(raw, 'qwen3', {
      outputBias: biased,
      windows: qwenWindows,
      project: (scope, name, x, config, epsilon) => {
        const qkv = projectQkv(scope, name, x, config, biased)
        const norm = (which: string, heads: Node) => rmsNormAt(scope, `${name}.${which}`, heads, epsilon)
        return normHeads(qkv, config.headWidth, norm)
      },
    })
  },
}

/** Queries and keys, each head of width E normalised by itself. */
export function normHeads(
  { q, k, v }: QueriesKeysValues,
  headWidth: number,
  norm: (which: 'q_norm' | 'k_norm', heads: Node) => Node,
): QueriesKeysValues {
  const byHead = (x: Node, which: 'q_norm' | 'k_norm'): Node => {
    const [rows = 0, columns = 0] = x.shape
    const heads = reshape(x, [rows, Number(columns) / headWidth, headWidth]) // [N, H, E]
    return reshape(norm(which, heads), [rows, columns])
  }
  return { q: byHead(q, 'q_norm'), k: byHead(k, 'k_norm'), v }
}
