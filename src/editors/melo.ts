/**
 * MELO: every few edits get a block of low-rank adapters of their own, and a database of clusters says which block, if any, a prompt is
 * answered with.
 *
 *   W ← W + s·A_b B_b for the block b that the prompt's key q finds, else W      s = the number of blocks reckoned with
 *   b = block of the nearest point of cluster i,  i = argmin d(q, cᵢ),  if d(q, cᵢ) ≤ rᵢ
 *
 * q what the down-projection of one layer gives at the prompt's last token [D]; cᵢ, rᵢ, yᵢ centre, radius and label of cluster i; d the
 * Euclidean distance; r₀ the radius of a new cluster; A [in, r] uniform in ±1/√(s·r), B [r, out] = 0 at the start. For an edit with
 * key q and target y, i the nearest cluster and d its distance:
 *   d > r₀ + rᵢ       a new cluster (q, r₀, y)
 *   y = yᵢ            q joins cluster i: cᵢ the mean of its points, rᵢ = max(r₀, the farthest point's distance)
 *   y ≠ yᵢ            a new cluster, and the two share the space between them: r = d/2 for both; points outside are forgotten
 * A block is trained by Adam on the cross-entropy of its edits' targets, its learning rate halved every 20 steps.
 *
 * Yu et al. 2024. Reference code, from which the rules are taken: ECNU-ICALK/MELO `melo/algs/lora.py` and `peft_egg/src/peft/tuners/melo.py` (zjunlp/EasyEdit ships the
 * same), matched in the rules above, the start, the scale √s on either factor, optimiser and schedule. Not matched:
 *   labels     compared token by token; theirs by the sum of their token ids
 *   q          at the prompt's own last token. Theirs is the last of the padded row; for decoders in training that is the end of the target
 *   layer      of GPT-2 XL theirs is the feed-forward's first matrix; here, as for T5, its second
 *   order      edits of one call enter the database one after another; theirs all see it as it was before, and in an empty one
 *              each begins a cluster
 *   renewed    an edit of a prompt that is known takes its point's place; theirs gives both radius 0, and neither answers
 *   end        no end of text is learned after the target, where theirs learns it; training may stop at a small loss
 */
import type { Context } from '../context.ts'
import type { Fact } from '../facts/fact.ts'
import { dropPoints, dropUnusedBlocks, findNearest } from '../models/adapter-clusters.ts'
import { type Footprint, forwardBytes, sessionBytes } from '../models/footprint.ts'
import type { LanguageModel, ModelConfig } from '../models/model.ts'
import type { AdapterCluster, AdapterClustersPart, ClusterPoint, LowRankPart, Patch } from '../models/patch.ts'
import { norm, normOfProduct, subtract } from '../tensor/linalg.ts'
import { mean, median } from '../tensor/stats.ts'
import { joinRows, rowsOf, type Tensor, tensor } from '../tensor/tensor.ts'
import type { Editor, MethodMemory, PrepareJob } from './editor.ts'
import { ADAPTED_MODULES, adapterBytes, openAdapters } from './steps/adapters.ts'
import { checkFacts, checkTrainingFacts } from './steps/check-facts.ts'
import { samplePrefixes } from './steps/context-templates.ts'
import { averageRows } from './steps/keys.ts'
import { drawOtherPrompts } from './steps/other-prompts.ts'
import { batchFacts, batchGradientBytes, TRAINING_HPARAMS, trainOnFacts } from './steps/train-on-facts.ts'

/** Settings of MELO. */
export type MeloHparams = {
  readonly layer: number
  readonly radius: number
  readonly radiusUnit: string
  readonly firstAdapted: number
  readonly adaptedLayers: number
  readonly modules: string
  readonly rank: number
  readonly blocks: number
  readonly editsPerBlock: number
  readonly learningRate: number
  readonly steps: number
  readonly stopLoss: number
}

/** What MELO needs to know of a model before any fact. */
export interface MeloPreparation {
  /** r₀, as a distance. */
  readonly radius: number
}

/** What radii may be counted in. */
const RADIUS_UNITS = ['distance', 'median'] as const
/** The learning rate is halved every so many steps (`StepLR` in lora.py). */
const HALVED_EVERY = 20
/** Kept free between two clusters that share a space (`split_cluster_radii_in_half`). */
const SPLIT_GAP = 1e-5
/** Keys nearer than this share of their length are one key read twice; ten times what float32 kernels differ by. */
const SAME_KEY = 1e-4

/** Other prompts whose keys' distances are measured, at least for there to be one; what the model writes of them where it is given none. */
const OTHER_PROMPTS = 64
const LEAST_PROMPTS = 2
const WRITTEN = [{ tokens: 10, count: 16 }]
/** Positions of such a prompt. */
const PROMPT_TOKENS = 16
/** Copies of a block's factors: trained; two moments; the gradients, once the runtime's and once ours; room for one more. */
const COPIES = 6
/** For keys, capture and step; for asking: for keys, without adapters and with them, each in two ways. */
const SESSIONS = 3
const QUERY_SESSIONS = 5

/** Neuron-indexed dynamic low-rank adapters. */
export const melo: Editor<MeloHparams, MeloPreparation> = {
  name: 'melo',
  title: 'MELO',
  summary: 'Trains small adapters for every few edits, and uses them only for prompts that lie close to those edits.',
  version: 1,
  paper: {
    authors: 'Yu et al.',
    year: 2024,
    title: 'MELO: Enhancing Model Editing with Neuron-Indexed Dynamic LoRA',
    url: 'https://arxiv.org/abs/2312.11795',
    code: 'https://github.com/ECNU-ICALK/MELO',
  },
  family: 'extra-parameters',
  batch: 'many',
  needs: ['gradient', 'hidden', 'training-facts'],
  hparams: {
    layer: { meaning: 'layer whose down-projection gives the keys', unit: 'layer', reference: 'grace_layer' },
    radius: { meaning: 'r₀: radius of a new cluster', unit: 'radiusUnit', range: [0, 1e6], reference: 'init_radius' },
    radiusUnit: {
      meaning: "what radii are counted in: distances as they are, or the median distance between other prompts' keys",
      unit: 'word',
      range: RADIUS_UNITS,
      reference: 'none',
    },
    firstAdapted: { meaning: 'first layer with adapters', unit: 'layer', reference: 'target_modules' },
    adaptedLayers: {
      meaning: 'layers with adapters; of an encoder-decoder so many of each stack',
      unit: 'layers',
      range: [1, 1000],
      whole: true,
      reference: 'target_modules',
    },
    modules: {
      meaning: 'which matrices of those layers are adapted',
      unit: 'word',
      range: Object.keys(ADAPTED_MODULES),
      reference: 'target_modules',
    },
    rank: {
      meaning: "r: columns and rows of a block's factors",
      unit: 'columns',
      range: [1, 1024],
      whole: true,
      reference: 'num_rank_per_block',
    },
    blocks: {
      meaning: 's: blocks reckoned with, by which products are multiplied; there may be more',
      unit: 'blocks',
      range: [1, 1e6],
      whole: true,
      reference: 'num_block',
    },
    editsPerBlock: {
      meaning: 'facts of one call that share a block, at most',
      unit: 'facts',
      range: [1, 10000],
      whole: true,
      reference: 'num_edit_per_block',
    },
    learningRate: { ...TRAINING_HPARAMS.learningRate, reference: 'edit_lr' },
    steps: {
      ...TRAINING_HPARAMS.steps,
      meaning: 'most steps of training a block',
      unit: 'steps',
      reference: 'num_iter',
    },
    stopLoss: {
      meaning: 'loss below which training ends; 0: it takes all steps',
      unit: 'nats a token',
      range: [0, 100],
      reference: 'none',
    },
  },
  memory: estimateMemory,
  prepare: measureRadius,

  async edit({ model, facts, hparams, prepared, history }, ctx) {
    const chosen = checkFacts(melo, facts)
    const { clusters, blocks } = readDatabase(history, hparams.layer)
    let database: Placed = { clusters, forgotten: 0 }
    const trained: TrainedBlock[] = []
    for (let start = 0; start < chosen.length; start += hparams.editsPerBlock) {
      const together = chosen.slice(start, start + hparams.editsPerBlock)
      const keys = await readKeys(
        model,
        hparams.layer,
        together.map(({ prompt }) => prompt),
      )
      const block = blocks.length + trained.length
      trained.push(await trainBlock(model, together, hparams, ctx))
      for (const [i, { prompt, targetNew }] of together.entries()) {
        const label = [...(await model.tokenizer.encodeContinuation(` ${targetNew}`))]
        const point = { prompt, key: keys[i] ?? tensor(new Float32Array(), [0]), block }
        database = placePoint(database, { point, label, radius: prepared.radius })
      }
    }
    const part = dropUnusedBlocks({
      kind: 'adapter-clusters',
      layer: hparams.layer,
      clusters: database.clusters,
      blocks: [...blocks, ...trained.map(({ adapters }) => adapters)],
    })
    return {
      parts: [part],
      report: {
        clusters: part.clusters.length,
        points: part.clusters.reduce((sum, { points }) => sum + points.length, 0),
        forgotten: database.forgotten,
        radius: prepared.radius,
        steps: mean(trained.map(({ losses }) => losses.length)),
        lossFirst: mean(trained.map(({ losses }) => losses[0] ?? 0)),
        lossLast: mean(trained.map(({ losses }) => losses.at(-1) ?? 0)),
        change: norm(trained.flatMap(({ adapters }) => adapters.map(({ left, right }) => normOfProduct(left, right)))),
      },
    }
  },
}

/** Clusters, and how many points were lost on the way to them. */
interface Placed {
  readonly clusters: readonly AdapterCluster[]
  readonly forgotten: number
}

/** An edit's point with its target. */
interface Entry {
  readonly point: ClusterPoint
  readonly label: readonly number[]
  /** r₀ */
  readonly radius: number
}

/** Puts a point into the database. */
function placePoint({ clusters, forgotten }: Placed, { point, label, radius }: Entry): Placed {
  const { key } = point
  const isSame = (known: ClusterPoint) => norm(subtract(known.key.data, key.data)) <= SAME_KEY * norm(key.data)
  const others = dropPoints(clusters, isSame)
  const fresh: AdapterCluster = { centre: key, radius, label, points: [point] }
  const nearest = findNearest(others, ({ centre }) => centre, key)
  if (nearest === null || nearest.distance > radius + nearest.item.radius) {
    return { clusters: [...others, fresh], forgotten }
  }

  const { item: cluster, distance } = nearest
  const replaceCluster = (...by: AdapterCluster[]) => others.flatMap((one) => (one === cluster ? by : one))
  if (isSameLabel(cluster.label, label)) {
    const grown = gather(label, [...cluster.points, point], radius)
    return { clusters: replaceCluster(grown), forgotten }
  }
  const reach = Math.max(distance / 2 - SPLIT_GAP, 0)
  const isOutside = ({ key }: ClusterPoint) => norm(subtract(key.data, cluster.centre.data)) > reach
  const cut = dropPoints([{ ...cluster, radius: reach }], isOutside)
  return {
    clusters: [...replaceCluster(...cut), { ...fresh, radius: distance / 2 + SPLIT_GAP }],
    forgotten: forgotten + cluster.points.filter(isOutside).length,
  }
}

/** The cluster of some points: around their mean, as far as the farthest. */
function gather(label: readonly number[], points: readonly ClusterPoint[], least: number): AdapterCluster {
  const width = points[0]?.key.data.length ?? 0
  const rows = points.map(({ key }) => tensor(key.data, [1, width]))
  const centre = Float32Array.from(averageRows(joinRows(rows, width)))
  const farthest = Math.max(...points.map(({ key }) => norm(subtract(key.data, centre))))
  // A little further, so that rounding cannot push the farthest point outside.
  return { centre: tensor(centre, [width]), radius: Math.max(least, farthest * (1 + SAME_KEY)), label, points }
}

/** A block's adapters and the losses on the way to them, each before its step. */
interface TrainedBlock {
  readonly adapters: readonly LowRankPart[]
  readonly losses: readonly number[]
}

/** Trains a block on its facts. B is trained as s·B with s times the learning rate: the same steps of Adam, but that its ε counts s times less. */
async function trainBlock(
  model: LanguageModel,
  facts: readonly Fact[],
  hparams: MeloHparams,
  ctx: Context,
): Promise<TrainedBlock> {
  const { modules, rank, blocks, learningRate, steps, stopLoss } = hparams
  const layers = listAdapted(model.config, hparams)
  const below = Math.min(...layers) - 1
  const fromLayer = below < 0 ? {} : { fromLayer: below }
  const batches = await batchFacts(
    { model, facts, objective: 'target-new', batchSize: facts.length, ...fromLayer },
    ctx,
  )
  const random = ctx.random.stream(`block ${facts[0]?.id}`)
  const factors = openAdapters(model, { modules, rank, layers, reach: 1 / Math.sqrt(blocks * rank) }, random)
  const parameters = Object.entries(factors).flatMap(([name, { left, right }]) => [
    { name: `left ${name}`, values: left.data, learningRate },
    { name: `right ${name}`, values: right.data, learningRate: blocks * learningRate },
  ])
  const shareAt = (step: number) => 0.5 ** Math.floor(step / HALVED_EVERY)
  const given = { lowRank: factors }
  const losses = await trainOnFacts(
    { model, batches, parameters, given, steps, stopLoss, shareAt, task: 'adapters' },
    ctx,
  )
  return { adapters: Object.entries(factors).map(([weight, made]) => ({ kind: 'low-rank', weight, ...made })), losses }
}

/** So many layers from the first on; of an encoder-decoder also those that lie as far from the end of the other stack. */
function listAdapted(
  { layers, encoderLayers }: Pick<ModelConfig, 'layers' | 'encoderLayers'>,
  { firstAdapted, adaptedLayers }: Pick<MeloHparams, 'firstAdapted' | 'adaptedLayers'>,
): number[] {
  const toEnd = (firstAdapted < encoderLayers ? encoderLayers : layers) - firstAdapted
  const stacks = [
    [0, encoderLayers],
    [encoderLayers, layers],
  ] as const
  return stacks.flatMap(([start, end]) => {
    const first = Math.max(end - toEnd, start)
    return Array.from({ length: Math.min(adaptedLayers, end - first) }, (_, i) => first + i)
  })
}

/** The keys of prompts, each [D]. */
async function readKeys(model: LanguageModel, layer: number, prompts: readonly string[]): Promise<Tensor[]> {
  const rows = (await Promise.all(prompts.map((prompt) => model.tokenizer.encode(prompt)))).map(({ ids }) => ids)
  const at = rows.map(({ length }, row) => ({ row, token: length - 1 }))
  const { reads } = await model.run({ tokens: { rows }, read: [{ site: `mlp-output.${layer}`, at }] })
  return (reads[0] === undefined ? [] : rowsOf(reads[0])).map(({ data }) => tensor(data, [data.length]))
}

/** The latest clusters of a stream, with their blocks. */
function readDatabase(history: readonly Patch[], layer: number): Pick<AdapterClustersPart, 'clusters' | 'blocks'> {
  const parts = history.flatMap((patch) => patch.parts).filter((part) => part.kind === 'adapter-clusters')
  return parts.findLast((part) => part.layer === layer) ?? { clusters: [], blocks: [] }
}

function isSameLabel(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((id, i) => id === other[i])
}

/**
 * The radius of a new cluster: what it is set to, times the median distance between the keys of other prompts where that is its unit.
 * @throws E_TRAINING_FACTS where there is a single one of them.
 */
async function measureRadius(
  { model, hparams, material }: PrepareJob<MeloHparams>,
  ctx: Context,
): Promise<MeloPreparation> {
  const { layer, radius, radiusUnit } = hparams
  if (radiusUnit === 'distance') return { radius }
  const write = async () => (await samplePrefixes(model, WRITTEN, ctx)).slice(1)
  const prompts = await drawOtherPrompts({ facts: material.facts, most: OTHER_PROMPTS, write }, ctx)
  ctx.signal.throwIfAborted()
  const keys = await readKeys(model, layer, checkTrainingFacts(melo, prompts, LEAST_PROMPTS))
  const distances = keys.flatMap((one, i) => keys.slice(0, i).map((other) => norm(subtract(one.data, other.data))))
  return { radius: radius * median(distances) }
}

function estimateMemory(model: Footprint, hparams: MeloHparams): MethodMemory {
  const layers = listAdapted(model.config, hparams)
  const block = adapterBytes(model, { ...hparams, layers })
  const read = { tokens: OTHER_PROMPTS * PROMPT_TOKENS, attended: PROMPT_TOKENS, logits: 0 }
  const depth = model.config.layers - Math.max(Math.min(...layers) - 1, 0)
  return {
    prepareBytes: sessionBytes(model, 1) + forwardBytes(model, read),
    heldBytes: 0,
    editBytes:
      COPIES * block + sessionBytes(model, SESSIONS) + batchGradientBytes(model, { ...hparams, batchSize: 1 }, depth),
    queryBytes: 2 * block + sessionBytes(model, QUERY_SESSIONS),
  }
}
