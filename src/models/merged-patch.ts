/** Several patches as one: what a graph needs to know of them (kinds and places) and what it is fed (numbers). */
import { isDeepStrictEqual } from 'node:util'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type {
  AdapterClustersPart,
  CodebookPart,
  ContextPart,
  Factors,
  LowRankPart,
  NeuronsPart,
  Patch,
  SideMemoriesPart,
  Units,
} from './patch.ts'

/** All parts of a model's patches, joined by place. */
export interface MergedPatch {
  /** Low-rank deltas by weight, factors of several patches side by side: left [in, r], right [r, out]. */
  readonly lowRank: ReadonlyMap<string, Factors>
  /** Sums of dense deltas by weight [in, out]. */
  readonly dense: ReadonlyMap<string, Tensor>
  /** The latest codebook of each layer, unless it is empty. */
  readonly codebooks: ReadonlyMap<number, CodebookPart>
  /** Units of each layer, those of one activation side by side: input [D, n], biases [n], output [n, D]. */
  readonly neurons: ReadonlyMap<number, readonly Units[]>
  /** The latest side memories of each layer, unless there are none. */
  readonly memories: ReadonlyMap<number, SideMemories>
  /** The entries of contexts that are searched in the same way as the latest, newest first and one a key. */
  readonly context: ContextPart | null
  /** The latest clusters, unless there are none in it. */
  readonly clusters: AdapterClustersPart | null
}

/** Side memories of a layer as a graph takes them. */
export interface SideMemories {
  /** Side by side [F, n, D] */
  readonly deltas: Tensor
  /** [1, n] */
  readonly thresholds: Tensor
}

/** Joins patches in order. */
export function mergePatches(patches: readonly Patch[]): MergedPatch {
  const parts = patches.flatMap((patch) => patch.parts)
  const lowRank = new Map<string, LowRankPart[]>()
  const dense = new Map<string, Tensor>()
  const codebooks = new Map<number, CodebookPart>()
  const neurons = new Map<number, NeuronsPart[]>()
  const memories = new Map<number, SideMemoriesPart>()
  let context: ContextPart | null = null
  let clusters: AdapterClustersPart | null = null
  for (const part of parts) {
    if (part.kind === 'low-rank') lowRank.set(part.weight, [...(lowRank.get(part.weight) ?? []), part])
    else if (part.kind === 'dense') dense.set(part.weight, addTensors(dense.get(part.weight), part.delta))
    else if (part.kind === 'codebook') codebooks.set(part.layer, part)
    else if (part.kind === 'neurons') neurons.set(part.layer, [...(neurons.get(part.layer) ?? []), part])
    else if (part.kind === 'side-memories') memories.set(part.layer, part)
    else if (part.kind === 'adapter-clusters') clusters = part.clusters.length > 0 ? part : null
    else context = joinContexts(context, part)
  }
  return {
    lowRank: new Map([...lowRank].map(([name, factors]) => [name, joinFactors(factors)])),
    dense,
    codebooks: new Map([...codebooks].filter(([, book]) => (book.radii.shape[0] ?? 0) > 0)),
    neurons: new Map([...neurons].map(([layer, units]) => [layer, joinUnits(units)])),
    memories: new Map(
      [...memories].flatMap(([layer, part]) => (part.thresholds.data.length > 0 ? [[layer, layOut(part)]] : [])),
    ),
    context,
    clusters,
  }
}

/** Deltas [n, F, D] side by side; those of one memory lie so already. */
function layOut({ deltas, thresholds }: SideMemoriesPart): SideMemories {
  const [n = 0, rows = 0, width = 0] = deltas.shape
  const joined = n === 1 ? deltas.data : new Float32Array(deltas.data.length)
  for (let memory = 0; n > 1 && memory < n; memory++) {
    for (let row = 0; row < rows; row++) {
      const from = (memory * rows + row) * width
      joined.set(deltas.data.subarray(from, from + width), (row * n + memory) * width)
    }
  }
  return { deltas: tensor(joined, [rows, n, width]), thresholds: tensor(thresholds.data, [1, n]) }
}

function joinContexts(earlier: ContextPart | null, later: ContextPart): ContextPart {
  const { entries: added, ...search } = later
  const { entries: known, ...searched } = earlier ?? { ...later, entries: [] }
  const all = isDeepStrictEqual(search, searched) ? [...added, ...known] : added
  const byKey = new Map(all.toReversed().map((entry) => [entry.key, entry]))
  return { ...later, entries: all.filter((entry) => byKey.get(entry.key) === entry) }
}

/** Units of one activation side by side; those of none are left out. */
function joinUnits(parts: readonly Units[]): Units[] {
  const full = parts.filter(({ biases }) => biases.data.length > 0)
  return [...new Set(full.map(({ activation }) => activation))].map((activation) => {
    const alike = full.filter((units) => units.activation === activation)
    const { left, right } = joinFactors(alike.map(({ input, output }) => ({ left: input, right: output })))
    const biases = Float32Array.from(alike.flatMap((units) => [...units.biases.data]))
    return { activation, input: left, biases: tensor(biases, [biases.length]), output: right }
  })
}

function addTensors(sum: Tensor | undefined, delta: Tensor): Tensor {
  if (sum === undefined) return delta
  return tensor(
    sum.data.map((value, i) => value + (delta.data[i] ?? 0)),
    delta.shape,
  )
}

function joinFactors(parts: readonly Factors[]): Factors {
  const [first] = parts
  if (first !== undefined && parts.length === 1) return first
  const rows = first?.left.shape[0] ?? 0
  const columns = first?.right.shape[1] ?? 0
  const rank = parts.reduce((total, part) => total + (part.left.shape[1] ?? 0), 0)
  const left = new Float32Array(rows * rank) // [in, r]
  const right = new Float32Array(rank * columns) // [r, out]
  let at = 0
  for (const part of parts) {
    const width = part.left.shape[1] ?? 0
    for (let row = 0; row < rows; row++) {
      left.set(part.left.data.subarray(row * width, (row + 1) * width), row * rank + at)
    }
    right.set(part.right.data, at * columns)
    at += width
  }
  return { left: tensor(left, [rows, rank]), right: tensor(right, [rank, columns]) }
}
