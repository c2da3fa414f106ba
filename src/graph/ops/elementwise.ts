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

/** `tanh x` */
export const TANH = unary('tanh', 'Tanh', (x, y) => subtract(scalarLike(x, 1), multiply(y, y)))
/** `max(x, 0)`; the derivative at 0 is 0, as in PyTorch. */
export const RELU = unary('relu', 'Relu', (_x, y) => sign(y))
/** −1, 0 or 1. */
export const SIGN: Op = {
  name: 'sign',
  shape: ([x]) => x?.shape ?? [],
  emit: (emitter, inputs) => emitter.node('Sign', inputs),
  noGradient: 'a step does not vary smoothly',
}
/** `erf x = 2/√π ∫₀ˣ e^(−t²) dt`. The runtime has it in 32 bits only. */
export const ERF = unary('erf', 'Erf', (x) =>
  multiply(scalarLike(x, 2 / Math.sqrt(Math.PI)), exp(negate(multiply(x, x)))),
)

/** `x · Φ(x)`, Φ the normal distribution (Hendrycks & Gimpel 2016), with the derivative `Φ(x) + x φ(x)`. In 32 bits only, as `erf`. */
export const GELU: Op = {
  name: 'gelu',
  shape: ([x]) => x?.shape ?? [],
  emit: (emitter, inputs) => emitter.node('Gelu', inputs, { approximate: 'none' }),
  gradient: ({ inputs: [x] }, upstream) => {
    if (x === undefined) return []
    const half = scalarLike(x, 0.5)
    const below = multiply(half, add(scalarLike(x, 1), erf(multiply(x, scalarLike(x, Math.SQRT1_2)))))
    const density = multiply(scalarLike(x, 1 / Math.sqrt(2 * Math.PI)), exp(negate(multiply(half, multiply(x, x)))))
    return [multiply(upstream, add(below, multiply(x, density)))]
  },
}

/** The bracket of the tanh form of GELU: `√(2/π) (x + 0.044715 x³)`. */
const GELU_CUBIC = 0.044715
const GELU_SCALE = Math.sqrt(2 / Math.PI)

/**
 * `x · (1 + tanh u) / 2`, `u = √(2/π) (x + 0.044715 x³)`: GELU as GPT-2 and Gemma compute it (Hendrycks & Gimpel 2016, §2),
 * with the derivative `(1 + tanh u) / 2 + x (1 − tanh² u) u′ / 2`.
 */
export const GELU_TANH: Op = {
  name: 'gelu-tanh',
  shape: ([x]) => x?.shape ?? [],
  emit: (emitter, [x = ''], node) => {
    if (node.dtype === 'float32') return emitter.node('Gelu', [x], { approximate: 'tanh' })
    // The runtime's own form exists in 32 bits only; this one serves gradient checks in 64 bits.
    const number = (value: number) => emitter.scalar(value, node.dtype)
    const cube = emitter.node('Mul', [x, emitter.node('Mul', [x, x])])
    const bracket = emitter.node('Add', [x, emitter.node('Mul', [cube, number(GELU_CUBIC)])])
    const t = emitter.node('Tanh', [emitter.node('Mul', [bracket, number(GELU_SCALE)])])
    return emitter.node('Mul', [emitter.node('Mul', [x, number(0.5)]), emitter.node('Add', [t, number(1)])])
  },
  gradient: ({ inputs: [x] }, upstream) => {
    if (x === undefined) return []
    const number = (value: number) => scalarLike(x, value)
    const square = multiply(x, x)
    const t = tanh(multiply(number(GELU_SCALE), multiply(x, add(number(1), multiply(number(GELU_CUBIC), square)))))
    const inner = multiply(number(GELU_SCALE), add(number(1), multiply(number(3 * GELU_CUBIC), square)))
    const slope = multiply(multiply(x, subtract(number(1), multiply(t, t))), inner)
    return [multiply(upstream, multiply(number(0.5), add(add(number(1), t), slope)))]
  },
}

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

/** `tanh x` */
export function tanh(x: Node): Node {
  return makeNode(TANH, [x], {})
}

/** `max(x, 0)` */
export function relu(x: Node): Node {
  return makeNode(RELU, [x], {})
}

/** `x · Φ(x)`, Φ the normal distribution. */
export function gelu(x: Node): Node {
  return makeNode(GELU, [x], {})
}

/** GELU in its tanh form. */
export function geluTanh(x: Node): Node {
  return makeNode(GELU_TANH, [x], {})
}

/** `x` times a number. */
export function scale(x: Node, factor: number): Node {
  return multiply(x, scalarLike(x, factor))
}

function sign(x: Node): Node {
  return makeNode(SIGN, [x], {})
}

function erf(x: Node): Node {
  return makeNode(ERF, [x], {})
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
