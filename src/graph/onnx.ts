/**
 * A graph as ONNX bytes, written through a protobuf library. Weights stay in their files: an initializer names file,
 * offset and length. Reshape targets with more than one symbolic dimension become small int64 inputs, which the session
 * fills from the sizes of what it is fed. A 16-bit weight is widened anew for each use, so that no 32-bit copy of it outlives
 * the operation that needs it.
 *
 * The schema is the part of onnx.proto3 (github.com/onnx/onnx, IR version 10) that is written here.
 */
import { basename } from 'node:path'
import protobuf from 'protobufjs'
import type { DataOf, DType } from '../tensor/tensor.ts'
import {
  type Emitter,
  formatShape,
  isInput,
  isLeaf,
  type Node,
  nodesOf,
  type OnnxAttribute,
  type Shape,
  valueIndex,
  type WeightFormat,
} from './graph.ts'

const IR_VERSION = 10
const OPSET_VERSION = 21
/** The runtime's own operations (fused attention, transposed products). */
export const CONTRIBUTED = 'com.microsoft'

const FIELD_TYPES: Record<string, Record<string, [number, string, 'repeated'?]>> = {
  Entry: { key: [1, 'string'], value: [2, 'string'] },
  Dimension: { dimValue: [1, 'int64'], dimParam: [2, 'string'] },
  TensorShape: { dim: [1, 'Dimension', 'repeated'] },
  TensorType: { elemType: [1, 'int32'], shape: [2, 'TensorShape'] },
  TypeProto: { tensorType: [1, 'TensorType'] },
  ValueInfo: { name: [1, 'string'], type: [2, 'TypeProto'] },
  TensorProto: {
    dims: [1, 'int64', 'repeated'],
    dataType: [2, 'int32'],
    name: [8, 'string'],
    rawData: [9, 'bytes'],
    externalData: [13, 'Entry', 'repeated'],
    dataLocation: [14, 'int32'],
  },
  Attribute: {
    name: [1, 'string'],
    f: [2, 'float'],
    i: [3, 'int64'],
    s: [4, 'bytes'],
    ints: [8, 'int64', 'repeated'],
    type: [20, 'int32'],
  },
  NodeProto: {
    input: [1, 'string', 'repeated'],
    output: [2, 'string', 'repeated'],
    name: [3, 'string'],
    opType: [4, 'string'],
    attribute: [5, 'Attribute', 'repeated'],
    domain: [7, 'string'],
  },
  GraphProto: {
    node: [1, 'NodeProto', 'repeated'],
    name: [2, 'string'],
    initializer: [5, 'TensorProto', 'repeated'],
    input: [11, 'ValueInfo', 'repeated'],
    output: [12, 'ValueInfo', 'repeated'],
  },
  OperatorSet: { domain: [1, 'string'], version: [2, 'int64'] },
  ModelProto: {
    irVersion: [1, 'int64'],
    producerName: [2, 'string'],
    graph: [7, 'GraphProto'],
    opsetImport: [8, 'OperatorSet', 'repeated'],
  },
}

const ELEMENT_TYPE: Record<DType, number> = { float32: 1, uint8: 2, int32: 6, int64: 7, bool: 9, float64: 11 }
const STORED_TYPE: Record<WeightFormat, number> = { F32: 1, F16: 10, BF16: 16 }

/** An ONNX model and what the session must know to feed it. */
export interface OnnxModel {
  readonly bytes: Uint8Array
  /** The folder of the weight files, or null when there are none. */
  readonly folder: string | null
  /** Whether some weights are stored in 16 bits. */
  readonly isNarrow: boolean
  readonly inputs: ReadonlyMap<string, Node>
  /** Shapes to be fed, by input name. */
  readonly shapeInputs: ReadonlyMap<string, Shape>
  /** The value's name in the model, by the name the caller gave. */
  readonly outputs: ReadonlyMap<string, { readonly value: string; readonly node: Node }>
}

/** Writes the graph of the named outputs. */
export function writeOnnx(outputs: Readonly<Record<string, Node>>): OnnxModel {
  return new Writer(outputs).model
}

class Writer implements Emitter {
  readonly model: OnnxModel
  readonly #nodes: object[] = []
  readonly #widenings: object[] = []
  readonly #initializers: object[] = []
  readonly #graphInputs: object[] = []
  readonly #inputs = new Map<string, Node>()
  readonly #shapeInputs = new Map<string, Shape>()
  readonly #constants = new Map<string, string>()
  readonly #values = new Map<Node, readonly string[]>()
  #folder: string | null = null
  #isNarrow = false
  #count = 0

  constructor(outputs: Readonly<Record<string, Node>>) {
    for (const node of nodesOf(Object.values(outputs))) this.#values.set(node, this.#write(node))
    const named = new Map<string, { value: string; node: Node }>()
    for (const [name, node] of Object.entries(outputs)) {
      named.set(name, { value: this.#outputName(node), node })
    }
    const graphOutputs = new Map([...named.values()].map(({ value, node }) => [value, valueInfo(value, node.dtype)]))
    const model = {
      irVersion: IR_VERSION,
      producerName: 'whichedit',
      graph: {
        // Of an operation's inputs the runtime computes the one written last first: a weight is to be widened after the other.
        node: [...this.#widenings, ...this.#nodes],
        name: 'graph',
        initializer: this.#initializers,
        input: this.#graphInputs,
        output: [...graphOutputs.values()],
      },
      opsetImport: [
        { domain: '', version: OPSET_VERSION },
        { domain: CONTRIBUTED, version: 1 },
      ],
    }
    this.model = {
      bytes: MODEL_PROTO.encode(MODEL_PROTO.fromObject(model)).finish(),
      folder: this.#folder,
      isNarrow: this.#isNarrow,
      inputs: this.#inputs,
      shapeInputs: this.#shapeInputs,
      outputs: named,
    }
  }

  node(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    domain = '',
  ): string {
    return this.nodes(1, type, inputs, attributes, domain)[0] ?? ''
  }

  nodes(
    count: number,
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    domain = '',
  ): string[] {
    const output = Array.from({ length: count }, () => this.#name(type))
    this.#nodes.push(nodeProto(type, inputs, output, attributes, domain))
    return output
  }

  int64(values: readonly number[]): string {
    return this.#constant(BigInt64Array.from(values, BigInt), [values.length], 'int64')
  }

  scalar(value: number, dtype: DType): string {
    return dtype === 'float64'
      ? this.#constant(Float64Array.of(value), [], dtype)
      : this.#constant(Float32Array.of(value), [], 'float32')
  }

  shape(shape: Shape, form?: 'exact'): string {
    const symbolic = shape.filter((dim) => typeof dim === 'string').length
    if (symbolic === 0 || (symbolic === 1 && form !== 'exact'))
      return this.int64(shape.map((dim) => (typeof dim === 'number' ? dim : -1)))
    const name = `shape ${formatShape(shape)}`
    if (!this.#shapeInputs.has(name)) {
      this.#shapeInputs.set(name, shape)
      this.#graphInputs.push(valueInfo(name, 'int64', [shape.length]))
    }
    return name
  }

  #write(node: Node): readonly string[] {
    if (isInput(node)) return [this.#writeInput(node)]
    if (node.stored !== undefined) return [this.#writeWeight(node)]
    if (isLeaf(node) && node.data !== undefined) return [this.#constant(node.data, node.shape as number[], node.dtype)]
    const index = valueIndex(node)
    if (index !== null) return [this.#values.get(node.inputs[0] ?? node)?.[index] ?? '']
    const [chosenFrom] = node.op.isChoice ? node.inputs : []
    const inputs = node.inputs.map((from) => (from === chosenFrom ? this.#stored(from) : this.#value(from)))
    const produced = node.op.emit(this, inputs, node)
    const values = typeof produced === 'string' ? [produced] : produced
    return chosenFrom !== undefined && isNarrow(chosenFrom)
      ? values.map((value) => this.#widen(value, this.#nodes))
      : values
  }

  /** The name of a node's value as it is stored or computed. */
  #stored(node: Node): string {
    return this.#values.get(node)?.[0] ?? ''
  }

  /** The name of a node's value as it is computed with. */
  #value(node: Node): string {
    return isNarrow(node) ? this.#widen(this.#stored(node), this.#widenings) : this.#stored(node)
  }

  #widen(value: string, nodes: object[]): string {
    const output = this.#name('Cast')
    nodes.push(nodeProto('Cast', [value], [output], { to: ELEMENT_TYPE.float32 }))
    return output
  }

  #writeInput(node: Node): string {
    const name = String(node.attributes.name)
    this.#inputs.set(name, node)
    this.#graphInputs.push(valueInfo(name, node.dtype, node.shape))
    return name
  }

  #writeWeight(node: Node): string {
    const name = String(node.attributes.name)
    const { file, format, offset, bytes } = node.stored ?? { file: '', format: 'F32', offset: 0, bytes: 0 }
    this.#folder = file.slice(0, file.length - basename(file).length - 1)
    this.#isNarrow ||= isNarrow(node)
    this.#initializers.push({
      dims: node.shape,
      dataType: STORED_TYPE[format],
      name,
      dataLocation: 1,
      externalData: [
        { key: 'location', value: basename(file) },
        { key: 'offset', value: String(offset) },
        { key: 'length', value: String(bytes) },
      ],
    })
    return name
  }

  #constant<D extends DType>(data: DataOf[D], dims: readonly number[], dtype: D): string {
    const key = `${dtype}${dims.join()}:${data.join()}`
    const known = this.#constants.get(key)
    if (known !== undefined) return known
    const name = this.#name('constant')
    const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    this.#initializers.push({ dims, dataType: ELEMENT_TYPE[dtype], name, rawData })
    this.#constants.set(key, name)
    return name
  }

  // A leaf cannot be an output by its own name; everything else is fetched without a copying Identity.
  #outputName(node: Node): string {
    const value = this.#value(node)
    return isLeaf(node) && !isNarrow(node) ? this.node('Identity', [value]) : value
  }

  #name(hint: string): string {
    return `${hint}.${this.#count++}`
  }
}

function nodeProto(
  type: string,
  inputs: readonly string[],
  output: readonly string[],
  attributes: Readonly<Record<string, OnnxAttribute>>,
  domain = '',
): object {
  const attribute = Object.entries(attributes).map(([name, value]) => attributeProto(name, value))
  return { input: inputs, output, name: `${output[0]}`, opType: type, domain, attribute }
}

function isNarrow({ stored }: Node): boolean {
  return stored !== undefined && stored.format !== 'F32'
}

function attributeProto(name: string, value: OnnxAttribute): object {
  if (typeof value === 'number') return { name, i: value, type: 2 }
  if (typeof value === 'string') return { name, s: new TextEncoder().encode(value), type: 3 }
  if ('float' in value) return { name, f: value.float, type: 1 }
  return { name, ints: value, type: 7 }
}

function valueInfo(name: string, dtype: DType, shape?: Shape): object {
  const dim = shape?.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }))
  return {
    name,
    type: { tensorType: { elemType: ELEMENT_TYPE[dtype], ...(dim === undefined ? {} : { shape: { dim } }) } },
  }
}

const MODEL_PROTO = protobuf.Root.fromJSON({
  nested: Object.fromEntries(
    Object.entries(FIELD_TYPES).map(([name, fields]) => [
      name,
      {
        fields: Object.fromEntries(
          Object.entries(fields).map(([field, [id, type, rule]]) => [field, { id, type, ...(rule ? { rule } : {}) }]),
        ),
      },
    ]),
  ),
}).lookupType('ModelProto')
