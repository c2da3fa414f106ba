/**
 * Builds one graph of a model: the architecture's layers with patches, reads and writes in their places. What a graph
 * is fed has names made here (`weight …`, `left …`, `keys 5`), and the feeds of a patch are made here too.
 */
import { WhicheditError } from '../errors.ts'
import { input, type Node, weight as storedWeight, times } from '../graph/graph.ts'
import { add, multiply, subtract } from '../graph/ops/elementwise.ts'
import { matmul } from '../graph/ops/matmul.ts'
import { argmax, sum } from '../graph/ops/reduce.ts'
import { gatherRows, replaceRows } from '../graph/ops/rows.ts'
import { lessOrEqual, where } from '../graph/ops/select.ts'
import type { AnyTensor } from '../graph/session.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { Network, Scope } from './architecture.ts'
import type { Attention } from './attention.ts'
import type { MergedPatch } from './merged-patch.ts'
import type { LayerSite } from './model.ts'
import type { CodebookPart } from './patch.ts'
import type { StoredWeight } from './weights.ts'

/** What decides a graph besides the architecture. */
export interface ScopePlan {
  readonly weights: ReadonlyMap<string, StoredWeight>
  readonly patch: MergedPatch
  /** Weights that are fed [in, out] instead of read from the files: by a request, or because of a dense delta. */
  readonly fed: ReadonlyMap<string, Node>
  readonly attention: Attention
  /** Reads and writes at a site; returns what goes on. */
  readonly atSite?: (kind: LayerSite, layer: number, value: Node) => Node
}

/** Makes the scope of one graph. */
export function openScope(plan: ScopePlan): Scope {
  const stored = new Map<string, Node>()
  const inner = new Map<number, Node>()

  const weight = (name: string): Node => {
    const known = stored.get(name)
    if (known !== undefined) return known
    const found = plan.weights.get(name)
    if (found === undefined) throw new WhicheditError('E_WEIGHT', { name })
    const node = storedWeight(name, found.shape, found)
    stored.set(name, node)
    return node
  }

  return {
    weight,
    attention: plan.attention,
    linear(x, name) {
      const file = plan.weights.get(name)
      if (file === undefined) throw new WhicheditError('E_WEIGHT', { name })
      const [out = 0, into = 0] = file.shape
      const replacement = plan.fed.get(name)
      if (replacement !== undefined) return matmul(x, replacement)
      const y = matmul(x, weight(name), 'b')
      if (!plan.patch.lowRank.has(name)) return y
      const rank = `rank(${name})`
      return add(y, matmul(matmul(x, input(`left ${name}`, [into, rank])), input(`right ${name}`, [rank, out])))
    },
    site(kind, layer, value) {
      if (kind === 'mlp-inner') inner.set(layer, value)
      const book = kind === 'mlp-output' ? plan.patch.codebooks.get(layer) : undefined
      const patched = book === undefined ? value : consult(layer, book, inner.get(layer) ?? value, value)
      return plan.atSite?.(kind, layer, patched) ?? patched
    },
  }
}

/**
 * A codebook's answer: the nearest key is found by products (‖q − k‖² up to ‖q‖²), then its distance is taken from the
 * difference itself, which stays exact where q and k nearly coincide.
 */
function consult(layer: number, book: CodebookPart, keysIn: Node, output: Node): Node {
  const width = book.keys.shape[1] ?? 0
  const out = book.values.shape[1] ?? 0
  const entries = `entries(${layer})`
  const rows = input(`query ${layer}`, [`queries(${layer})`], 'int64')
  const keys = input(`keys ${layer}`, [entries, width])
  const halfNorms = input(`half-norms ${layer}`, [1, entries])
  const queries = gatherRows(keysIn, rows) // [R, F]
  const nearest = argmax(subtract(matmul(queries, keys, 'b'), halfNorms)) // [R]
  const difference = subtract(queries, gatherRows(keys, nearest))
  const squared = sum(multiply(difference, difference), [1]) // [R, 1]
  const radius = gatherRows(input(`radii ${layer}`, [entries, 1]), nearest)
  const within = lessOrEqual(squared, multiply(radius, radius))
  const stored = gatherRows(input(`values ${layer}`, [entries, out]), nearest) // [R, D]
  return replaceRows(output, rows, where(within, stored, gatherRows(output, rows)))
}

/** All layers of a network over the tokens fed as `ids`: the residual stream after the last [N, D]. */
export function runLayers(network: Network, scope: Scope): Node {
  let x = network.embed(scope, input('ids', [TOKENS], 'int64'))
  for (let layer = 0; layer < network.config.layers; layer++) {
    x = network.fromDownProjection(scope, layer, network.toDownProjection(scope, layer, x))
  }
  return x
}

/** What a patch's graph is fed. `promptEnds`: flattened positions of the prompts' last tokens that are in the batch. */
export function patchFeeds(patch: MergedPatch, promptEnds: readonly number[]): Record<string, AnyTensor> {
  const feeds: Record<string, AnyTensor> = {}
  for (const [name, { left, right }] of patch.lowRank) {
    feeds[`left ${name}`] = left
    feeds[`right ${name}`] = right
  }
  for (const [layer, { keys, values, radii }] of patch.codebooks) {
    const entries = radii.data.length
    feeds[`query ${layer}`] = indices(promptEnds)
    feeds[`keys ${layer}`] = keys
    feeds[`values ${layer}`] = values
    feeds[`radii ${layer}`] = tensor(radii.data, [entries, 1])
    feeds[`half-norms ${layer}`] = tensor(halfSquaredNorms(keys), [1, entries])
  }
  return feeds
}

/** Inputs for the weights that are fed instead of read from the files [in, out]. */
export function weightInputs(replaced: Readonly<Record<string, Tensor>>): Map<string, Node> {
  return new Map(Object.entries(replaced).map(([name, { shape }]) => [name, input(`weight ${name}`, shape)]))
}

/** What those inputs are fed. */
export function weightFeeds(replaced: Readonly<Record<string, Tensor>>): Record<string, AnyTensor> {
  return Object.fromEntries(Object.entries(replaced).map(([name, value]) => [`weight ${name}`, value]))
}

/** The patch as far as it matters to a run: where no prompt ends, codebooks are not consulted. */
export function patchAt(patch: MergedPatch, promptEnds: readonly number[]): MergedPatch {
  return promptEnds.length > 0 ? patch : { ...patch, codebooks: new Map() }
}

/** Whole numbers as an index tensor [R]. */
export function indices(values: readonly number[]): Tensor<'int64'> {
  return { dtype: 'int64', shape: [values.length], data: BigInt64Array.from(values, BigInt) }
}

/** What identifies a patch's part of a graph: kinds and places, no numbers. */
export function patchKey(patch: MergedPatch, fed: ReadonlySet<string>): string {
  const lowRank = [...patch.lowRank.keys()].filter((name) => !fed.has(name)).sort()
  return JSON.stringify([lowRank, [...fed].sort(), [...patch.codebooks.keys()].sort()])
}

/** The name of the flattened tokens' dimension, N = B·T. */
export const TOKENS = times('B', 'T')

function halfSquaredNorms(keys: Tensor): Float32Array {
  const [entries = 0, width = 0] = keys.shape
  return Float32Array.from({ length: entries }, (_, i) => {
    let total = 0
    for (let j = 0; j < width; j++) total += (keys.data[i * width + j] ?? 0) ** 2
    return total / 2
  })
}
