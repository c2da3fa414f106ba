/** Picking and placing rows (slices along the first axis) and single elements. Rows of one call must differ where they are placed by replacement. */
import { makeNode, type Node, type Op } from '../graph.ts'

/** Rows of `x` [N, …] by index [R]: the result is [R, …]. */
export const GATHER_ROWS: Op = {
  name: 'gather-rows',
  isChoice: true,
  shape: ([x, index]) => [...(index?.shape ?? []), ...(x?.shape.slice(1) ?? [])],
  emit: (emitter, inputs) => emitter.node('Gather', inputs, { axis: 0 }),
  gradient: ({ inputs: [x, index] }, upstream) =>
    x === undefined || index === undefined ? [] : [addRows(zerosLike(x), index, upstream), null],
}

/** `x` [N, …] with rows [R, …] added at the indices [R]; an index may occur more than once. */
export const ADD_ROWS: Op = {
  name: 'add-rows',
  shape: ([x]) => x?.shape ?? [],
  emit: (emitter, [x, index, rows]) =>
    emitter.node('ScatterND', [x ?? '', emitter.node('Unsqueeze', [index ?? '', emitter.int64([1])]), rows ?? ''], {
      reduction: 'add',
    }),
  gradient: ({ inputs: [, index] }, upstream) =>
    index === undefined ? [] : [upstream, null, gatherRows(upstream, index)],
}

/** `x` [N, …] with the rows at the indices [R] replaced by others [R, …]. */
export const REPLACE_ROWS: Op = {
  name: 'replace-rows',
  shape: ([x]) => x?.shape ?? [],
  emit: (emitter, [x, index, rows]) =>
    emitter.node('ScatterND', [x ?? '', emitter.node('Unsqueeze', [index ?? '', emitter.int64([1])]), rows ?? '']),
  gradient: ({ inputs: [, index, rows] }, upstream) =>
    index === undefined || rows === undefined
      ? []
      : [replaceRows(upstream, index, zerosLike(rows)), null, gatherRows(upstream, index)],
}

/** Elements of `x` [U, V] by pairs of indices [M, 2]: the result is [M]. */
export const GATHER_PAIRS: Op = {
  name: 'gather-pairs',
  shape: ([, pairs]) => (pairs?.shape ?? []).slice(0, 1),
  emit: (emitter, inputs) => emitter.node('GatherND', inputs),
  gradient: ({ inputs: [x, pairs] }, upstream) =>
    x === undefined || pairs === undefined ? [] : [makeNode(ADD_PAIRS, [zerosLike(x), pairs, upstream], {}), null],
}

/** `x` [U, V] with values [M] added at pairs of indices [M, 2]. */
export const ADD_PAIRS: Op = {
  name: 'add-pairs',
  shape: ([x]) => x?.shape ?? [],
  emit: (emitter, inputs) => emitter.node('ScatterND', inputs, { reduction: 'add' }),
  gradient: ({ inputs: [, pairs] }, upstream) =>
    pairs === undefined ? [] : [upstream, null, gatherPairs(upstream, pairs)],
}

/** Zeros of the shape of `x`. */
export const ZEROS_LIKE: Op = {
  name: 'zeros-like',
  shape: ([x]) => x?.shape ?? [],
  emit: (emitter, [x], node) => {
    const size = emitter.node('Shape', [x ?? ''])
    // ConstantOfShape makes 32-bit zeros unless told otherwise; a cast keeps 64-bit gradient checks whole.
    const zeros = emitter.node('ConstantOfShape', [size])
    return node.dtype === 'float32' ? zeros : emitter.node('Cast', [zeros], { to: 11 })
  },
  noGradient: 'a constant',
}

/** Rows by index. */
export function gatherRows(x: Node, index: Node): Node {
  return makeNode(GATHER_ROWS, [x, index], {})
}

/** Adds rows at indices. */
export function addRows(x: Node, index: Node, rows: Node): Node {
  return makeNode(ADD_ROWS, [x, index, rows], {})
}

/** Replaces rows at indices. */
export function replaceRows(x: Node, index: Node, rows: Node): Node {
  return makeNode(REPLACE_ROWS, [x, index, rows], {})
}

/** Elements by pairs of indices. */
export function gatherPairs(x: Node, pairs: Node): Node {
  return makeNode(GATHER_PAIRS, [x, pairs], {})
}

function zerosLike(x: Node): Node {
  return makeNode(ZEROS_LIKE, [x], {})
}
