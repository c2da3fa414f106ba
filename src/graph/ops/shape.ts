/** Operations that move values about without changing them. */
import { checkShape, type Dim, formatShape, makeNode, type Node, type Op, type Shape, times } from '../graph.ts'

/** The same values in row-major order under another shape. */
export const RESHAPE: Op<{ shape: Shape }> = {
  name: 'reshape',
  shape: ([x], { shape }) => {
    const from = x?.shape ?? []
    const fits = times(...from) === times(...shape)
    checkShape(fits, 'reshape', `expected as many values, found ${formatShape(from)} to ${formatShape(shape)}`)
    return shape
  },
  emit: (emitter, [x], node) => emitter.node('Reshape', [x ?? '', emitter.shape(node.attributes.shape)]),
  gradient: (node, upstream) => [reshape(upstream, node.inputs[0]?.shape ?? [])],
}

/** Axes in another order: axis `i` of the result is axis `order[i]` of the input. */
export const TRANSPOSE: Op<{ order: readonly number[] }> = {
  name: 'transpose',
  shape: ([x], { order }) => order.map((axis) => x?.shape[axis] ?? 0),
  emit: (emitter, [x], node) => emitter.node('Transpose', [x ?? ''], { perm: node.attributes.order }),
  gradient: (node, upstream) => {
    const { order } = node.attributes
    return [
      transpose(
        upstream,
        order.map((_, axis) => order.indexOf(axis)),
      ),
    ]
  },
}

/** Two values one after the other along an axis. `size` names the joint size where a part is symbolic. */
export const CONCAT: Op<{ axis: number; size: Dim }> = {
  name: 'concat',
  shape: ([a], { axis, size }) => (a?.shape ?? []).map((dim, i) => (i === axis ? size : dim)),
  emit: (emitter, inputs, node) => emitter.node('Concat', inputs, { axis: node.attributes.axis }),
  gradient: ({ inputs: [a, b], attributes: { axis } }, upstream) =>
    a === undefined || b === undefined ? [] : [part(upstream, a, axis, 'start'), part(upstream, b, axis, 'end')],
}

/** Which part of an axis. */
type End = 'start' | 'end'

/** The first or the last part of a value along an axis, as long as a second value is there. */
export const PART: Op<{ axis: number; end: End }> = {
  name: 'part',
  shape: ([, like]) => like?.shape ?? [],
  emit: (emitter, [x, like], node) => {
    const { axis, end } = node.attributes
    const length = emitter.node('Shape', [like ?? ''], { start: axis, end: axis + 1 })
    const [from, to] =
      end === 'start'
        ? [emitter.int64([0]), length]
        : [
            emitter.node('Sub', [emitter.node('Shape', [x ?? ''], { start: axis, end: axis + 1 }), length]),
            emitter.int64([2 ** 31]),
          ]
    return emitter.node('Slice', [x ?? '', from, to, emitter.int64([axis])])
  },
  gradient: ({ inputs: [x], attributes }, upstream) =>
    x === undefined ? [] : [makeNode(WIDEN, [upstream, x], attributes), null],
}

/** A value as the first or the last part of zeros along an axis, as many as a second value has there. */
export const WIDEN: Op<{ axis: number; end: End }> = {
  name: 'widen',
  shape: ([, like]) => like?.shape ?? [],
  emit: (emitter, [x, like], node) => {
    const { axis, end } = node.attributes
    const [own, all] = [x, like].map((of) => emitter.node('Shape', [of ?? ''], { start: axis, end: axis + 1 }))
    const missing = emitter.node('Sub', [all ?? '', own ?? ''])
    const none = emitter.int64([0])
    const pads = emitter.node('Concat', end === 'start' ? [none, missing] : [missing, none], { axis: 0 })
    return emitter.node('Pad', [x ?? '', pads, '', emitter.int64([axis])])
  },
  gradient: ({ inputs: [x], attributes: { axis, end } }, upstream) =>
    x === undefined ? [] : [part(upstream, x, axis, end), null],
}

/** The places `from` to `to` (exclusive) along an axis. */
export const SLICE: Op<{ axis: number; from: number; to: number }> = {
  name: 'slice',
  shape: ([x], { axis, from, to }) => {
    const size = x?.shape[axis]
    const fits = typeof size === 'number' && from >= 0 && from < to && to <= size
    checkShape(
      fits,
      'slice',
      `expected places within axis ${axis} of ${formatShape(x?.shape ?? [])}, found ${from} to ${to}`,
    )
    return (x?.shape ?? []).map((dim, i) => (i === axis ? to - from : dim))
  },
  emit: (emitter, [x], node) => {
    const { axis, from, to } = node.attributes
    return emitter.node('Slice', [x ?? '', emitter.int64([from]), emitter.int64([to]), emitter.int64([axis])])
  },
  gradient: (node, upstream) => {
    const { axis, from, to } = node.attributes
    const size = Number(node.inputs[0]?.shape[axis])
    return [makeNode(PAD, [upstream], { axis, before: from, after: size - to })]
  },
}

/** Zeros put before and after a value along an axis. */
export const PAD: Op<{ axis: number; before: number; after: number }> = {
  name: 'pad',
  shape: ([x], { axis, before, after }) =>
    (x?.shape ?? []).map((dim, i) => (i === axis ? Number(dim) + before + after : dim)),
  emit: (emitter, [x], node) => {
    const { axis, before, after } = node.attributes
    return emitter.node('Pad', [x ?? '', emitter.int64([before, after]), '', emitter.int64([axis])])
  },
  gradient: (node, upstream) => {
    const { axis, before } = node.attributes
    return [slice(upstream, axis, before, before + Number(node.inputs[0]?.shape[axis]))]
  },
}

/** The places `from` to `to` (exclusive) along an axis. */
export function slice(x: Node, axis: number, from: number, to: number): Node {
  return makeNode(SLICE, [x], { axis, from, to })
}

/** Parts of the given sizes along the last axis, one after the other. */
export function splitLast(x: Node, sizes: readonly number[]): Node[] {
  const axis = x.shape.length - 1
  let from = 0
  return sizes.map((size) => {
    from += size
    return slice(x, axis, from - size, from)
  })
}

/** The same values in another shape. */
export function reshape(x: Node, shape: Shape): Node {
  return makeNode(RESHAPE, [x], { shape })
}

/** Axes in another order. */
export function transpose(x: Node, order: readonly number[]): Node {
  return makeNode(TRANSPOSE, [x], { order })
}

/** Two values one after the other along an axis; `size` is the joint size of that axis. */
export function concat(a: Node, b: Node, axis: number, size: Dim): Node {
  return makeNode(CONCAT, [a, b], { axis, size })
}

/** The first or the last part of a value along an axis, as long as `like` is there. */
export function part(x: Node, like: Node, axis: number, end: End): Node {
  return makeNode(PART, [x, like], { axis, end })
}
