/** Choices: comparisons and what hangs on them. */
import type { DType } from '../../tensor/tensor.ts'
import { makeNode, type Node, type Op, scalarLike, valueAt } from '../graph.ts'

/** `a ≤ b`, element by element. */
export const LESS_OR_EQUAL: Op = {
  name: 'less-or-equal',
  shape: ([a]) => a?.shape ?? [],
  dtype: (): DType => 'bool',
  emit: (emitter, inputs) => emitter.node('LessOrEqual', inputs),
  noGradient: 'a comparison does not vary smoothly',
}

/** `a` where the condition holds, else `b`; the condition may have size 1 along the last axis. */
export const WHERE: Op = {
  name: 'where',
  shape: ([, a]) => a?.shape ?? [],
  dtype: ([, a]) => a?.dtype ?? 'float32',
  emit: (emitter, inputs) => emitter.node('Where', inputs),
  gradient: ({ inputs: [condition] }, upstream) => {
    if (condition === undefined) return []
    const zero = scalarLike(upstream, 0)
    return [null, where(condition, upstream, zero), makeNode(WHERE_NOT, [condition, upstream, zero], {})]
  },
}

/** `b` where the condition holds, else `a`: the other branch's gradient. */
const WHERE_NOT: Op = {
  name: 'where-not',
  shape: ([, a]) => a?.shape ?? [],
  dtype: ([, a]) => a?.dtype ?? 'float32',
  emit: (emitter, [condition, a, b]) => emitter.node('Where', [condition ?? '', b ?? '', a ?? '']),
  noGradient: 'made by a gradient only',
}

/** The `k` largest along the last axis, falling, with their indices. */
export const TOP_K: Op<{ k: number }> = {
  name: 'top-k',
  shape: ([x], { k }) => [...(x?.shape ?? []).slice(0, -1), k],
  emit: (emitter, [x], node) =>
    emitter.nodes(2, 'TopK', [x ?? '', emitter.int64([node.attributes.k])], { axis: -1, largest: 1, sorted: 1 }),
  noGradient: 'used where text is generated',
}

/** `a ≤ b` */
export function lessOrEqual(a: Node, b: Node): Node {
  return makeNode(LESS_OR_EQUAL, [a, b], {})
}

/** `a` where the condition holds, else `b`. */
export function where(condition: Node, a: Node, b: Node): Node {
  return makeNode(WHERE, [condition, a, b], {})
}

/** The largest values along the last axis and their indices. */
export function topK(x: Node, k: number): { values: Node; indices: Node } {
  const values = makeNode(TOP_K, [x], { k })
  return { values, indices: valueAt(values, 1, values.shape, 'int64') }
}
