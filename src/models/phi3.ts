/**
 * The Phi-3 architecture (Abdin et al. 2024, arXiv 2404.14219), also Phi-3.5 mini and Phi-4: Llama's, with queries, keys and
 * values in one projection, and both halves of the gated feed-forward in another.
 */
import { splitLast } from '../graph/ops/shape.ts'
import type { Architecture } from './architecture.ts'
import { openLlama } from './llama.ts'

/** The Phi-3 architecture. */
export const phi3: Architecture = {
  name: 'phi3',
  title: 'Phi-3, Phi-3.5 mini, Phi-4',
  modelTypes: ['phi3'],
  prefix: 'model.',
  open: (raw) =>
    openLlama(raw, 'phi3', {
      windows: (read, layers) => read.windows(layers, () => true, null),
      project(scope, name, x, { heads, kvHeads, headWidth }) {
        const sizes = [heads, kvHeads, kvHeads].map((count) => count * headWidth)
        const all = scope.linear(x, `${name}.qkv_proj`, (heads + 2 * kvHeads) * headWidth)
        const [q = all, k = all, v = all] = splitLast(all, sizes)
        return { q, k, v }
      },
      gateAndUp(scope, name, x, { mlpWidth }) {
        const both = scope.linear(x, `${name}.gate_up_proj`, 2 * mlpWidth)
        const [gate = both, up = both] = splitLast(both, [mlpWidth, mlpWidth])
        return { gate, up }
      },
      query: 'self_attn.qkv_proj',
      value: 'self_attn.qkv_proj',
      up: 'mlp.gate_up_proj',
    }),
}
