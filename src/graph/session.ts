/**
 * Compiles a graph and runs it. The only importer of `onnxruntime-node`. A session owns native memory until it is
 * released; weights are mapped from their files and shared between sessions.
 *
 * `run` of the runtime is synchronous inside: the event loop turns between runs, not during one.
 */
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { WhicheditError } from '../errors.ts'
import { type DataOf, type DType, sizeOf, type Tensor } from '../tensor/tensor.ts'
import { evaluateDim, formatShape, type Node, type Shape } from './graph.ts'
import { type OnnxModel, writeOnnx } from './onnx.ts'

/** How a session is made. */
export interface SessionOptions {
  /** Threads for one operation; 0: as many as the machine has cores. */
  readonly threads?: number
  /**
   * Lets the runtime copy weights into the layout its products like best: faster on few rows, at the price of a private
   * copy of all weights. Off by default.
   */
  readonly prepack?: boolean
}

/** What of the runtime would widen 16-bit weights once, when it compiles a graph, or once for all their uses, and keep them. */
const WIDENING_ONCE = 'ConstantFolding;CommonSubexpressionElimination;FuseFp16InitializerToFp32NodeTransformer'

/** Any tensor. */
export type AnyTensor = { [D in DType]: Tensor<D> }[DType]

/** A compiled graph. */
export class Session {
  readonly #native: InferenceSession
  readonly #model: OnnxModel

  private constructor(native: InferenceSession, model: OnnxModel) {
    this.#native = native
    this.#model = model
  }

  /** Compiles the graph of the named outputs. Takes seconds for large graphs: keep sessions, feed numbers. */
  static async create(outputs: Readonly<Record<string, Node>>, options: SessionOptions = {}): Promise<Session> {
    const model = writeOnnx(outputs)
    const session: Record<string, string> = {
      disable_prepacking: options.prepack ? '0' : '1',
      // Threads that wait between two operations do so busily; after a run they would take cores from the next session.
      force_spinning_stop: '1',
    }
    if (model.folder !== null) session.model_external_initializers_file_folder_path = model.folder
    const native = await InferenceSession.create(model.bytes, {
      intraOpNumThreads: options.threads ?? 0,
      interOpNumThreads: 1,
      // A plan of memory for each size, made at its second run, lies beside what the first run took: as much again, for no speed.
      enableMemPattern: false,
      logSeverityLevel: 3,
      extra: { session, ...(model.isNarrow ? { optimization: { disable_specified_optimizers: WIDENING_ONCE } } : {}) },
    })
    return new Session(native, model)
  }

  /**
   * Runs the graph. Outputs are fresh arrays.
   * @param feeds every input by name; their sizes give the symbols their values
   * @param options `wanted`: names of outputs to fetch, default all; `sizes`: values of symbols that no input shows alone
   * @throws E_INTERNAL for a missing feed, E_SHAPE for one that does not fit
   */
  async run(
    feeds: Readonly<Record<string, AnyTensor>>,
    options: { readonly wanted?: readonly string[]; readonly sizes?: Readonly<Record<string, number>> } = {},
  ): Promise<Record<string, AnyTensor>> {
    const symbols = new Map(Object.entries(options.sizes ?? {}))
    const native: Record<string, OrtTensor> = {}
    for (const [name, node] of this.#model.inputs) {
      const fed = feeds[name]
      if (fed === undefined) throw new WhicheditError('E_INTERNAL', { what: `the graph's input ${name} is not fed` })
      bindSymbols(name, node.shape, fed.shape, symbols)
      native[name] = toNative(fed)
    }
    for (const [name, shape] of this.#model.shapeInputs) {
      const sizes = shape.map((dim) => BigInt(evaluateDim(dim, symbols)))
      native[name] = new OrtTensor('int64', BigInt64Array.from(sizes), [sizes.length])
    }
    const names = options.wanted ?? [...this.#model.outputs.keys()]
    const values = names.map((name) => this.#model.outputs.get(name)?.value ?? '')
    const fetched = await this.#native.run(native, values)
    const results: Record<string, AnyTensor> = {}
    names.forEach((name, i) => {
      const result = fetched[values[i] ?? '']
      if (result === undefined) throw new WhicheditError('E_INTERNAL', { what: `the graph has no output ${name}` })
      results[name] = fromNative(result)
    })
    return results
  }

  /** Frees the native memory. The session cannot be used afterwards. */
  async release(): Promise<void> {
    await this.#native.release()
  }
}

function bindSymbols(name: string, declared: Shape, found: readonly number[], symbols: Map<string, number>): void {
  const fits =
    declared.length === found.length &&
    declared.every((dim, i) => {
      const size = found[i] ?? 0
      if (typeof dim === 'number') return dim === size
      if (dim.includes('*')) return true
      const known = symbols.get(dim)
      symbols.set(dim, size)
      return known === undefined || known === size
    })
  if (!fits) {
    const what = `expected ${formatShape(declared)}, found [${found.join(', ')}]`
    throw new WhicheditError('E_SHAPE', { where: `input ${name}`, what })
  }
}

function toNative(fed: AnyTensor): OrtTensor {
  const { dtype, shape, data } = fed
  if (data.length !== sizeOf(shape)) {
    const what = `expected ${sizeOf(shape)} numbers for [${shape.join(', ')}], found ${data.length}`
    throw new WhicheditError('E_SHAPE', { where: 'feed', what })
  }
  return new OrtTensor(dtype as 'float32', data as Float32Array, shape)
}

function fromNative(result: OrtTensor): AnyTensor {
  const dtype = result.type as DType
  return { dtype, shape: result.dims, data: result.data as DataOf[DType] } as AnyTensor
}
