/**
 * Computation as data: immutable nodes whose shapes are known when they are built. A dimension is a number, or a symbol
 * (`B`, `T`) or product of symbols (`3*T`) that gets its value when the graph is run. Nothing is computed here; a node
 * that no output needs is never emitted.
 */
import { WhicheditError } from '../errors.ts'
import type { DataOf, DType } from '../tensor/tensor.ts'

/** A size known now, or a product of symbols known at run time. */
export type Dim = number | string

/** The dimensions of a node's value. */
export type Shape = readonly Dim[]

/** How numbers are stored: as they are computed with, or in 16 bits and widened, exactly, each time they are used. */
export type WeightFormat = 'F32' | 'F16' | 'BF16'

/** Where a weight's bytes lie: never copied into the graph. */
export interface StoredBytes {
  readonly file: string
  readonly format: WeightFormat
  readonly offset: number
  readonly bytes: number
}

/** What an operation needs besides its inputs. */
export type Attributes = Readonly<Record<string, number | string | boolean | readonly number[] | Shape>>

/** An attribute of an ONNX node: whole numbers, words, lists of whole numbers, or floats marked as such. */
export type OnnxAttribute = number | string | readonly number[] | { readonly float: number }

/** What an op row writes itself with. */
export interface Emitter {
  /** Adds an ONNX node with one value and returns the value's name. */
  node(
    type: string,
    inputs: readonly string[],
    attributes?: Readonly<Record<string, OnnxAttribute>>,
    domain?: string,
  ): string
  /** Adds an ONNX node with several values. */
  nodes(
    count: number,
    type: string,
    inputs: readonly string[],
    attributes?: Readonly<Record<string, OnnxAttribute>>,
    domain?: string,
  ): string[]
  /** A list of whole numbers, as a small constant. */
  int64(values: readonly number[]): string
  /** A number of the given element type. */
  scalar(value: number, dtype: DType): string
  /**
   * A shape as an int64 list, known now or fed at run time. One unknown size is written as -1, which only Reshape
   * understands; `exact` has it fed.
   */
  shape(shape: Shape, form?: 'exact'): string
}

/** A row of the op table: shape rule, ONNX form and gradient of one operation. */
export interface Op<A extends Attributes = Attributes> {
  readonly name: string
  /** @throws E_SHAPE when the inputs do not fit. */
  shape(inputs: readonly Node[], attributes: A): Shape
  /** The result has numbers of the first input, unchanged: of stored 16-bit ones, only those chosen are widened. */
  readonly isChoice?: true
  /** Element type of the result; default: that of the first input. */
  dtype?(inputs: readonly Node[], attributes: A): DType
  /** Writes the operation as ONNX nodes and returns the name of its value (or names, for several values). */
  emit(emitter: Emitter, inputs: readonly string[], node: Node<A>): string | readonly string[]
  /**
   * The vector-Jacobian product: for each input the gradient, given that of the result, as further nodes; null where no
   * gradient flows. A row that has none says why in `noGradient`.
   */
  gradient?(node: Node<A>, upstream: Node): readonly (Node | null)[]
  readonly noGradient?: string
}

/** A value of the graph. */
export interface Node<A extends Attributes = Attributes> {
  /** Order of making: inputs come before what uses them. */
  readonly id: number
  readonly op: Op<A>
  readonly inputs: readonly Node[]
  readonly attributes: A
  readonly dtype: DType
  readonly shape: Shape
  /** Inline data of a constant. */
  readonly data?: DataOf[DType]
  /** File bytes of a weight. */
  readonly stored?: StoredBytes
}

let nextId = 0

/** Makes a node of an operation; its shape is checked here. */
export function makeNode<A extends Attributes>(op: Op<A>, inputs: readonly Node[], attributes: A): Node {
  const shape = op.shape(inputs, attributes)
  const dtype = op.dtype?.(inputs, attributes) ?? inputs[0]?.dtype ?? 'float32'
  const node: Node<A> = { id: nextId++, op, inputs, attributes, dtype, shape }
  return node as unknown as Node
}

const LEAF = {
  shape: () => [],
  emit: (): string => {
    throw new WhicheditError('E_INTERNAL', { what: 'a leaf of the graph is emitted by the writer itself' })
  },
  noGradient: 'a leaf has no inputs',
}

const INPUT: Op = { name: 'input', ...LEAF }
const CONSTANT: Op = { name: 'constant', ...LEAF }
const WEIGHT: Op = { name: 'weight', ...LEAF }

/** A value fed at run time, under `name`. */
export function input(name: string, shape: Shape, dtype: DType = 'float32'): Node {
  return { id: nextId++, op: INPUT, inputs: [], attributes: { name }, dtype, shape }
}

/** A small value written into the graph. */
export function constant<D extends DType>(data: DataOf[D], shape: readonly number[], dtype: D): Node {
  return { id: nextId++, op: CONSTANT, inputs: [], attributes: {}, dtype, shape, data }
}

/** A number, as a scalar of the same element type as `like`. */
export function scalarLike(like: Node, value: number): Node {
  return like.dtype === 'float64'
    ? constant(Float64Array.of(value), [], 'float64')
    : constant(Float32Array.of(value), [], 'float32')
}

/** A weight whose bytes stay in their file. */
export function weight(name: string, shape: readonly number[], stored: StoredBytes): Node {
  return { id: nextId++, op: WEIGHT, inputs: [], attributes: { name }, dtype: 'float32', shape, stored }
}

const VALUE: Op = { name: 'value', ...LEAF, noGradient: 'belongs to operations without gradient' }

/** One of several values of an operation; value 0 is the operation's own node. */
export function valueAt(node: Node, index: number, shape: Shape, dtype: DType = node.dtype): Node {
  return { id: nextId++, op: VALUE, inputs: [node], attributes: { index }, dtype, shape }
}

/** Which value of its input a node made by {@link valueAt} stands for; null for other nodes. */
export function valueIndex(node: Node): number | null {
  return node.op === VALUE ? Number(node.attributes.index) : null
}

/** Is this node fed, constant or stored, rather than computed? */
export function isLeaf(node: Node): boolean {
  return node.op === INPUT || node.op === CONSTANT || node.op === WEIGHT
}

/** Is this node fed at run time? */
export function isInput(node: Node): boolean {
  return node.op === INPUT
}

/** The product of dimensions, in a normal form: `times('T', 3, 'B')` is `3*B*T`. */
export function times(...dims: readonly Dim[]): Dim {
  let coefficient = 1
  const symbols: string[] = []
  for (const dim of dims) {
    if (typeof dim === 'number') coefficient *= dim
    else {
      for (const factor of dim.split('*')) {
        const value = Number(factor)
        if (Number.isNaN(value)) symbols.push(factor)
        else coefficient *= value
      }
    }
  }
  if (symbols.length === 0 || coefficient === 0) return coefficient
  const product = symbols.sort().join('*')
  return coefficient === 1 ? product : `${coefficient}*${product}`
}

/** The value of a dimension when the symbols have values. @throws E_INTERNAL for a symbol without one. */
export function evaluateDim(dim: Dim, symbols: ReadonlyMap<string, number>): number {
  if (typeof dim === 'number') return dim
  let product = 1
  for (const factor of dim.split('*')) {
    const value = Number.isNaN(Number(factor)) ? symbols.get(factor) : Number(factor)
    if (value === undefined) throw new WhicheditError('E_INTERNAL', { what: `no input gives a value to ${factor}` })
    product *= value
  }
  return product
}

/** `[B, 3, 64]`, for messages. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`
}

/** Raises E_SHAPE unless `condition` holds. */
export function checkShape(condition: boolean, where: string, what: string): void {
  if (!condition) throw new WhicheditError('E_SHAPE', { where, what })
}

/** Every node that the outputs need, inputs before users. */
export function nodesOf(outputs: readonly Node[]): Node[] {
  const seen = new Set<Node>()
  const pending = [...outputs]
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (seen.has(node)) continue
    seen.add(node)
    pending.push(...node.inputs)
  }
  return [...seen].sort((a, b) => a.id - b.id)
}
