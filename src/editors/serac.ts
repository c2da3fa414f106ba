/**
 * SERAC: edits are kept as text beside the model. A classifier says whether a query is in the scope of one; if so, a counterfactual
 * model answers with that edit before it, else the model itself, which stays as it is.
 *
 *   s(e, q) = exp(−‖z_e − z_q‖²),  e* = argmax over the memory;   s(e*, q) > b → h(e*, q),  else f(q)
 *   loss = mean over q in scope of −log s + mean over q out of scope of −log(1 − s),   and −log h(y | e, q) for q in scope
 *
 * f the model; h the counterfactual model; e an edit "x y." of prompt x and new target y; z a text's place, an edit's by its prompt.
 * Both are trained before any edit, on other facts. In scope of a fact are its paraphrases and other names, out of it its
 * neighbours, other facts about its subject and, as hard negatives, the nearest texts about other subjects. The classifier kept is
 * the one that was best on a fifth of the facts. b is 1/2, or more, if else too many of their queries out of scope would pass.
 *
 * Mitchell et al. 2022, §3. Reference code: eric-mitchell/serac `algs/rep.py`, `trainer.py` (`SupervisedTrainer`), matched in the
 * routing, the likeness, both losses, the edit before the query, and the main prompt as often asked as another wording. Not
 * matched: z is a trained linear map of a frozen encoder's vectors, theirs all of a DistilBERT; h is the model itself with
 * adapters (LoRA), theirs a smaller one of its kind, which an arbitrary model need not have, so that h costs what f costs; the two
 * are trained one after the other, theirs by one optimiser, of weights they do not share; their b is 1/2 always. Not repeated: for
 * GPT its classifier sees the edit without its last word, and so a part of a longer target, here the prompt alone. The soft mixture
 * that zjunlp/EasyEdit `models/serac` scores, and trains the classifier through, though it writes by a hard choice: one choice serves both here.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Context } from '../context.ts'
import type { Fact } from '../facts/fact.ts'
import { hashOf } from '../models/content-hash.ts'
import { type Footprint, gradientBytes, sessionBytes } from '../models/footprint.ts'
import type { LowRankPart, Retrieval } from '../models/patch.ts'
import { vectorSource } from '../models/sentence-vectors.ts'
import { unitRows } from '../tensor/linalg.ts'
import type { Random } from '../tensor/random.ts'
import { rowsOf, type Tensor, tensor } from '../tensor/tensor.ts'
import type { Editor, MethodMemory, PrepareJob } from './editor.ts'
import { ADAPTED_MODULES, adapterBytes, openAdapters } from './steps/adapters.ts'
import { checkFacts, checkTrainingFacts } from './steps/check-facts.ts'
import { contextBytes, makeEntries, sentenceOf } from './steps/fact-memory.ts'
import { readFloatFile, writeFloatFile } from './steps/float-file.ts'
import { trainKept } from './steps/kept-training.ts'
import {
  boundFor,
  type MapJob,
  mapShape,
  measureScope,
  type Pair,
  type ScopePairs,
  trainMap,
} from './steps/scope-map.ts'
import { cachedSentenceVectors, orderByCosine } from './steps/sentence-vectors.ts'
import { batchFacts } from './steps/train-on-facts.ts'

/** Settings of SERAC. */
export type SeracHparams = {
  readonly facts: number
  readonly similarity: number
  readonly mistakenShare: number
  readonly layer: number
  readonly dimensions: number
  readonly hardNegatives: number
  readonly mapLearningRate: number
  readonly mapSteps: number
  readonly mapBatch: number
  readonly modules: string
  readonly rank: number
  readonly learningRate: number
  readonly steps: number
  readonly batchSize: number
}

/** What is trained before any edit. */
export interface SeracPrepared {
  readonly retrieval: Retrieval
  readonly adapters: readonly LowRankPart[]
  /** How the training went. */
  readonly report: Readonly<Record<string, number>>
}

/** Two facts tell each other's queries apart; fewer teach nothing. */
const LEAST_FACTS = 2
/** One fact of so many is held out of the classifier's training. */
const HELD_EVERY = 5
/** How often the counterfactual model is asked the edit's own prompt rather than another wording of it (`data_classes/zsre.py`). */
const OWN_PROMPT = 0.5

/** Positions of a short edit with a query, those that predict its target, and those of an edit alone. */
const ASKED_TOKENS = 30
const TARGET_TOKENS = 8
const EDIT_TOKENS = 24
/** Copies of the adapters: trained; two moments; the gradients, once the runtime's and once ours; all three as they are kept. */
const COPIES = 11
/** Of a map: trained and its best; two moments; the gradient, in float64 and once more. */
const MAP_COPIES = 7
/** Texts of a fact that become vectors. */
const FACT_TEXTS = 12
/** For the training; for asking with adapters, in two ways. */
const SESSIONS = 1
const QUERY_SESSIONS = 2

/** Semi-parametric editing with a retrieval-augmented counterfactual model. */
export const serac: Editor<SeracHparams, SeracPrepared> = {
  name: 'serac',
  title: 'SERAC',
  summary:
    'Keeps edits as text, learns beforehand which questions they concern, and has those, and only those, answered by a model trained to go by them.',
  version: 1,
  paper: {
    authors: 'Mitchell et al.',
    year: 2022,
    title: 'Memory-Based Model Editing at Scale',
    url: 'https://arxiv.org/abs/2206.06520',
    code: 'https://github.com/eric-mitchell/serac',
  },
  family: 'memory',
  batch: 'many',
  needs: ['gradient', 'sentence-vectors', 'training-facts'],
  hparams: {
    facts: {
      meaning: 'facts to learn from, where there are so many',
      unit: 'facts',
      range: [LEAST_FACTS, 100000],
      whole: true,
      reference: 'all of the data set',
    },
    similarity: {
      meaning: 'likeness s above which a query is in the scope of an edit',
      unit: '1',
      range: [0, 1],
      reference: '0.5 in rep.py',
    },
    mistakenShare: {
      meaning:
        'share of held-out queries out of scope that may be taken for in scope: that likeness is raised until no more are; 1: it stays',
      unit: 'share',
      range: [0, 1],
      reference: 'none: it stays',
    },
    layer: {
      meaning: 'layer whose output gives the sentence vectors, where there is no encoder of sentences',
      unit: 'layer',
      reference: 'none: the reference has an encoder',
    },
    dimensions: {
      meaning: 'numbers of a place z, if a sentence vector has as many',
      unit: 'numbers',
      range: [1, 65536],
      whole: true,
      reference: 'the width of cls_name',
    },
    hardNegatives: {
      meaning: "nearest texts about other subjects that are taken to be out of a fact's scope",
      unit: 'texts',
      range: [0, 1000],
      whole: true,
      reference: 'hard_neg_neighbors',
    },
    mapLearningRate: {
      meaning: 'learning rate of Adam, of the classifier',
      unit: '1',
      range: [1e-8, 1],
      reference: 'lr',
    },
    mapSteps: {
      meaning: 'steps of training the classifier',
      unit: 'steps',
      range: [0, 1e6],
      whole: true,
      reference: 'max_iters',
    },
    mapBatch: {
      meaning: 'pairs of an edit and a query a step, as many in scope as out of it',
      unit: 'pairs',
      range: [1, 10000],
      whole: true,
      reference: 'batch_size',
    },
    modules: {
      meaning:
        'which matrices of each layer the counterfactual model adapts: queries and values, both of the feed-forward, or its first alone',
      unit: 'word',
      range: Object.keys(ADAPTED_MODULES),
      reference: 'none: all weights of small_name',
    },
    rank: {
      meaning: "columns and rows of an adapter's factors",
      unit: 'columns',
      range: [1, 1024],
      whole: true,
      reference: 'none: all weights of small_name',
    },
    learningRate: {
      meaning: 'learning rate of Adam, of the counterfactual model',
      unit: '1',
      range: [1e-8, 1],
      reference: 'lr',
    },
    steps: {
      meaning: 'steps of training the counterfactual model',
      unit: 'steps',
      range: [0, 1e6],
      whole: true,
      reference: 'max_iters',
    },
    batchSize: {
      meaning: 'edits with a query a step',
      unit: 'edits',
      range: [1, 10000],
      whole: true,
      reference: 'batch_size',
    },
  },
  memory: estimateMemory,

  async prepare({ model, hparams, material }, ctx) {
    const drawn = ctx.random.stream('serac facts').shuffle(material.facts).slice(0, hparams.facts)
    const facts = checkTrainingFacts(serac, drawn, LEAST_FACTS)
    const job = { model, hparams, material: { ...material, facts } }
    const classifier = await trainClassifier(job, ctx)
    const { adapters, losses } = await trainCounterfactual(job, ctx)
    return {
      retrieval: classifier.retrieval,
      adapters,
      report: {
        trainingFacts: facts.length,
        ...classifier.report,
        lossFirst: losses[0] ?? 0,
        lossLast: losses.at(-1) ?? 0,
      },
    }
  },

  async edit({ model, facts, prepared: { retrieval, adapters, report } }, ctx) {
    ctx.signal.throwIfAborted()
    const drafts = checkFacts(serac, facts).map((fact) => ({
      fact,
      compared: fact.prompt,
      before: stateEdit(fact),
      after: '',
    }))
    const entries = await makeEntries(model, retrieval, drafts)
    return {
      parts: [{ kind: 'context', retrieval, confirmation: null, adapters, entries }],
      report: { added: entries.length, ...report },
    }
  },
}

/** What stands before a query in the scope of an edit. */
function stateEdit(fact: Pick<Fact, 'prompt' | 'targetNew'>): string {
  return `${sentenceOf(fact)} `
}

/** The search that routes queries, and how well it tells pairs apart on which it was not trained. */
async function trainClassifier(
  { model, hparams, material: { facts } }: PrepareJob<SeracHparams>,
  ctx: Context,
): Promise<{ retrieval: Retrieval; report: Record<string, number> }> {
  const source = vectorSource(model, hparams.layer)
  const texts = new Map<string, number>()
  for (const text of facts.flatMap((fact) => [fact.prompt, ...inScope(fact), ...outOfScope(fact)])) {
    if (!texts.has(text)) texts.set(text, texts.size)
  }
  const vectors = unitRows(await cachedSentenceVectors(model, source, [...texts.keys()], ctx))
  const count = Math.floor(facts.length / HELD_EVERY)
  const pairsOf = (some: readonly Fact[]) => pairTexts(some, texts, vectors, hparams.hardNegatives)
  const [held, training] = [pairsOf(facts.slice(0, count)), pairsOf(facts.slice(count))]

  const { dimensions, mapLearningRate: learningRate, mapSteps: steps, mapBatch: batchSize } = hparams
  const map = await cachedMap({ vectors, training, held, dimensions, learningRate, steps, batchSize }, ctx)
  const { similarity: least, mistakenShare: share } = hparams
  const above = boundFor(map, vectors, held.outOfScope, { share, least })
  const { inScope: found, outOfScope: mistaken } = measureScope(map, vectors, held, above)
  return {
    retrieval: { by: 'scope', vectors: source, map, above },
    report: {
      bound: above,
      ...(held.inScope.length > 0 ? { heldInScopeFound: found } : {}),
      ...(held.outOfScope.length > 0 ? { heldOutOfScopeFound: mistaken } : {}),
    },
  }
}

/** A trained map, from the cache where it was trained before. */
async function cachedMap(job: MapJob, ctx: Context): Promise<Tensor> {
  const { vectors, ...rest } = job
  const shape = mapShape(job)
  const key = keyOf('map', hashOfNumbers(vectors.data), rest, ctx.random.stream('serac map').uniform())
  const file = join(ctx.cacheDir, 'scope-maps', `${key}.f32`)
  const cached = await readFloatFile(file, shape[1])
  if (cached?.length === shape[0] * shape[1]) return tensor(cached, shape)
  const { map } = await trainMap(job, ctx)
  await writeFloatFile(file, map.data)
  return map
}

/** Other ways to ask for a fact. */
function inScope({ tests }: Fact): string[] {
  return [...tests.paraphrases, ...tests.aliases.map(({ prompt }) => prompt)]
}

/** Questions about which an edit of a fact has nothing to say. */
function outOfScope({ tests }: Fact): string[] {
  return [...tests.neighbours, ...tests.otherRelations].map(({ prompt }) => prompt)
}

/** Queries in the scope of facts and out of it, as rows of their vectors. */
function pairTexts(
  facts: readonly Fact[],
  texts: ReadonlyMap<string, number>,
  vectors: Tensor,
  hardNegatives: number,
): ScopePairs {
  const rowOf = (text: string): number => texts.get(text) ?? 0
  const rows = rowsOf(vectors)
  const asked = facts.flatMap((fact) =>
    [fact.prompt, ...inScope(fact)].map((text) => ({ subject: fact.subject.toLowerCase(), row: rowOf(text) })),
  )
  const pairs = facts.map((fact) => {
    const edit = rowOf(fact.prompt)
    const pair = (row: number): Pair => [edit, row]
    const strangers = asked.filter(({ subject }) => subject !== fact.subject.toLowerCase())
    const own = rows[edit]
    const theirs = strangers.flatMap(({ row }) => rows[row] ?? [])
    const near = own === undefined ? [] : orderByCosine(theirs, own).slice(0, hardNegatives)
    return {
      inScope: inScope(fact).map(rowOf).map(pair),
      outOfScope: [...outOfScope(fact).map(rowOf), ...near.flatMap((at) => strangers[at]?.row ?? [])].map(pair),
    }
  })
  return { inScope: pairs.flatMap(({ inScope }) => inScope), outOfScope: pairs.flatMap(({ outOfScope }) => outOfScope) }
}

/** Adapters with which the model goes by an edit before a query, and the loss of each step. */
async function trainCounterfactual(
  { model, hparams, material: { facts } }: PrepareJob<SeracHparams>,
  ctx: Context,
): Promise<{ adapters: LowRankPart[]; losses: number[] }> {
  const { learningRate, steps, batchSize, modules, rank } = hparams
  const random = ctx.random.stream('serac queries')
  const examples = Array.from({ length: steps * batchSize }, (_, i) =>
    drawExample(facts[i % facts.length], random),
  ).flat()
  const batches = await batchFacts({ model, facts: examples, objective: 'target-new', batchSize }, ctx)
  const start = ctx.random.stream('serac adapters')
  const lowRank = openAdapters(model, hparams, start)
  const parameters = Object.entries(lowRank).flatMap(([name, { left, right }]) => [
    { name: `left ${name}`, values: left.data, learningRate },
    { name: `right ${name}`, values: right.data, learningRate },
  ])
  const key = keyOf('counterfactual', model.id, { learningRate, batchSize, modules, rank }, examples, start.uniform())
  const file = join(ctx.cacheDir, 'trainings', `${key}.bin`)
  const task = 'counterfactual model'
  const losses = await trainKept({ model, batches, parameters, given: { lowRank }, task, file, key }, ctx)
  return {
    adapters: Object.entries(lowRank).map(([weight, factors]) => ({ kind: 'low-rank', weight, ...factors })),
    losses,
  }
}

/** An edit with a query in its scope, and the answer. */
function drawExample(fact: Fact | undefined, random: Random): { prompt: string; targetNew: string }[] {
  if (fact === undefined) return []
  const others = inScope(fact)
  const other = random.uniform() < OWN_PROMPT || others.length === 0 ? undefined : others[random.integer(others.length)]
  return [{ prompt: stateEdit(fact) + (other ?? fact.prompt), targetNew: fact.targetNew }]
}

/** The name of what all this determines. */
function keyOf(...what: readonly unknown[]): string {
  return hashOf([serac.version, ...what])
}

function hashOfNumbers(numbers: Float32Array): string {
  return createHash('sha256').update(numbers).digest('hex')
}

function estimateMemory(model: Footprint, hparams: SeracHparams): MethodMemory {
  const { width, layers } = model.config
  const adapters = adapterBytes(model, hparams)
  const map = width * Math.min(width, hparams.dimensions) * Float32Array.BYTES_PER_ELEMENT
  const texts = hparams.facts * FACT_TEXTS * width * Float32Array.BYTES_PER_ELEMENT
  const step = {
    tokens: hparams.batchSize * ASKED_TOKENS,
    attended: ASKED_TOKENS,
    logits: hparams.batchSize * TARGET_TOKENS,
  }
  return {
    prepareBytes:
      COPIES * adapters +
      MAP_COPIES * map +
      texts +
      sessionBytes(model, SESSIONS) +
      gradientBytes(model, { ...step, layers }),
    heldBytes: adapters + map,
    editBytes: sessionBytes(model, SESSIONS),
    queryBytes: adapters + contextBytes(model, EDIT_TOKENS) + sessionBytes(model, QUERY_SESSIONS),
  }
}
