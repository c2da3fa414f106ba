/** Arithmetic element by element, with broadcasting as in NumPy. */
import { checkShape, type Dim, formatShape, makeNode, type Node, type Op, type Shape, scalarLike } from '../graph.ts'
import { sum, sumTo } from './reduce.ts'

type Product = (a: Node, b: Node, upstream: Node) => Node

/** A row for an operation on two values; `left` and `right` give the gradient for each before summing it back. */
function binary(name: string, onnx: string, left: Product, right: Product): Op {
  return {
    name,
    shape: ([a, b]) => broadcastShapes(name, a?.shape ?? [], b?.shape ?? []),
    emit: (emitter, inputs) => emitter.node(onnx, inputs),
    gradient: ({ inputs: [a, b] }, upstream) =>
      a === undefined || b === undefined
        ? []
        : [sumTo(left(a, b, upstream), a.shape), sumTo(right(a, b, upstream), b.shape)],
  }
}

/** A row for a function of one value; `slope` is its derivative, from input and result. */
function unary(name: string, onnx: string, slope: (x: Node, y: Node) => Node): Op {
  return {
    name,
    shape: ([x]) => x?.shape ?? [],
    emit: (emitter, inputs) => emitter.node(onnx, inputs),
    gradient: (node, upstream) => node.inputs.map((x) => multiply(upstream, slope(x, node))),
  }
}

/** `a + b` */
export const ADD = binary(
  'add',
  'Add',
  (_a, _b, d) => d,
  (_a, _b, d) => d,
)
/** `a − b` */
export const SUBTRACT = binary(
  'subtract',
  'Sub',
  (_a, _b, d) => d,
  (_a, _b, d) => negate(d),
)
/** `a · b` */
export const MULTIPLY = binary(
  'multiply',
  'Mul',
  (_a, b, d) => multiply(d, b),
  (a, _b, d) => multiply(d, a),
)
/** `a / b` */
export const DIVIDE = binary(
  'divide',
  'Div',
  (_a, b, d) => divide(d, b),
  (a, b, d) => negate(divide(multiply(d, a), multiply(b, b))),
)
/** `−x` */
export const NEGATE = unary('negate', 'Neg', (x) => scalarLike(x, -1))
/** `eˣ` */
export const EXP = unary('exp', 'Exp', (_x, y) => y)
/** `ln x` */
export const LOG = unary('log', 'Log', (x) => divide(scalarLike(x, 1), x))
/** `√x` */
export const SQRT = unary('sqrt', 'Sqrt', (x, y) => divide(scalarLike(x, 0.5), y))
/** `σ(x) = 1 / (1 + e⁻ˣ)` */
export const SIGMOID = unary('sigmoid', 'Sigmoid', (x, y) => multiply(y, subtract(scalarLike(x, 1), y)))

/** `x · σ(x)` (Elfwing et al. 2018), with the derivative `σ (1 + x (1 − σ))`. */
export const SILU: Op = {
  name: 'silu',
  shape: ([x]) => x?.shape ?? [],
  emit: (emitter, [x]) => emitter.node('Mul', [x ?? '', emitter.node('Sigmoid', [x ?? ''])]),
  gradient: ({ inputs: [x] }, upstream) => {
    if (x === undefined) return []
    const s = sigmoid(x)
    const one = scalarLike(x, 1)
    return [multiply(upstream, multiply(s, add(one, multiply(x, subtract(one, s)))))]
  },
}

/** `a + b` */
export function add(a: Node, b: Node): Node {
  return makeNode(ADD, [a, b], {})
}

/** `a − b` */
export function subtract(a: Node, b: Node): Node {
  return makeNode(SUBTRACT, [a, b], {})
}

/** `a · b` */
export function multiply(a: Node, b: Node): Node {
  return makeNode(MULTIPLY, [a, b], {})
}

/** `a / b` */
export function divide(a: Node, b: Node): Node {
  return makeNode(DIVIDE, [a, b], {})
}

/** `−x` */
export function negate(x: Node): Node {
  return makeNode(NEGATE, [x], {})
}

/** `eˣ` */
export function exp(x: Node): Node {
  return makeNode(EXP, [x], {})
}

/** `ln x` */
export function log(x: Node): Node {
  return makeNode(LOG, [x], {})
}

/** `√x` */
export function sqrt(x: Node): Node {
  return makeNode(SQRT, [x], {})
}

/** `1 / (1 + e⁻ˣ)` */
export function sigmoid(x: Node): Node {
  return makeNode(SIGMOID, [x], {})
}

/** `x · σ(x)` */
export function silu(x: Node): Node {
  return makeNode(SILU, [x], {})
}

/** The mean along the last axis, which stays with size 1 and must be known. */
export function meanLast(x: Node): Node {
  const size = x.shape.at(-1)
  checkShape(typeof size === 'number', 'mean', `expected a known last size, found ${formatShape(x.shape)}`)
  return multiply(sum(x, [x.shape.length - 1]), scalarLike(x, 1 / Number(size)))
}

function broadcastShapes(where: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i): Dim => {
    const left = a[i - (rank - a.length)] ?? 1
    const right = b[i - (rank - b.length)] ?? 1
    const message = `sizes must be equal or 1, found ${formatShape(a)} and ${formatShape(b)}`
    checkShape(left === right || left === 1 || right === 1, where, message)
    return left === 1 ? right : left
  })
}
