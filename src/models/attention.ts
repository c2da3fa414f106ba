/**
 * Attention in two forms: plain products, which can be differentiated and go on from captured keys and values; and the
 * runtime's fused operation with a growing cache, for generation. Grouped-query attention never repeats keys or values:
 * the G query heads of one key head stand one below the other. E is the width of a head.
 */
import { type Dim, input, type Node } from '../graph/graph.ts'
import { groupedAttention, rotary } from '../graph/ops/attention.ts'
import { add } from '../graph/ops/elementwise.ts'
import { matmul } from '../graph/ops/matmul.ts'
import { softmax } from '../graph/ops/normalize.ts'
import { broadcastTo } from '../graph/ops/reduce.ts'
import { concat, reshape, transpose } from '../graph/ops/shape.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { AttentionShape } from './architecture.ts'

/** One layer's attention: q [N, H·E], k and v [N, KV·E] → [N, H·E]. */
export type Attention = (layer: number, q: Node, k: Node, v: Node) => Node

/** Keys and values of one layer [B, KV, ·, E]. */
export interface KeysValues {
  readonly keys: Node
  readonly values: Node
}

/** What a masked score is set to: far below any real score, yet finite, so that a row without keys gives no NaN. */
const MASKED = -1e30

/**
 * Plain attention.
 * @param past gives a layer's captured keys and values, which stand before the new ones; without it, attention is
 *   among the batch's own positions, and mask and angles are the same for all rows.
 * @param keep is told each layer's new keys and values, and all it has with the past
 */
export function plainAttention(
  shape: AttentionShape,
  past?: (layer: number) => KeysValues,
  keep?: (layer: number, made: KeysValues, all: KeysValues) => void,
): Attention {
  const { heads: H, kvHeads: KV, headWidth: E } = shape
  const G = H / KV
  const rows: Dim = past === undefined ? 1 : 'B'
  const S: Dim = past === undefined ? 'T' : 'S'
  const cos = input('cos', [rows, 'T', 1, E])
  const sin = input('sin', [rows, 'T', 1, E])
  const mask = input('mask', [rows, 1, 1, 'T', S])

  return (layer, q, k, v) => {
    const queries = rotary(reshape(q, ['B', 'T', H, E]), cos, sin)
    const grouped = transpose(reshape(queries, ['B', 'T', KV, G, E]), [0, 2, 3, 1, 4]) // [B, KV, G, T, E]
    const made = {
      keys: transpose(rotary(reshape(k, ['B', 'T', KV, E]), cos, sin), [0, 2, 1, 3]), // [B, KV, T, E]
      values: transpose(reshape(v, ['B', 'T', KV, E]), [0, 2, 1, 3]),
    }
    const { keys, values } = past === undefined ? made : join(past(layer), made) // [B, KV, S, E]
    keep?.(layer, made, { keys, values })
    const stacked = reshape(grouped, ['B', KV, timesT(G), E])
    const scores = matmul(stacked, keys, 'b', 1 / Math.sqrt(E)) // [B, KV, G·T, S]
    const weights = softmax(add(reshape(scores, ['B', KV, G, 'T', S]), mask))
    const mixed = matmul(reshape(weights, ['B', KV, timesT(G), S]), values) // [B, KV, G·T, E]
    const parted = transpose(reshape(mixed, ['B', KV, G, 'T', E]), [0, 3, 1, 2, 4]) // [B, T, KV, G, E]
    return reshape(parted, ['B*T', H * E])
  }
}

function timesT(groups: number): Dim {
  return groups === 1 ? 'T' : `${groups}*T`
}

function join(past: KeysValues, made: KeysValues): KeysValues {
  return { keys: concat(past.keys, made.keys, 2, 'S'), values: concat(past.values, made.values, 2, 'S') }
}

/** Whose earlier keys and values a row attends to: its own, or those of a prefix that all rows share. */
export type Past = 'own' | 'shared'

/** The inputs that hold a layer's earlier keys and values, for each row [B, KV, P, E]. */
export function pastInputs({ kvHeads, headWidth }: AttentionShape, layer: number, past: Past = 'own'): KeysValues {
  const rows = ['B', kvHeads, 'P', headWidth]
  const fed = past === 'shared' ? [1, kvHeads, 'P', headWidth] : rows
  return {
    keys: broadcastTo(input(pastName('keys', layer), fed), rows),
    values: broadcastTo(input(pastName('values', layer), fed), rows),
  }
}

/** The name of such an input. */
export function pastName(what: keyof KeysValues, layer: number): string {
  return `past-${what} ${layer}`
}

/** Does the runtime's fused attention take heads of this width? */
export function fitsFusedAttention({ headWidth }: AttentionShape): boolean {
  return headWidth % FUSED_HEAD_STEP === 0
}

// onnxruntime 1.30: GroupQueryAttention with rotary embedding refuses other head sizes.
const FUSED_HEAD_STEP = 16

/** Fused attention with a growing cache; `keep` is told each layer's grown cache. */
export function cachedAttention(shape: AttentionShape, keep: (layer: number, grown: KeysValues) => void): Attention {
  const { heads, kvHeads, headWidth } = shape
  const lastPosition = input('last-position', ['B'], 'int32')
  const total = input('total', [], 'int32')
  const cos = input('cos', ['positions', headWidth / 2])
  const sin = input('sin', ['positions', headWidth / 2])
  return (layer, q, k, v) => {
    const past = pastInputs(shape, layer)
    const { output, keys, values } = groupedAttention(
      {
        q: reshape(q, ['B', 'T', heads * headWidth]),
        k: reshape(k, ['B', 'T', kvHeads * headWidth]),
        v: reshape(v, ['B', 'T', kvHeads * headWidth]),
        pastKeys: past.keys,
        pastValues: past.values,
        lastPosition,
        total,
        cos,
        sin,
      },
      shape,
    )
    keep(layer, { keys, values })
    return reshape(output, ['B*T', heads * headWidth])
  }
}

/** Angles of the rotary embedding for rows of positions that start at `from`: cos and sin [rows, T, 1, E]. */
export function rotaryFeeds(shape: AttentionShape, from: readonly number[], T: number): Record<'cos' | 'sin', Tensor> {
  const { headWidth: E, ropeTheta } = shape
  const half = E / 2
  const cos = new Float32Array(from.length * T * E)
  const sin = new Float32Array(from.length * T * E)
  from.forEach((start, row) => {
    for (let t = 0; t < T; t++) {
      for (let j = 0; j < half; j++) {
        const angle = (start + t) / ropeTheta ** (j / half)
        const at = (row * T + t) * E + j
        cos[at] = cos[at + half] = Math.cos(angle)
        sin[at] = sin[at + half] = Math.sin(angle)
      }
    }
  })
  const size = [from.length, T, 1, E]
  return { cos: tensor(cos, size), sin: tensor(sin, size) }
}

/** The same angles as a table by position [P, E/2], for the fused attention. */
export function rotaryTable(shape: AttentionShape, positions: number): Record<'cos' | 'sin', Tensor> {
  const half = shape.headWidth / 2
  const cos = new Float32Array(positions * half)
  const sin = new Float32Array(positions * half)
  for (let p = 0; p < positions; p++) {
    for (let j = 0; j < half; j++) {
      const angle = p / shape.ropeTheta ** (j / half)
      cos[p * half + j] = Math.cos(angle)
      sin[p * half + j] = Math.sin(angle)
    }
  }
  return { cos: tensor(cos, [positions, half]), sin: tensor(sin, [positions, half]) }
}

/** The causal mask among T positions of a row: 0 or {@link MASKED} [1, 1, 1, T, T]. */
export function causalMask(T: number): Tensor {
  const mask = new Float32Array(T * T)
  for (let t = 0; t < T; t++) mask.fill(MASKED, t * T + t + 1, (t + 1) * T)
  return tensor(mask, [1, 1, 1, T, T])
}

/**
 * The mask of T new positions over S places: the first P hold earlier positions, of which row b has only `past[b]`; then
 * come places that all rows have, the last T of them new. [B, 1, 1, T, S]
 */
export function windowMask(past: readonly number[], P: number, T: number, S = P + T): Tensor {
  const mask = new Float32Array(past.length * T * S)
  past.forEach((kept, row) => {
    for (let t = 0; t < T; t++) {
      const at = (row * T + t) * S
      mask.fill(MASKED, at + kept, at + P)
      mask.fill(MASKED, at + S - T + t + 1, at + S)
    }
  })
  return tensor(mask, [past.length, 1, 1, T, S])
}
