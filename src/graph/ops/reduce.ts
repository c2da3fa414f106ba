/** Sums and their inverse, spreading: each is the other's gradient. */

import type { DType } from '../../tensor/tensor.ts'
import { checkShape, formatShape, makeNode, type Node, type Op, type Shape } from '../graph.ts'

/** `y = Σ x` over the axes, which stay with size 1. */
export const SUM: Op<{ axes: readonly number[] }> = {
  name: 'sum',
  shape: ([x], { axes }) => (x?.shape ?? []).map((dim, axis) => (axes.includes(axis) ? 1 : dim)),
  emit: (emitter, [x], node) =>
    emitter.node('ReduceSum', [x ?? '', emitter.int64(node.attributes.axes)], { keepdims: 1 }),
  gradient: (node, upstream) => [broadcastTo(upstream, node.inputs[0]?.shape ?? [])],
}

/** `y = x` repeated along its dimensions of size 1 (and new leading ones) to the shape. */
export const BROADCAST: Op<{ shape: Shape }> = {
  name: 'broadcast',
  shape: ([x], { shape }) => {
    const from = x?.shape ?? []
    const fits = from.every((dim, i) => dim === 1 || dim === shape[shape.length - from.length + i])
    checkShape(fits, 'broadcast', `expected sizes of 1 or equal, found ${formatShape(from)} to ${formatShape(shape)}`)
    return shape
  },
  emit: (emitter, [x], node) => {
    return emitter.node('Expand', [x ?? '', emitter.shape(node.attributes.shape, 'exact')])
  },
  gradient: (node, upstream) => [sumTo(upstream, node.inputs[0]?.shape ?? [])],
}

/** Drops leading dimensions of size 1. */
export const DROP_LEADING: Op<{ count: number }> = {
  name: 'drop-leading',
  shape: ([x], { count }) => (x?.shape ?? []).slice(count),
  emit: (emitter, [x], node) =>
    emitter.node('Squeeze', [x ?? '', emitter.int64(Array.from({ length: node.attributes.count }, (_, i) => i))]),
  gradient: (node, upstream) => [broadcastTo(upstream, node.inputs[0]?.shape ?? [])],
}

/** The index of the largest element along the last axis, which goes. Ties: the first. */
export const ARGMAX: Op = {
  name: 'argmax',
  shape: ([x]) => (x?.shape ?? []).slice(0, -1),
  dtype: (): DType => 'int64',
  emit: (emitter, [x]) => emitter.node('ArgMax', [x ?? ''], { axis: -1, keepdims: 0 }),
  noGradient: 'an index does not vary smoothly',
}

/** Sums along the axes, which stay with size 1. */
export function sum(x: Node, axes: readonly number[]): Node {
  return makeNode(SUM, [x], { axes })
}

/** Repeats a value along its dimensions of size 1 to a shape. */
export function broadcastTo(x: Node, shape: Shape): Node {
  return sameShape(x.shape, shape) ? x : makeNode(BROADCAST, [x], { shape })
}

/** Sums a gradient back to the shape of what was broadcast. Leading dimensions that the shape lacks are summed away. */
export function sumTo(x: Node, shape: Shape): Node {
  if (sameShape(x.shape, shape)) return x
  const extra = x.shape.length - shape.length
  const axes = x.shape.flatMap((dim, axis) => (axis < extra || (shape[axis - extra] === 1 && dim !== 1) ? [axis] : []))
  const summed = axes.length === 0 ? x : sum(x, axes)
  return extra === 0 ? summed : makeNode(DROP_LEADING, [summed], { count: extra })
}

/** The index of the largest element along the last axis. */
export function argmax(x: Node): Node {
  return makeNode(ARGMAX, [x], {})
}

/** Are two shapes the same, symbol by symbol? */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i])
}
