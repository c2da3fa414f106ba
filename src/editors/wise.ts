/**
 * WISE: a side memory, a copy of one down-projection that alone learns the edits, and a gate that sends a text through it where it
 * answers strongly.
 *
 *   y = x·W + x·Δ if a(prompt) ≥ ε, else x·W,      a(x) = mean over positions t of ‖kₜΔ‖,   ε = ρ · min over edits e of a(xₑ)
 *   loss = mean over prefixed prompts and j of −log p_Δ(tⱼ | x, t₁ … tⱼ₋₁) + S(γ + a(xᵢ) − a(xₑ)) + S(a(xᵢ) − α) + S(β − a(xₑ))
 *   Δ ← Δ − η M ⊙ ∂loss/∂Δ,  |Δ| ≤ the norm limit elementwise
 *
 * W the down-projection of one layer and W + Δ the side memory; kₜ its input at a position; xₑ, tⱼ prompts and target of an edit, xᵢ other
 * prompts; α, β, γ margins and S the mean of what is above zero (`activation-margins.ts`); M a random mask, the memory's subspace; ε the gate's
 * threshold, ρ its ratio. After so many edits a memory is closed and the next one begins at Δ = 0 with a mask of its own; so many
 * closed ones are merged by TIES into one, with the least of their thresholds. Of several memories the one of the largest activation answers (WISE-Retrieve).
 *
 * Wang et al. 2024, §2.3. Reference code: zjunlp/EasyEdit `models/wise/WISE.py`, matched in losses, mask, clamp, stop and life
 * of memories, and in its way for facts: where a prompt has its subject, meant are the subject's tokens, not meant the prompt's others. A
 * subject that opens a text is not met there: a first token's key hardly depends on the token. Not matched:
 *   gate       decided for each text by its prompt, once. Theirs takes the mean over the whole batch, target and padding included; in
 *              generating it decides anew at each token, by that token alone; beyond 100 tokens it takes the largest
 *   ‖kₜΔ‖      as in the paper; theirs compares the outputs after the model's activation function
 *   a(xₑ)      for ε that of the bare prompt; theirs is the mean over prefixed texts
 *   xᵢ         drawn for each step from prompts of other facts, some from those most like the edit's; theirs is one prompt of the user's for all steps
 *   prefixes   sampled as for other methods here, not by beams after other words
 *   decay      none; theirs shrinks all of W + Δ, also outside the mask
 *   scale      margins of published settings are lengths in the models they were made for. Elsewhere the unit of a is a share of the median
 *              length of what the down-projection gives, and η is multiplied by (unit / median ‖k‖)², so that a step goes as far
 */
import type { Context } from '../context.ts'
import type { Fact } from '../facts/fact.ts'
import { type Footprint, forwardBytes, gradientBytes, sessionBytes } from '../models/footprint.ts'
import type { LanguageModel, Position, RunRequest } from '../models/model.ts'
import type { Patch, SideMemoriesPart } from '../models/patch.ts'
import { dot, norm } from '../tensor/linalg.ts'
import type { Random } from '../tensor/random.ts'
import { median } from '../tensor/stats.ts'
import { joinRows, rowsOf, type Tensor, tensor, zeros } from '../tensor/tensor.ts'
import type { Editor, MethodMemory, PrepareJob } from './editor.ts'
import { measureActivations, type Scope, separateActivations, type TextRows } from './steps/activation-margins.ts'
import { checkFacts } from './steps/check-facts.ts'
import { samplePrefixes } from './steps/context-templates.ts'
import { differentiate } from './steps/differentiate.ts'
import { drawOtherPrompts } from './steps/other-prompts.ts'
import { listPlaces } from './steps/places.ts'
import { promptAfter } from './steps/subject.ts'
import {
  drawSubspace,
  multiplyEntries,
  packSubspace,
  pullBack,
  type Subspace,
  spreadEntries,
  takeEntries,
  unpackSubspace,
} from './steps/subspace.ts'
import { forceTarget, tokenizeTarget } from './steps/target-tokens.ts'
import { mergeTies } from './steps/ties.ts'

/** Settings of WISE. */
export type WiseHparams = {
  readonly layer: number
  readonly shortPrefixes: number
  readonly longPrefixes: number
  readonly otherPrompts: number
  readonly nearPrompts: number
  readonly maskRatio: number
  readonly learningRate: number
  readonly steps: number
  readonly stopLoss: number
  readonly stopChange: number
  readonly normLimit: number
  readonly alpha: number
  readonly beta: number
  readonly gamma: number
  readonly unitShare: number
  readonly gateRatio: number
  readonly editsPerMemory: number
  readonly memoriesPerMerge: number
  readonly density: number
}

/** What WISE needs to know of a model before any fact. */
export interface WisePreparation {
  /** Text put before a prompt; the first is empty. */
  readonly prefixes: readonly string[]
  /** The down-projection's inputs at the positions of other prompts, each [T, F]. */
  readonly others: readonly Tensor[]
  /** What activations are measured in. */
  readonly unit: number
  /** What the learning rate is multiplied by. */
  readonly stepScale: number
}

/** Other prompts that are kept, those of them that count as like an edit's, and how many are read in one run. */
const KEPT_PROMPTS = 128
const NEAREST = 32
const READ_PROMPTS = 32
/** Positions of a prompt; of one with its prefix and target; those that predict the target. */
const PROMPT_TOKENS = 16
const FACT_TOKENS = 32
const TARGET_TOKENS = 8
/** Copies of the matrix: Δ as it was and as it is; entries, their columns and slopes; the next patch's; room for one more. */
const MATRICES = 6
/** Δ as asked, and once more for a second reading that waits to be collected. */
const MATRICES_ASKED = 2
/** For the capture and for the step; for the edited model as many. */
const SESSIONS = 2

/** Dual memory with a gate. */
export const wise: Editor<WiseHparams, WisePreparation> = {
  name: 'wise',
  title: 'WISE',
  summary:
    'Writes edits into a copy of one matrix, and sends only those texts through the copy that it answers strongly.',
  version: 1,
  paper: {
    authors: 'Wang et al.',
    year: 2024,
    title: 'WISE: Rethinking the Knowledge Memory for Lifelong Model Editing of Large Language Models',
    url: 'https://arxiv.org/abs/2405.14768',
    code: 'https://github.com/zjunlp/EasyEdit',
  },
  family: 'extra-parameters',
  batch: 'one',
  needs: ['gradient', 'hidden', 'training-facts'],
  hparams: {
    layer: { meaning: 'layer whose down-projection gets side memories', unit: 'layer', reference: 'inner_params' },
    shortPrefixes: {
      meaning: 'sampled prefixes of 5 tokens',
      unit: 'prefixes',
      range: [0, 1000],
      whole: true,
      reference: 'length_params in wise_main.py',
    },
    longPrefixes: {
      meaning: 'sampled prefixes of 10 tokens',
      unit: 'prefixes',
      range: [0, 1000],
      whole: true,
      reference: 'length_params in wise_main.py',
    },
    otherPrompts: {
      meaning: 'other prompts a step, drawn from all',
      unit: 'prompts',
      range: [0, 1000],
      whole: true,
      reference: 'loc_prompt, one for all steps',
    },
    nearPrompts: {
      meaning: `other prompts a step, drawn from the ${NEAREST} most like the edit's`,
      unit: 'prompts',
      range: [0, 1000],
      whole: true,
      reference: 'none',
    },
    maskRatio: { meaning: 'share of the entries in a subspace', unit: '1', range: [1e-3, 1], reference: 'mask_ratio' },
    learningRate: {
      meaning: 'η: learning rate of gradient descent',
      unit: '1',
      range: [1e-8, 1e6],
      reference: 'edit_lr',
    },
    steps: {
      meaning: 'losses computed; one update fewer',
      unit: 'steps',
      range: [1, 10000],
      whole: true,
      reference: 'n_iter',
    },
    stopLoss: {
      meaning: 'whole loss below which training may end',
      unit: '1',
      range: [0, 100],
      reference: '0.02 in EarlyStopMeter',
    },
    stopChange: {
      meaning: 'change of the loss up to which it then ends',
      unit: '1',
      range: [0, 100],
      reference: '1e-4 in EarlyStopMeter',
    },
    normLimit: {
      meaning: 'most that any number of the matrix may change; 0: no limit',
      unit: '1',
      range: [0, 1000],
      reference: 'norm_constraint',
    },
    alpha: {
      meaning: 'α: activation that others shall stay below',
      unit: 'units',
      range: [0, 1e6],
      reference: 'act_margin[0]',
    },
    beta: {
      meaning: 'β: activation that an edit shall reach',
      unit: 'units',
      range: [0, 1e6],
      reference: 'act_margin[1]',
    },
    gamma: {
      meaning: 'γ: by how much an edit shall be above others',
      unit: 'units',
      range: [0, 1e6],
      reference: 'act_margin[2]',
    },
    unitShare: {
      meaning:
        "the unit of activations, as a share of the median length of the down-projection's output; 0: lengths as they are",
      unit: '1',
      range: [0, 1000],
      reference: 'none',
    },
    gateRatio: {
      meaning: "ρ: the gate's threshold, as a share of the least activation of an edit",
      unit: '1',
      range: [0, 1],
      reference: 'act_ratio',
    },
    editsPerMemory: {
      meaning: 'edits before the next memory is begun',
      unit: 'edits',
      range: [1, 1e6],
      whole: true,
      reference: 'save_freq',
    },
    memoriesPerMerge: {
      meaning: 'closed memories that are merged into one',
      unit: 'memories',
      range: [2, 1000],
      whole: true,
      reference: 'merge_freq / save_freq',
    },
    density: {
      meaning: 'share of the entries of each that a merge keeps',
      unit: '1',
      range: [1e-3, 1],
      reference: 'densities',
    },
  },
  memory: estimateMemory,
  prepare: prepareWise,

  async edit({ model, facts, hparams, prepared, history }, ctx) {
    const [fact] = checkFacts(wise, facts)
    ctx.signal.throwIfAborted()
    const { layer } = hparams
    const shape = model.weightShape(model.weightName('mlp-down', layer))
    const shelf = readShelf(history, layer, shape)
    const open = shelf.open ?? {
      subspace: drawSubspace(shape, hparams.maskRatio, ctx.random.stream(`subspace ${fact.id}`)),
      delta: zeros(shape),
      threshold: Number.POSITIVE_INFINITY,
      edits: 0,
    }
    const values = takeEntries(open.delta, open.subspace)
    const main = model.withPatch({ parts: [shelve(layer, shape, [])], report: {} })
    const { activation, report } = await trainEntries(
      { model: main, fact, hparams, prepared, subspace: open.subspace, values },
      ctx,
    )
    const delta = spreadEntries(values, open.subspace)
    const threshold = Math.min(open.threshold, hparams.gateRatio * prepared.unit * activation)
    const next = putBack(shelf, { ...open, delta, threshold, edits: open.edits + 1 }, hparams)
    const memories = [...next.closed, ...(next.open === null ? [] : [next.open])]
    return {
      parts: [shelve(layer, shape, memories)],
      report: { ...report, activation, threshold, memories: memories.length, change: norm(delta.data) },
      state: writeState(next, layer),
    }
  },
}

/** A side memory. */
interface Memory {
  /** Δ [F, D] */
  readonly delta: Tensor
  /** ε */
  readonly threshold: number
}

/** A memory that edits are being written into. */
interface OpenMemory extends Memory {
  readonly subspace: Subspace
  readonly edits: number
}

/** All memories of a stream. */
interface Shelf {
  readonly closed: readonly Memory[]
  /** How many of them, the last ones, are yet to be merged. */
  readonly unmerged: number
  /** null: the next edit begins one. */
  readonly open: OpenMemory | null
}

/** Closes the open memory when it is full, and merges closed ones when there are enough. */
function putBack({ closed, unmerged }: Shelf, open: OpenMemory, hparams: WiseHparams): Shelf {
  if (open.edits < hparams.editsPerMemory) return { closed, unmerged, open }
  const all = [...closed, { delta: open.delta, threshold: open.threshold }]
  if (unmerged + 1 < hparams.memoriesPerMerge) return { closed: all, unmerged: unmerged + 1, open: null }
  const merging = all.slice(-hparams.memoriesPerMerge)
  const merged = {
    delta: mergeTies(
      merging.map(({ delta }) => delta),
      hparams.density,
    ),
    threshold: Math.min(...merging.map(({ threshold }) => threshold)),
  }
  return { closed: [...all.slice(0, -hparams.memoriesPerMerge), merged], unmerged: 0, open: null }
}

function shelve(layer: number, shape: readonly [number, number], memories: readonly Memory[]): SideMemoriesPart {
  const deltas = joinRows(
    memories.map(({ delta }) => delta),
    shape[1],
  )
  return {
    kind: 'side-memories',
    layer,
    deltas: tensor(deltas.data, [memories.length, ...shape]),
    thresholds: tensor(
      Float32Array.from(memories, ({ threshold }) => threshold),
      [memories.length],
    ),
  }
}

/** What a patch calls the mask of the memory that it leaves open at a layer, and how far things have got. */
function nameState(layer: number): { mask: string; counts: string } {
  return { mask: `subspace ${layer}`, counts: `edits and unmerged ${layer}` }
}

function writeState({ open, unmerged }: Shelf, layer: number): Record<string, Tensor> {
  const { mask, counts } = nameState(layer)
  const progress = { [counts]: tensor(Float32Array.of(open?.edits ?? 0, unmerged), [2]) }
  return open === null ? progress : { ...progress, [mask]: packSubspace(open.subspace) }
}

/** The memories that the last edit of a stream left. */
function readShelf(history: readonly Patch[], layer: number, shape: readonly [number, number]): Shelf {
  const { mask, counts } = nameState(layer)
  const last = history.findLast(({ state }) => state?.[counts] !== undefined)
  const part = last?.parts.find((one): one is SideMemoriesPart => one.kind === 'side-memories' && one.layer === layer)
  const size = shape[0] * shape[1]
  const memories = Array.from(part?.thresholds.data ?? [], (threshold, i) => ({
    delta: tensor(part?.deltas.data.slice(i * size, (i + 1) * size) ?? new Float32Array(), shape),
    threshold,
  }))
  const [edits = 0, unmerged = 0] = last?.state?.[counts]?.data ?? []
  const [packed, newest] = [last?.state?.[mask], memories.at(-1)]
  if (packed === undefined || newest === undefined) return { closed: memories, unmerged, open: null }
  return {
    closed: memories.slice(0, -1),
    unmerged,
    open: { ...newest, subspace: unpackSubspace(packed, shape), edits },
  }
}

/** The work of {@link trainEntries}. */
interface TrainJob {
  /** Without side memories at the layer. */
  readonly model: LanguageModel
  readonly fact: Fact
  readonly hparams: WiseHparams
  readonly prepared: WisePreparation
  readonly subspace: Subspace
  /** The memory's entries, which are changed in place [m]. */
  readonly values: Float32Array
}

/** Trains a memory's entries on a fact. Gives the activation of the bare prompt, and of losses the first and the last, each before its step. */
async function trainEntries(
  job: TrainJob,
  ctx: Context,
): Promise<{ activation: number; report: Record<string, number> }> {
  const { model, fact, hparams, prepared, subspace, values } = job
  const { steps, stopLoss, stopChange } = hparams
  const own = await captureTexts(job)
  const draw = drawOthers(job, own, ctx.random.stream(`other prompts ${fact.id}`))
  const losses: { whole: number; target: number }[] = []
  const bare = (answers: Tensor) => measureActivations(answers, own.prompts.slice(0, 1), prepared.unit)[0] ?? 0
  for (;;) {
    ctx.signal.throwIfAborted()
    const others = draw()
    const keys = joinRows([own.keys, ...others], model.config.mlpWidth)
    const answers = multiplyEntries(keys, values, subspace) // [N, D]
    const target = await differentiate(model, own.request(answers), own.site)
    const scope = { inside: own.inside, outside: [...own.outside, ...numberRows(others, own.places.length)] }
    const margin = separateActivations(answers, scope, { ...hparams, unit: prepared.unit })
    const whole = target.loss + margin.loss
    const change = Math.abs(whole - (losses.at(-1)?.whole ?? Number.POSITIVE_INFINITY))
    losses.push({ whole, target: target.loss })
    ctx.progress({ task: 'side memory', done: losses.length, total: steps, unit: 'steps' })
    if (losses.length === steps || (change <= stopChange && whole <= stopLoss)) {
      const report = {
        steps: losses.length,
        lossFirst: losses[0]?.whole ?? 0,
        lossLast: whole,
        targetFirst: losses[0]?.target ?? 0,
        targetLast: target.loss,
      }
      return { activation: bare(answers), report }
    }
    const slopes = margin.slopes
    for (let i = 0; i < target.gradient.data.length; i++) {
      slopes.data[i] = (slopes.data[i] ?? 0) + (target.gradient.data[i] ?? 0)
    }
    descend(values, pullBack(keys, slopes, subspace), hparams.learningRate * prepared.stepScale, hparams.normLimit)
  }
}

function descend(values: Float32Array, slopes: Float32Array, rate: number, normLimit: number): void {
  const limit = normLimit > 0 ? normLimit : Number.POSITIVE_INFINITY
  for (let i = 0; i < values.length; i++) {
    values[i] = Math.min(Math.max((values[i] ?? 0) - rate * (slopes[i] ?? 0), -limit), limit)
  }
}

/** A fact's prefixed prompts with their target, run once as far as the memory. */
interface OwnTexts extends Scope {
  readonly site: `mlp-output.${number}`
  readonly places: readonly Position[]
  /** k at those places [N, F] */
  readonly keys: Tensor
  /** Each prompt's rows of them. */
  readonly prompts: TextRows
  /** The target's loss with such answers of the memory [≥ N, D]. */
  request(answers: Tensor): RunRequest
}

async function captureTexts({ model, fact, hparams: { layer }, prepared }: TrainJob): Promise<OwnTexts> {
  const site = `mlp-output.${layer}` as const
  const texts = prepared.prefixes.map((prefix) => promptAfter(prefix, fact))
  const forced = await Promise.all(texts.map(({ text }) => tokenizeTarget(model.tokenizer, text, fact.targetNew)))
  const offsets = await Promise.all(texts.map(async ({ text }) => (await model.tokenizer.encode(text)).offsets))
  const tokens = { rows: forced.map(({ row }) => row), promptLengths: forced.map(({ prompt }) => prompt.length) }
  const places = forced.flatMap(({ prompt, row: { length } }, row) =>
    listPlaces(model, layer, { prompt: prompt.length, all: length }, row),
  )
  const { reads, capture } = await model.run({
    tokens,
    read: [{ site: `mlp-inner.${layer}`, at: places }],
    capture: { layer },
  })
  const prompts = forced.map(({ prompt }, row) =>
    places.flatMap((place, i) => (place.row === row && place.token < prompt.length ? [i] : [])),
  )
  const isSubject = (i: number) => {
    const { row = 0, token = 0 } = places[i] ?? {}
    const [[start, end] = [0, 0], [from, to] = [0, 0]] = [texts[row]?.span, offsets[row]?.[token]]
    // A text's first token has nearly the same key whatever it is.
    return token > 0 && from < end && to > start
  }
  const at = places.map((place, index) => ({ ...place, index }))
  const weight = 1 / forced.length
  return {
    site,
    places,
    keys: reads[0] ?? zeros([0, model.config.mlpWidth]),
    prompts,
    // Where no subject is seen, as in a decoder behind an encoder, all that is.
    inside: prompts.map((prompt) => (prompt.some(isSubject) ? prompt.filter(isSubject) : prompt)),
    outside: prompts.flatMap((prompt) => {
      const rest = prompt.filter((i) => !isSubject(i))
      return rest.length > 0 && rest.length < prompt.length ? [rest] : []
    }),
    request: ({ data, shape: [, width = 0] }) => ({
      tokens,
      resume: capture,
      loss: [{ kind: 'nll', at: forced.flatMap((one, row) => forceTarget(one, row, weight)) }],
      write: [
        { site, mode: 'add', value: tensor(data.subarray(0, places.length * width), [places.length, width]), at },
      ],
    }),
  }
}

/** Draws the other prompts of a step: some of all, some of those whose mean input has the largest cosine with the bare prompt's. */
function drawOthers({ hparams, prepared: { others } }: TrainJob, own: OwnTexts, random: Random): () => Tensor[] {
  const ownMean = meanOf(own.keys, own.prompts[0] ?? [])
  const likeness = others.map((keys) => {
    const mean = meanOf(
      keys,
      Array.from({ length: keys.shape[0] ?? 0 }, (_, i) => i),
    )
    return dot(mean, ownMean) / norm(mean)
  })
  const order = others.map((_, i) => i).sort((a, b) => (likeness[b] ?? 0) - (likeness[a] ?? 0))
  const near = order.slice(0, NEAREST).flatMap((i) => others[i] ?? [])
  const drawFrom = (all: readonly Tensor[], count: number) =>
    Array.from({ length: count }, () => all[Math.floor(random.uniform() * all.length)] ?? []).flat()
  return () => [...drawFrom(others, hparams.otherPrompts), ...drawFrom(near, hparams.nearPrompts)]
}

function meanOf({ data, shape: [, width = 0] }: Tensor, rows: readonly number[]): Float64Array {
  const mean = new Float64Array(width)
  for (const row of rows) {
    for (let j = 0; j < width; j++) mean[j] = (mean[j] ?? 0) + (data[row * width + j] ?? 0) / rows.length
  }
  return mean
}

/** The rows of texts that stand one below the other from a row on. */
function numberRows(texts: readonly Tensor[], from: number): number[][] {
  let next = from
  return texts.map(({ shape: [rows = 0] }) => Array.from({ length: rows }, () => next++))
}

/** Samples prefixes, reads other prompts, and measures how long inputs and outputs are. */
async function prepareWise(
  { model, hparams, material }: PrepareJob<WiseHparams>,
  ctx: Context,
): Promise<WisePreparation> {
  const { layer, shortPrefixes, longPrefixes, unitShare } = hparams
  const lengths = [
    { tokens: 5, count: shortPrefixes },
    { tokens: 10, count: longPrefixes },
  ]
  const prefixes = await samplePrefixes(model, lengths, ctx)
  const write = async () => prefixes.slice(1)
  const kept = await drawOtherPrompts({ facts: material.facts, most: KEPT_PROMPTS, write }, ctx)
  const others: Tensor[] = []
  const found = { inputs: [] as number[], outputs: [] as number[] }
  for (let start = 0; start < kept.length; start += READ_PROMPTS) {
    ctx.signal.throwIfAborted()
    const texts = await Promise.all(kept.slice(start, start + READ_PROMPTS).map((text) => model.tokenizer.encode(text)))
    const rows = texts.map(({ ids }) => ids)
    const at = rows.map(({ length }, row) => listPlaces(model, layer, { prompt: length, all: length }, row))
    const { reads } = await model.run({
      tokens: { rows },
      read: (['mlp-inner', 'mlp-output'] as const).map((kind) => ({
        site: `${kind}.${layer}` as const,
        at: at.flat(),
      })),
    })
    const [inputs, outputs] = reads
    if (inputs === undefined || outputs === undefined) continue
    found.inputs.push(...rowsOf(inputs).map(({ data }) => norm(data)))
    found.outputs.push(...rowsOf(outputs).map(({ data }) => norm(data)))
    const { mlpWidth } = model.config
    let next = 0
    for (const { length } of at) {
      others.push(tensor(inputs.data.subarray(next * mlpWidth, (next + length) * mlpWidth), [length, mlpWidth]))
      next += length
    }
  }
  if (unitShare === 0 || others.length === 0) return { prefixes, others, unit: 1, stepScale: 1 }
  const unit = unitShare * median(found.outputs)
  return { prefixes, others, unit, stepScale: (unit / median(found.inputs)) ** 2 }
}

function estimateMemory(model: Footprint, hparams: WiseHparams): MethodMemory {
  const { layers, width, mlpWidth } = model.config
  const matrix = width * mlpWidth * Float32Array.BYTES_PER_ELEMENT
  const texts = hparams.shortPrefixes + hparams.longPrefixes + 1
  const drawn = hparams.otherPrompts + hparams.nearPrompts
  const inputs = (prompts: number) => 2 * prompts * PROMPT_TOKENS * mlpWidth * Float32Array.BYTES_PER_ELEMENT
  const work = { tokens: texts * FACT_TOKENS, attended: FACT_TOKENS, logits: texts * TARGET_TOKENS }
  const read = { tokens: READ_PROMPTS * PROMPT_TOKENS, attended: PROMPT_TOKENS, logits: 0 }
  return {
    prepareBytes: inputs(KEPT_PROMPTS) + forwardBytes(model, read) + sessionBytes(model, SESSIONS),
    heldBytes: inputs(KEPT_PROMPTS),
    editBytes:
      MATRICES * matrix +
      inputs(drawn) +
      sessionBytes(model, SESSIONS) +
      gradientBytes(model, { ...work, layers: layers - hparams.layer }),
    queryBytes: MATRICES_ASKED * matrix + sessionBytes(model, SESSIONS),
  }
}
