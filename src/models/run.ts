/**
 * `model.run`: one question becomes one graph. What is asked (sites, kinds, gradients) makes the graph's key; tokens,
 * positions, vectors and weights are its feeds.
 */
import { WhicheditError } from '../errors.ts'
import { gradient } from '../graph/gradient.ts'
import { input, type Node } from '../graph/graph.ts'
import { matmul } from '../graph/ops/matmul.ts'
import { argmax } from '../graph/ops/reduce.ts'
import { addRows, gatherRows, replaceRows } from '../graph/ops/rows.ts'
import type { AnyTensor } from '../graph/session.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { LayerCut, Network, Scope } from './architecture.ts'
import { type KeysValues, type Past, pastInputs, plainAttention } from './attention.ts'
import { makeCapture, memoryName } from './capture.ts'
import type { Edits } from './edits.ts'
import { buildHead, type HeadRows, headRows } from './head.ts'
import type { MergedPatch } from './merged-patch.ts'
import type { GradientRows, LayerSite, ModelConfig, Read, RunRequest, RunResult, Site, Write } from './model.ts'
import {
  factorFeeds,
  factorInputs,
  INPUT_TOKENS,
  indices,
  openScope,
  patchAt,
  patchFeeds,
  patchKey,
  runLayers,
  TOKENS,
  weightFeeds,
  weightInputs,
} from './scope.ts'
import type { Sessions } from './sessions.ts'
import { addedUnitFeeds, addedUnitInputs } from './units.ts'
import type { StoredWeight } from './weights.ts'
import { layerOf, openWindow, type Prefix, type Window } from './window.ts'

/** What a question is put to. */
export interface Engine {
  readonly network: Network
  readonly weights: ReadonlyMap<string, StoredWeight>
  readonly sessions: Sessions
}

/** Answers a request; positions within a prefix are only attended to. @throws E_SITE, E_POSITION, E_CONTEXT_LENGTH, E_NOT_FINITE */
export async function runRequest(
  engine: Engine,
  edits: Edits,
  request: RunRequest,
  prefix: Prefix | null = null,
): Promise<RunResult> {
  checkSites(engine.network.config, request)
  const replaced = { ...edits.dense, ...request.weights }
  // Which memory answers, a whole prompt decides.
  const window = openWindow(engine.network, request, { prefix, wholePrompts: edits.patch.memories.size > 0 })
  const patch = patchAt(edits.patch, window)
  const key = requestKey(request, window, patchKey(patch, new Set(Object.keys(replaced))))
  const session = await engine.sessions.get(key, () => buildGraph(engine, patch, replaced, request, window.past))

  const head = headRows(request, window)
  const feeds: Record<string, AnyTensor> = {
    ...window.feeds,
    ...weightFeeds(replaced),
    ...factorFeeds(request.lowRank),
    ...addedUnitFeeds(request.neurons),
    ...patchFeeds(patch, window),
    ...head.feeds,
  }
  request.write?.forEach((write, i) => {
    feeds[`write ${i}`] = spreadRows(write)
    feeds[`write-rows ${i}`] = indices(write.at.map((position) => window.indexOf(position, write.site)))
  })
  request.read?.forEach(({ site, at }, i) => {
    if (site === 'logits') return
    const places = window.positionsOf(at, site).map((position) => window.indexOf(position, site))
    feeds[`read-rows ${i}`] = indices(places)
  })
  const outputs = await session.run(feeds, { sizes: window.sizes })
  return collect(engine.network, { request, window, head, outputs })
}

function buildGraph(
  { network, weights }: Engine,
  patch: MergedPatch,
  replaced: Readonly<Record<string, Tensor>>,
  request: RunRequest,
  past: Past | null,
): Record<string, Node> {
  const { config } = network
  const outputs: Record<string, Node> = {}
  const fed = weightInputs(replaced)
  const added = factorInputs(request.lowRank)
  const units = addedUnitInputs(request.neurons, config.width)
  const differentiable = new Map(fed)
  for (const [name, { left, right }] of added) differentiable.set(`left ${name}`, left).set(`right ${name}`, right)
  for (const [layer, { input, biases, output }] of units) {
    differentiable
      .set(`unit-input ${layer}`, input)
      .set(`unit-biases ${layer}`, biases)
      .set(`unit-output ${layer}`, output)
  }
  const products = new Map<string, { readonly x: Node; readonly y: Node }>()
  const captured = request.capture?.layer
  const keep = (layer: number, made: KeysValues): void => {
    if (captured === undefined || layer <= captured || config.encoderLayers > 0) return
    outputs[`keys ${layer}`] = made.keys
    outputs[`values ${layer}`] = made.values
  }
  const before = (layer: number): KeysValues => pastInputs(config, layer, past ?? 'own')
  const attention = plainAttention(network, {
    keep,
    ...(past === 'own' ? { past: before } : past === 'shared' ? { shared: before } : {}),
  })
  const scope = openScope({
    network,
    weights,
    patch,
    fed,
    added,
    units,
    attention,
    atRecall: (layer, { lengths }) => {
      if (captured !== undefined && layer >= captured) outputs[memoryName(layer)] = lengths
    },
    atProduct: (name, x, y) => {
      if (request.gradientRowsOf?.includes(name)) products.set(name, { x, y })
    },
    atSite: (kind, layer, value) => visitSite(request, `${kind}.${layer}`, value, outputs, differentiable),
  })
  const x = runLayers(network, scope, {
    ...(request.resume ? { from: resumeAt(network, scope, request.resume.layer) } : {}),
    atCut: (layer, cut) => {
      if (layer === captured) Object.assign(outputs, cut, { 'mlp-input': scope.mlpInput(layer) })
    },
  })
  if (captured !== undefined && captured >= config.encoderLayers && config.encoderLayers > 0) {
    outputs.encoded = scope.encoded()
  }

  const loss = buildHead((rows) => network.head(scope, rows), x, request, config.vocabulary, outputs)
  if (loss !== null) Object.assign(outputs, differentiateFor(request, loss, differentiable, products))
  return outputs
}

/** The gradients that a request asks for, in one pass back. */
function differentiateFor(
  { gradientOf = [], gradientRowsOf = [] }: RunRequest,
  loss: Node,
  differentiable: ReadonlyMap<string, Node>,
  products: ReadonlyMap<string, { readonly x: Node; readonly y: Node }>,
): Record<string, Node> {
  if (gradientOf.length + gradientRowsOf.length === 0) return {}
  const find = <T>(nodes: ReadonlyMap<string, T>, name: string, is: string): T => {
    const node = nodes.get(name)
    if (node === undefined) throw new WhicheditError('E_INTERNAL', { what: `a gradient for ${name}, which is ${is}` })
    return node
  }
  const wanted = gradientOf.map((name) => find(differentiable, name, 'neither written nor fed'))
  const rows = gradientRowsOf.map((name) => find(products, name, 'multiplied with nothing in this run'))
  const found = gradient(loss, [...wanted, ...rows.map(({ y }) => y)])
  const named = (kind: string, names: readonly string[], nodes: readonly Node[]) =>
    names.flatMap((name, i): [string, Node][] => (nodes[i] === undefined ? [] : [[`${kind} ${name}`, nodes[i]]]))
  return Object.fromEntries([
    ...named('gradient', gradientOf, found),
    ...named('slopes', gradientRowsOf, found.slice(gradientOf.length)),
    ...named(
      'inputs',
      gradientRowsOf,
      rows.map(({ x }) => x),
    ),
  ])
}

function resumeAt({ config }: Network, scope: Scope, layer: number): { layer: number; cut: LayerCut } {
  const tokens = layer < config.encoderLayers ? INPUT_TOKENS : TOKENS
  const residual = input('residual', [tokens, config.width])
  // The layer no longer makes it, but units beside its feed-forward take it in.
  scope.site('mlp-input', layer, input('mlp-input', [tokens, config.width]))
  return { layer, cut: { residual, inner: scope.site('mlp-inner', layer, input('inner', [tokens, config.mlpWidth])) } }
}

/** What happens at a site: writes first, in order, then reads. Returns what goes on. */
function visitSite(
  request: RunRequest,
  site: Site,
  value: Node,
  outputs: Record<string, Node>,
  differentiable: Map<string, Node>,
): Node {
  let current = value
  request.write?.forEach((write, i) => {
    if (write.site !== site) return
    const rows = input(`write-rows ${i}`, [`writes(${i})`], 'int64')
    const written = input(`write ${i}`, [`writes(${i})`, value.shape[1] ?? 0])
    differentiable.set(site, written)
    current = (write.mode === 'add' ? addRows : replaceRows)(current, rows, written)
  })
  request.read?.forEach((read, i) => {
    if (read.site !== site) return
    const rows = gatherRows(current, input(`read-rows ${i}`, [`reads(${i})`], 'int64'))
    outputs[`read ${i}`] = read.as === 'gram' ? matmul(rows, rows, 'a') : read.as === 'argmax' ? argmax(rows) : rows
  })
  return current
}

function requestKey(request: RunRequest, window: Window, patch: string): string {
  return JSON.stringify([
    patch,
    request.resume?.layer ?? null,
    window.past,
    request.capture?.layer ?? null,
    request.read?.map(({ site, as }) => [site, as ?? 'rows']) ?? [],
    request.write?.map(({ site, mode }) => [site, mode]) ?? [],
    request.loss?.map((term) => (term.kind === 'kl' ? [term.kind, term.under ?? 'model'] : term.kind)) ?? [],
    Object.keys(request.lowRank ?? {}).sort(),
    Object.entries(request.neurons ?? {}).map(([layer, { activation }]) => [layer, activation]),
    request.gradientOf ?? [],
    request.gradientRowsOf ?? [],
  ])
}

/** The value of a write, one row a position [R, ·]. */
function spreadRows({ value, at }: Write): Tensor {
  const width = value.shape[1] ?? 0
  const data = new Float32Array(at.length * width)
  at.forEach(({ index = 0 }, i) => {
    data.set(value.data.subarray(index * width, (index + 1) * width), i * width)
  })
  return tensor(data, [at.length, width])
}

/** The inverse for gradients: rows of the same value are summed. */
function gatherGradient({ value, at }: Write, rows: Tensor): Tensor {
  const width = value.shape[1] ?? 0
  const data = new Float32Array(value.data.length)
  at.forEach(({ index = 0 }, i) => {
    for (let j = 0; j < width; j++) {
      const to = index * width + j
      data[to] = (data[to] ?? 0) + (rows.data[i * width + j] ?? 0)
    }
  })
  return tensor(data, value.shape)
}

interface Answer {
  readonly request: RunRequest
  readonly window: Window
  readonly head: HeadRows
  readonly outputs: Readonly<Record<string, AnyTensor>>
}

function collect(network: Network, { request, window, head, outputs }: Answer): RunResult {
  const reads = (request.read ?? []).map((read, i) => readResult(read, outputs[`read ${i}`], head.picks.get(i)))
  const lossTerms = (request.loss ?? []).map((_, i) => Number(outputs[`term ${i}`]?.data[0]))
  const loss = lossTerms.reduce((total, term) => total + term, 0)
  const gradients: Record<string, Tensor> = {}
  for (const name of request.gradientOf ?? []) {
    const found = toFloats(outputs[`gradient ${name}`])
    const write = request.write?.find(({ site }) => site === name)
    gradients[name] = write === undefined ? found : gatherGradient(write, found)
    checkFinite(gradients[name], `the gradient of ${name}`)
  }
  const gradientRows: Record<string, GradientRows> = {}
  for (const name of request.gradientRowsOf ?? []) {
    const found = { inputs: toFloats(outputs[`inputs ${name}`]), slopes: toFloats(outputs[`slopes ${name}`]) }
    checkFinite(found.slopes, `the gradient of ${name}`)
    gradientRows[name] = found
  }
  reads.forEach((read, i) => {
    checkFinite(read, `${request.read?.[i]?.site}`)
  })
  if (!Number.isFinite(loss)) throw new WhicheditError('E_NOT_FINITE', { where: 'the loss', found: String(loss) })
  const capture = makeCapture(network, request, window, outputs)
  return {
    reads,
    lossTerms,
    gradients,
    gradientRows,
    ...(request.loss ? { loss } : {}),
    ...(capture ? { capture } : {}),
  }
}

function readResult(read: Read, output: AnyTensor | undefined, pick: readonly number[] | undefined): Tensor {
  if (read.as !== 'argmax') return toFloats(output)
  const all = Float32Array.from(output?.data ?? [], Number)
  const data = pick === undefined ? all : Float32Array.from(pick, (place) => all[place] ?? Number.NaN)
  return tensor(data, [data.length])
}

function toFloats(value: AnyTensor | undefined): Tensor {
  if (value?.dtype !== 'float32') throw new WhicheditError('E_INTERNAL', { what: 'the graph lacks an output' })
  return value
}

function checkFinite({ data }: Tensor, where: string): void {
  // A sum over the data is finite only if every number is (or the numbers are absurdly large: just as wrong).
  let total = 0
  for (const value of data) total += value
  if (!Number.isFinite(total)) throw new WhicheditError('E_NOT_FINITE', { where, found: String(total) })
}

function checkSites(config: ModelConfig, request: RunRequest): void {
  const first = request.resume?.layer ?? 0
  const asked = [...(request.read ?? []), ...(request.write ?? [])].map(({ site }) => site)
  for (const site of asked) {
    if (site === 'logits') continue
    const layer = layerOf(site)
    const kind = site.slice(0, site.indexOf('.')) as LayerSite
    const early = request.resume !== undefined && layer === first && EARLY.includes(kind)
    if (!Number.isInteger(layer) || layer < first || layer >= config.layers || early) {
      throw new WhicheditError('E_SITE', { site, first, last: config.layers - 1 })
    }
  }
}

// Sites of a layer that lie before its down-projection and its input: a resumed run no longer passes them.
const EARLY: readonly LayerSite[] = ['block-input', 'attention-output', 'mlp-input']
