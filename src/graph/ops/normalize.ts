/** Normalisations along the last axis. */
import { checkShape, formatShape, makeNode, type Node, type Op, scalarLike } from '../graph.ts'
import { add, divide, exp, meanLast, multiply, sqrt, subtract } from './elementwise.ts'
import { sum, sumTo } from './reduce.ts'

const last = (x: Node): readonly number[] => [x.shape.length - 1]

/** `y = eˣ / Σ eˣ`, with `dx = y (dy − Σ dy·y)`. */
export const SOFTMAX: Op = {
  name: 'softmax',
  shape: ([x]) => x?.shape ?? [],
  emit: (emitter, inputs) => emitter.node('Softmax', inputs, { axis: -1 }),
  gradient: (node, upstream) => {
    const weighted = multiply(upstream, node)
    return [subtract(weighted, multiply(node, sum(weighted, last(node))))]
  },
}

/** `y = x − ln Σ eˣ`, with `dx = dy − eʸ Σ dy`. */
export const LOG_SOFTMAX: Op = {
  name: 'log-softmax',
  shape: ([x]) => x?.shape ?? [],
  emit: (emitter, inputs) => emitter.node('LogSoftmax', inputs, { axis: -1 }),
  gradient: (node, upstream) => [subtract(upstream, multiply(exp(node), sum(upstream, last(node))))],
}

/**
 * `y = w · x / r`, `r = √(mean x² + ε)` (Zhang & Sennrich 2019). With `h = x / r` and `a = w·dy`:
 * `dx = (a − h · mean(a·h)) / r`.
 */
export const RMS_NORM: Op<{ epsilon: number }> = {
  name: 'rms-norm',
  shape: ([x, w]) => {
    const fits = w?.shape.length === 1 && w.shape[0] === x?.shape.at(-1)
    checkShape(fits, 'rms-norm', `expected one weight a column, found ${formatShape(w?.shape ?? [])}`)
    return x?.shape ?? []
  },
  emit: (emitter, inputs, node) =>
    emitter.node('SimplifiedLayerNormalization', inputs, { axis: -1, epsilon: { float: node.attributes.epsilon } }),
  gradient: (node, upstream) => {
    const [x, w] = node.inputs
    if (x === undefined || w === undefined) return []
    const r = sqrt(add(meanLast(multiply(x, x)), scalarLike(x, node.attributes.epsilon)))
    const h = divide(x, r)
    const a = multiply(upstream, w)
    const dw = multiply(upstream, h)
    return [divide(subtract(a, multiply(h, meanLast(multiply(a, h)))), r), sumTo(dw, w.shape)]
  },
}

/**
 * `y = w · h + b`, `h = (x − mean x) / r`, `r = √(var x + ε)` (Ba et al. 2016). With `a = w·dy`:
 * `dx = (a − mean a − h · mean(a·h)) / r`.
 */
export const LAYER_NORM: Op<{ epsilon: number }> = {
  name: 'layer-norm',
  shape: ([x, w, b]) => {
    const fits = [w, b].every((v) => v?.shape.length === 1 && v.shape[0] === x?.shape.at(-1))
    checkShape(fits, 'layer-norm', `expected a weight and a bias a column, found ${formatShape(w?.shape ?? [])}`)
    return x?.shape ?? []
  },
  emit: (emitter, inputs, node) =>
    emitter.node('LayerNormalization', inputs, { axis: -1, epsilon: { float: node.attributes.epsilon } }),
  gradient: (node, upstream) => {
    const [x, w, b] = node.inputs
    if (x === undefined || w === undefined || b === undefined) return []
    const centred = subtract(x, meanLast(x))
    const r = sqrt(add(meanLast(multiply(centred, centred)), scalarLike(x, node.attributes.epsilon)))
    const h = divide(centred, r)
    const a = multiply(upstream, w)
    const dx = divide(subtract(subtract(a, meanLast(a)), multiply(h, meanLast(multiply(a, h)))), r)
    return [dx, sumTo(multiply(upstream, h), w.shape), sumTo(upstream, b.shape)]
  },
}

/** Softmax along the last axis. */
export function softmax(x: Node): Node {
  return makeNode(SOFTMAX, [x], {})
}

/** Logarithm of the softmax along the last axis. */
export function logSoftmax(x: Node): Node {
  return makeNode(LOG_SOFTMAX, [x], {})
}

/** Root-mean-square normalisation with a weight per column. */
export function rmsNorm(x: Node, w: Node, epsilon: number): Node {
  return makeNode(RMS_NORM, [x, w], { epsilon })
}

/** Layer normalisation with a weight and a bias per column. */
export function layerNorm(x: Node, w: Node, b: Node, epsilon: number): Node {
  return makeNode(LAYER_NORM, [x, w, b], { epsilon })
}
