/** The parts of attention that are not plain products. */
import { type Emitter, makeNode, type Node, type Op, valueAt } from '../graph.ts'
import { CONTRIBUTED } from '../onnx.ts'
import { negate } from './elementwise.ts'

/** Which columns of a head turn together: j and j + w/2 (`halves`, as Llama), or 2j and 2j + 1 (`interleaved`, as GPT-J). */
export type RotaryPairs = 'halves' | 'interleaved'

/**
 * Rotary position embedding (Su et al. 2021) of the first w columns of each head: `y = x·cos + swap(x)·sin`, where swap
 * exchanges the two columns of each pair and sin has its sign: −sin for the first of a pair, sin for the second.
 * x [B, T, H, E], cos and sin [·, T, 1, w]. A rotation's gradient turns back: the same with −sin.
 */
export const ROTARY: Op<{ pairs: RotaryPairs }> = {
  name: 'rotary',
  shape: ([x]) => x?.shape ?? [],
  emit: (emitter, [x = '', cos = '', sin = ''], node) => {
    const width = Number(node.inputs[0]?.shape.at(-1))
    const turned = Number(node.inputs[1]?.shape.at(-1))
    const rotate = (from: string): string =>
      emitter.node('Add', [
        emitter.node('Mul', [from, cos]),
        emitter.node('Mul', [swap(emitter, from, turned, node.attributes.pairs), sin]),
      ])
    if (turned === width) return rotate(x)
    const [first = '', rest = ''] = emitter.nodes(2, 'Split', [x, emitter.int64([turned, width - turned])], {
      axis: -1,
    })
    return emitter.node('Concat', [rotate(first), rest], { axis: -1 })
  },
  gradient: ({ inputs: [, cos, sin], attributes: { pairs } }, upstream) =>
    cos === undefined || sin === undefined ? [] : [rotary(upstream, cos, negate(sin), pairs), null, null],
}

function swap(emitter: Emitter, x: string, width: number, pairs: RotaryPairs): string {
  if (pairs === 'halves') {
    const [a = '', b = ''] = emitter.nodes(2, 'Split', [x], { axis: -1, num_outputs: 2 })
    return emitter.node('Concat', [b, a], { axis: -1 })
  }
  const order = Array.from({ length: width }, (_, i) => i ^ 1)
  return emitter.node('Gather', [x, emitter.int64(order)], { axis: -1 })
}

/** Settings of the fused attention. */
export type Grouped = {
  readonly heads: number
  readonly kvHeads: number
  /** What the products of queries and keys are multiplied by. */
  readonly scale: number
  /** Scores s become `c·tanh(s/c)`; 0: they stay. */
  readonly softcap: number
  /** Positions seen, the own among them; 0: all. */
  readonly window: number
  /** How columns turn together; empty without a rotary embedding. */
  readonly pairs: RotaryPairs | ''
}

/**
 * The runtime's fused grouped-query attention with rotary embedding and a growing cache, for generation. Values: the
 * attention's output [B, T, H·E], and the keys and values of all positions so far [B, KV, S, E].
 */
export const GROUPED_ATTENTION: Op<Grouped> = {
  name: 'grouped-attention',
  shape: ([q]) => q?.shape ?? [],
  emit: (emitter, inputs, node) => {
    const { heads, kvHeads, scale, softcap, window, pairs } = node.attributes
    return emitter.nodes(
      3,
      'GroupQueryAttention',
      inputs,
      {
        num_heads: heads,
        kv_num_heads: kvHeads,
        do_rotary: pairs === '' ? 0 : 1,
        rotary_interleaved: pairs === 'interleaved' ? 1 : 0,
        scale: { float: scale },
        softcap: { float: softcap },
        local_window_size: window === 0 ? -1 : window,
      },
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
  /** [P, w/2]: cosines and sines by position, without signs; absent without a rotary embedding. */
  readonly angles?: { readonly cos: Node; readonly sin: Node }
}

/** The fused attention: its output, and the grown cache. */
export function groupedAttention(
  inputs: GroupedAttentionInputs,
  settings: Grouped,
): { output: Node; keys: Node; values: Node } {
  const { q, k, v, pastKeys, pastValues, lastPosition, total, angles } = inputs
  const all = [q, k, v, pastKeys, pastValues, lastPosition, total, ...(angles ? [angles.cos, angles.sin] : [])]
  const output = makeNode(GROUPED_ATTENTION, all, settings)
  const headWidth = pastKeys.shape.at(-1) ?? 0
  const grown = [q.shape[0] ?? 'B', settings.kvHeads, 'S', headWidth]
  return { output, keys: valueAt(output, 1, grown), values: valueAt(output, 2, grown) }
}

/** Rotates pairs of columns by position-dependent angles; cos and sin as {@link ROTARY} says. */
export function rotary(x: Node, cos: Node, sin: Node, pairs: RotaryPairs): Node {
  return makeNode(ROTARY, [x, cos, sin], { pairs })
}
