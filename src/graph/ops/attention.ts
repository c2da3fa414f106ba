/** The parts of attention that are not plain products. */
import { makeNode, type Node, type Op, valueAt } from '../graph.ts'
import { CONTRIBUTED } from '../onnx.ts'
import { negate } from './elementwise.ts'

/**
 * Rotary position embedding (Su et al. 2021) in the half-split form of the Llama family: `y = x·cos + rot(x)·sin`,
 * `rot([a, b]) = [−b, a]`; x [B, T, H, E], cos and sin [·, T, 1, E] with equal halves. A rotation's gradient turns back:
 * the same with −sin.
 */
export const ROTARY: Op = {
  name: 'rotary',
  shape: ([x]) => x?.shape ?? [],
  emit: (emitter, [x, cos, sin]) => {
    const [a, b] = emitter.nodes(2, 'Split', [x ?? ''], { axis: -1, num_outputs: 2 })
    const turned = emitter.node('Concat', [emitter.node('Neg', [b ?? '']), a ?? ''], { axis: -1 })
    return emitter.node('Add', [emitter.node('Mul', [x ?? '', cos ?? '']), emitter.node('Mul', [turned, sin ?? ''])])
  },
  gradient: ({ inputs: [, cos, sin] }, upstream) =>
    cos === undefined || sin === undefined ? [] : [rotary(upstream, cos, negate(sin)), null, null],
}

/** Settings of the fused attention. */
type Grouped = { heads: number; kvHeads: number; scale: number }

/**
 * The runtime's fused grouped-query attention with rotary embedding and a growing cache, for generation. Values: the
 * attention's output [B, T, H·E], and the keys and values of all positions so far [B, KV, S, E].
 */
export const GROUPED_ATTENTION: Op<Grouped> = {
  name: 'grouped-attention',
  shape: ([q]) => q?.shape ?? [],
  emit: (emitter, inputs, node) => {
    const { heads, kvHeads, scale } = node.attributes
    return emitter.nodes(
      3,
      'GroupQueryAttention',
      inputs,
      { num_heads: heads, kv_num_heads: kvHeads, do_rotary: 1, scale: { float: scale } },
      CONTRIBUTED,
    )
  },
  noGradient: 'used where text is generated; what is differentiated uses plain products',
}

/** What the fused attention reads. Shapes: q [B, T, H·E], k and v [B, T, KV·E], caches [B, KV, S, E]. */
export interface GroupedAttentionInputs {
  readonly q: Node
  readonly k: Node
  readonly v: Node
  readonly pastKeys: Node
  readonly pastValues: Node
  /** [B], int32: index of the last position of each row, padding aside. */
  readonly lastPosition: Node
  /** [], int32: the longest row's number of positions. */
  readonly total: Node
  /** [P, E/2]: cosines and sines by position. */
  readonly cos: Node
  readonly sin: Node
}

/** The fused attention: its output, and the grown cache. */
export function groupedAttention(
  inputs: GroupedAttentionInputs,
  settings: { readonly heads: number; readonly kvHeads: number; readonly headWidth: number },
): { output: Node; keys: Node; values: Node } {
  const { q, k, v, pastKeys, pastValues, lastPosition, total, cos, sin } = inputs
  const { heads, kvHeads, headWidth } = settings
  const all = [q, k, v, pastKeys, pastValues, lastPosition, total, cos, sin]
  const output = makeNode(GROUPED_ATTENTION, all, { heads, kvHeads, scale: 1 / Math.sqrt(headWidth) })
  const grown = [q.shape[0] ?? 'B', kvHeads, 'S', headWidth]
  return { output, keys: valueAt(output, 1, grown), values: valueAt(output, 2, grown) }
}

/** Rotates pairs of columns by position-dependent angles. */
export function rotary(x: Node, cos: Node, sin: Node): Node {
  return makeNode(ROTARY, [x, cos, sin], {})
}
