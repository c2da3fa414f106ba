/**
 * Builds one graph of a model: the architecture's layers with patches, reads and writes in their places. What a graph
 * is fed has names made here (`weight …`, `left …`, `keys 5`), and the feeds of a patch are made here too.
 */
import { WhicheditError } from '../errors.ts'
import { type Dim, input, type Node, weight as storedWeight, times } from '../graph/graph.ts'
import { add, multiply, subtract } from '../graph/ops/elementwise.ts'
import { matmul } from '../graph/ops/matmul.ts'
import { argmax, sum } from '../graph/ops/reduce.ts'
import { gatherRows, replaceRows } from '../graph/ops/rows.ts'
import { lessOrEqual, where } from '../graph/ops/select.ts'
import type { AnyTensor } from '../graph/session.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { LayerCut, Layers, Scope } from './architecture.ts'
import type { Attention } from './attention.ts'
import type { MergedPatch } from './merged-patch.ts'
import type { LayerSite, RunRequest } from './model.ts'
import type { CodebookPart } from './patch.ts'
import { type PromptShares, type Recollection, recall, recallFeeds } from './side-memories.ts'
import { answerOf, mergedUnitFeeds, mergedUnitInputs, type UnitNodes } from './units.ts'
import type { StoredWeight } from './weights.ts'

/** What decides a graph besides the architecture. */
export interface ScopePlan {
  readonly network: Layers
  readonly weights: ReadonlyMap<string, StoredWeight>
  readonly patch: MergedPatch
  /** Weights that are fed [in, out] instead of read from the files: by a request, or because of a dense delta. */
  readonly fed: ReadonlyMap<string, Node>
  /** Factors of products added to weights by a request. */
  readonly added?: ReadonlyMap<string, FactorNodes>
  /** Units that a request adds to feed-forwards, by layer. */
  readonly units?: ReadonlyMap<number, UnitNodes>
  readonly attention: Attention
  /** Told what side memories make of a layer. */
  readonly atRecall?: (layer: number, made: Recollection) => void
  /** Told what a weight is multiplied with and what that gives, changes of the weight included. */
  readonly atProduct?: (name: string, x: Node, y: Node) => void
  /** Reads and writes at a site; returns what goes on. */
  readonly atSite?: (kind: LayerSite, layer: number, value: Node) => Node
}

/** The factors of a product added to a weight: left [in, r], right [r, out]. */
export interface FactorNodes {
  readonly left: Node
  readonly right: Node
}

/** A scope whose encoder can end. */
export interface OpenScope extends Scope {
  /** Hands the encoder's result to the decoder's layers. */
  endEncoder(encoded: Node): void
}

/** A scope that remembers what layers made. */
export interface GraphScope extends OpenScope {
  /** What the feed-forward of a layer took in, after its norm [N, D]. */
  mlpInput(layer: number): Node
}

/** Makes the scope of one graph. */
export function openScope(plan: ScopePlan): GraphScope {
  const stored = new Map<string, Node>()
  const mlpInputs = new Map<number, Node>()
  const inner = new Map<number, Node>()
  const positions = new Map<Dim | undefined, Node>()
  let encoded: Node = input('encoded', [INPUT_TOKENS, plan.network.config.width])

  const weight = (name: string): Node => {
    const known = stored.get(name)
    if (known !== undefined) return known
    const found = plan.weights.get(name)
    if (found === undefined) throw new WhicheditError('E_WEIGHT', { name })
    const node = storedWeight(name, found.shape, found)
    stored.set(name, node)
    return node
  }

  const patchedProduct = (x: Node, name: string, out: number): Node => {
    const replacement = plan.fed.get(name)
    if (replacement !== undefined) return matmul(x, replacement)
    const y = matmul(x, weight(name), plan.network.stored === 'out-in' ? 'b' : '')
    if (!plan.patch.lowRank.has(name)) return y
    const rank = `rank(${name})`
    return addLowRank(y, x, {
      left: input(`left ${name}`, [x.shape[1] ?? 0, rank]),
      right: input(`right ${name}`, [rank, out]),
    })
  }

  const product = (x: Node, name: string, out: number): Node => {
    const y = patchedProduct(x, name, out)
    const added = plan.added?.get(name)
    const sum = added === undefined ? y : addLowRank(y, x, added)
    plan.atProduct?.(name, x, sum)
    return sum
  }

  const mlpInput = (layer: number): Node => {
    const node = mlpInputs.get(layer)
    if (node === undefined) throw new WhicheditError('E_INTERNAL', { what: `layer ${layer} has no site mlp-input` })
    return node
  }

  const withMemories = (layer: number, output: Node): Node => {
    const x = inner.get(layer)
    if (!plan.patch.memories.has(layer) || x === undefined) return output
    const made = recall(layer, x, plan.network.config.width, x.shape[0] === INPUT_TOKENS ? 'I' : 'T')
    plan.atRecall?.(layer, made)
    return add(output, made.answer)
  }

  const patchedOutput = (layer: number, output: Node): Node => {
    const { width } = plan.network.config
    const ofPatch = mergedUnitInputs(plan.patch, layer, width)
    const added = plan.units?.get(layer)
    const all = added === undefined ? ofPatch : [...ofPatch, added]
    const sum = all.reduce((y, units) => add(y, answerOf(units, mlpInput(layer))), withMemories(layer, output))
    const book = plan.patch.codebooks.get(layer)
    return book === undefined ? sum : consult(layer, book, inner.get(layer) ?? sum, sum)
  }

  return {
    weight,
    mlpInput,
    attention: plan.attention,
    linear(x, name, out, bias = false) {
      const y = product(x, `${name}.weight`, out)
      return bias ? add(y, weight(`${name}.bias`)) : y
    },
    positions({ shape }) {
      const name = shape[0] === INPUT_TOKENS ? 'input-positions' : 'positions'
      const node = positions.get(shape[0]) ?? input(name, shape, 'int64')
      positions.set(shape[0], node)
      return node
    },
    encoded: () => encoded,
    endEncoder(made) {
      encoded = made
    },
    site(kind, layer, value) {
      const patched = kind === 'mlp-output' ? patchedOutput(layer, value) : value
      const visited = plan.atSite?.(kind, layer, patched) ?? patched
      // What is written there is heard by all that takes it in, the layer's own and what patches put beside it.
      if (kind === 'mlp-input') mlpInputs.set(layer, visited)
      if (kind === 'mlp-inner') inner.set(layer, visited)
      return visited
    },
  }
}

/** `y + (x·left)·right` [N, out]. */
function addLowRank(y: Node, x: Node, { left, right }: FactorNodes): Node {
  return add(y, matmul(matmul(x, left), right))
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

/** Which of a network's layers are run, and who is told. */
export interface LayerRun {
  /** An encoder-decoder's encoder alone, or its decoder alone, which is then fed `encoded`. Default: the whole. */
  readonly part?: 'encoder' | 'decoder'
  /** Go on from this layer's down-projection instead of from the tokens. */
  readonly from?: { readonly layer: number; readonly cut: LayerCut }
  /** Told the cut of each layer. */
  readonly atCut?: (layer: number, cut: LayerCut) => void
}

/**
 * Layers of a network over the tokens fed as `ids` (an encoder's as `input-ids`): the residual stream after the last [N, D],
 * or what the encoder made.
 */
export function runLayers(network: Layers, scope: OpenScope, { part, from, atCut }: LayerRun = {}): Node {
  const { layers, encoderLayers } = network.config
  let next = from ? from.layer + 1 : part === 'decoder' ? encoderLayers : 0
  let x = from && network.fromDownProjection(scope, from.layer, from.cut)
  const walk = (start: Node, end: number): Node => {
    let stream = start
    for (; next < end; next++) {
      const cut = network.toDownProjection(scope, next, stream)
      atCut?.(next, cut)
      stream = network.fromDownProjection(scope, next, cut)
    }
    return stream
  }
  const ids = (name: string, size: Dim) => {
    const tokens = input(name, [size], 'int64')
    const places = network.embedPositions?.(scope, tokens)
    return places === undefined ? network.embed(scope, tokens) : add(network.embed(scope, tokens), places)
  }
  if ((from?.layer ?? next) < encoderLayers) {
    const end = walk(x ?? ids('input-ids', INPUT_TOKENS), encoderLayers)
    const encoded = network.endEncoder?.(scope, end) ?? end
    if (part === 'encoder') return encoded
    scope.endEncoder(encoded)
    x = undefined
  }
  return walk(x ?? ids('ids', TOKENS), layers)
}

/** Where prompts lie among the positions of a run. */
export interface PromptPlaces {
  /** Flattened positions of the prompts' last tokens that are computed at a layer. */
  promptEnds(layer: number): readonly number[]
  /** What the positions mean to side memories at a layer. */
  promptShares(layer: number): PromptShares
}

/** What a patch's graph is fed. */
export function patchFeeds(patch: MergedPatch, places: PromptPlaces): Record<string, AnyTensor> {
  const feeds = mergedUnitFeeds(patch)
  for (const [name, { left, right }] of patch.lowRank) {
    feeds[`left ${name}`] = left
    feeds[`right ${name}`] = right
  }
  for (const [layer, { keys, values, radii }] of patch.codebooks) {
    const entries = radii.data.length
    feeds[`query ${layer}`] = indices(places.promptEnds(layer))
    feeds[`keys ${layer}`] = keys
    feeds[`values ${layer}`] = values
    feeds[`radii ${layer}`] = tensor(radii.data, [entries, 1])
    feeds[`half-norms ${layer}`] = tensor(halfSquaredNorms(keys), [1, entries])
  }
  for (const [layer, memories] of patch.memories) {
    Object.assign(feeds, recallFeeds(layer, memories, places.promptShares(layer)))
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

/** Inputs for the factors of products that a request adds to weights. */
export function factorInputs(added: RunRequest['lowRank'] = {}): Map<string, FactorNodes> {
  return new Map(
    Object.entries(added).map(([name, { left, right }]) => {
      const rank = `added-rank(${name})`
      const nodes = {
        left: input(`added-left ${name}`, [left.shape[0] ?? 0, rank]),
        right: input(`added-right ${name}`, [rank, right.shape[1] ?? 0]),
      }
      return [name, nodes]
    }),
  )
}

/** What those inputs are fed. */
export function factorFeeds(added: RunRequest['lowRank'] = {}): Record<string, AnyTensor> {
  return Object.fromEntries(
    Object.entries(added).flatMap(([name, { left, right }]) => [
      [`added-left ${name}`, left],
      [`added-right ${name}`, right],
    ]),
  )
}

/** The patch as far as it matters to a run: in layers where no prompt ends, codebooks are not consulted. */
export function patchAt(patch: MergedPatch, places: Pick<PromptPlaces, 'promptEnds'>): MergedPatch {
  const codebooks = new Map([...patch.codebooks].filter(([layer]) => places.promptEnds(layer).length > 0))
  return { ...patch, codebooks }
}

/** Whole numbers as an index tensor [R]. */
export function indices(values: readonly number[]): Tensor<'int64'> {
  return { dtype: 'int64', shape: [values.length], data: BigInt64Array.from(values, BigInt) }
}

/** What identifies a patch's part of a graph: kinds and places, no numbers. */
export function patchKey(patch: MergedPatch, fed: ReadonlySet<string>): string {
  const lowRank = [...patch.lowRank.keys()].filter((name) => !fed.has(name)).sort()
  const neurons = [...patch.neurons].map(([layer, all]) => [layer, all.map(({ activation }) => activation)]).sort()
  const memories = [...patch.memories.keys()].sort()
  return JSON.stringify([lowRank, [...fed].sort(), [...patch.codebooks.keys()].sort(), neurons, memories])
}

/** The flattened tokens' dimension, N = B·T. */
export const TOKENS = times('B', 'T')
/** The same of an encoder's input. */
export const INPUT_TOKENS = times('B', 'I')

function halfSquaredNorms(keys: Tensor): Float32Array {
  const [entries = 0, width = 0] = keys.shape
  return Float32Array.from({ length: entries }, (_, i) => {
    let total = 0
    for (let j = 0; j < width; j++) total += (keys.data[i * width + j] ?? 0) ** 2
    return total / 2
  })
}
