/**
 * Side memories of a down-projection, in a graph. Which of them answers is decided for each row by all of its prompt. Positions
 * may come in several runs, as where a text is generated token by token: each run is told what each of its positions counts
 * for and what the activations are already, so that a decision, once all of the prompt was seen, stays.
 *
 *   aⱼ = earlier aⱼ + Σ over positions of share · ‖x·Δⱼ‖,   j* = argmax of aⱼ among aⱼ ≥ thresholdⱼ,   y = x·Δ_{j*} or 0
 *
 * Deltas and thresholds are fed, their number is a symbol: one session serves all numbers of memories. No gradient goes through the choice.
 */
import { input, type Node, scalarLike, times } from '../graph/graph.ts'
import { add, multiply, sqrt, subtract } from '../graph/ops/elementwise.ts'
import { matmul } from '../graph/ops/matmul.ts'
import { argmax, sum } from '../graph/ops/reduce.ts'
import { gatherRows } from '../graph/ops/rows.ts'
import { lessOrEqual, where } from '../graph/ops/select.ts'
import { reshape } from '../graph/ops/shape.ts'
import type { AnyTensor } from '../graph/session.ts'
import { type Tensor, tensor, zeros } from '../tensor/tensor.ts'
import type { SideMemories } from './merged-patch.ts'

/** What memories make of a down-projection's input. */
export interface Recollection {
  /** Added to the down-projection's output [N, D]. */
  readonly answer: Node
  /** aⱼ [B, n] */
  readonly activations: Node
  /** ‖x·Δⱼ‖ [B, T, n] */
  readonly lengths: Node
}

/** What a run's positions mean to memories at a layer. */
export interface PromptShares {
  /** What each position counts for in the mean over its row's prompt [B, T]. */
  readonly shares: Tensor
  /** Activations by positions before those of the run, a row for each row or one for all [·, n]; null: there are none. */
  readonly earlier: Tensor | null
}

/** Asks memories of width D with a down-projection's input x [N, F], N = B·T or, in an encoder, B·I. */
export function recall(layer: number, x: Node, width: number, length: 'T' | 'I'): Recollection {
  const n = `memories(${layer})`
  const into = x.shape[1] ?? 0
  const deltas = reshape(input(`deltas ${layer}`, [into, n, width]), [into, times(n, width)])
  const answers = reshape(matmul(x, deltas), ['B', length, n, width])
  const lengths = sqrt(sum(multiply(answers, answers), [3])) // [B, T, n, 1]
  const shares = reshape(input(`shares ${layer}`, ['B', length]), ['B', length, 1, 1])
  const seen = reshape(sum(multiply(lengths, shares), [1]), ['B', n])
  const activations = add(seen, input(`activations ${layer}`, ['B', n]))
  const missing = subtract(input(`thresholds ${layer}`, [1, n]), activations)
  const isReached = lessOrEqual(missing, scalarLike(missing, 0)) // [B, n]
  const best = argmax(where(isReached, activations, scalarLike(activations, -1))) // [B]
  const each = gatherRows(input(`each ${layer}`, [n, n]), best)
  const chosen = reshape(where(isReached, each, scalarLike(each, 0)), ['B', 1, n, 1])
  return {
    answer: reshape(sum(multiply(answers, chosen), [2]), [x.shape[0] ?? 0, width]),
    activations,
    lengths: reshape(lengths, ['B', length, n]),
  }
}

/** What the inputs of {@link recall} are fed. */
export function recallFeeds(
  layer: number,
  { deltas, thresholds }: SideMemories,
  { shares, earlier }: PromptShares,
): Record<string, AnyTensor> {
  const n = thresholds.data.length
  const rows = shares.shape[0] ?? 0
  const activations = new Float32Array(rows * n)
  if (earlier !== null) for (let i = 0; i < rows * n; i++) activations[i] = earlier.data[i % earlier.data.length] ?? 0
  const each = zeros([n, n])
  for (let memory = 0; memory < n; memory++) each.data[memory * n + memory] = 1
  return {
    [`deltas ${layer}`]: deltas,
    [`thresholds ${layer}`]: thresholds,
    [`each ${layer}`]: each,
    [`shares ${layer}`]: shares,
    [`activations ${layer}`]: tensor(activations, [rows, n]),
  }
}

/** The activations by the positions of each row before `from`, of prompts of such lengths, out of ‖x·Δⱼ‖ [B, T, n] → [B, n]. */
export function sumBefore(lengths: Tensor, from: readonly number[], prompts: readonly number[]): Tensor {
  const [rows = 0, T = 0, n = 0] = lengths.shape
  const sums = zeros([rows, n])
  for (let row = 0; row < rows; row++) {
    const prompt = prompts[row] ?? 0
    for (let t = 0; t < Math.min(from[row] ?? 0, prompt); t++) {
      for (let j = 0; j < n; j++) {
        const to = row * n + j
        sums.data[to] = (sums.data[to] ?? 0) + (lengths.data[(row * T + t) * n + j] ?? 0) / prompt
      }
    }
  }
  return sums
}
