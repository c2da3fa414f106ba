/**
 * MEND, Model Editor Networks with Gradient Decomposition: a small network, trained beforehand, that turns the gradient of an
 * edit into the change of weights that makes the edit and no more.
 *
 *   ∂L_e/∂W = Σ uᵢ δᵢᵀ,   L_e = mean over j of −log p(tⱼ | x, t₁ … tⱼ₋₁)
 *   (ũᵢ, δ̃ᵢ) = g(norm(uᵢ, δᵢ)),   Ŵ = W + α Σ ũᵢ δ̃ᵢᵀ
 *   training: L = c_e · (−log p_Ŵ(t | x′)) + c_l · KL(p_W ‖ p_Ŵ)(x_loc),   g, α ← Adam
 *
 * uᵢ what W is multiplied with at token i, δᵢ the gradient for what that gives, rows of zeros left out; norm: less the mean, over
 * the standard deviation, both from training; g the network of `steps/residual-network.ts`, one for all weights of a shape, each
 * weight a mode; α a number for each weight, whose sign training finds. x the prompt, t the target, x′ another wording, x_loc a
 * question whose answer must stay. W the feed-forward matrices of the last blocks. The rows of several facts add up.
 *
 * Mitchell et al. 2022, §3, equations 1–5. Reference code: eric-mitchell/mend `algs/mend.py`, `nn.py`, `trainer.py`, matched: the
 * network with its clamp after the last layer, moments taken in before they are used and kept still afterwards, α added, x′ in the
 * outer loss (zjunlp/EasyEdit puts x there), c_e, c_l and the cut of gradients. Not matched: x′ is x itself in its turn, as other
 * wordings in CounterFact begin with foreign sentences; x_loc is a neighbour of the fact, there a random question; α is moved by its
 * own optimiser alone; of several facts each has its own mean in L_e, as the network was trained for; T5's second gate matrix is
 * edited as well. Papers write W [out, in]; here it is [in, out], and the patch's left factor is ũ, its right one α δ̃.
 */
import { type Footprint, gradientBytes, sessionBytes } from '../models/footprint.ts'
import type { LanguageModel } from '../models/model.ts'
import { norm, normOfProduct } from '../tensor/linalg.ts'
import type { Editor, MethodMemory } from './editor.ts'
import { askWhole, capturedRowsBytes, openCapturedRows } from './steps/captured-rows.ts'
import { checkFacts } from './steps/check-facts.ts'
import { differentiateAll } from './steps/differentiate.ts'
import { chooseFacts, type EditCheck, type EditExample, readExamples } from './steps/edit-examples.ts'
import { askEditLoss } from './steps/edit-loss.ts'
import {
  differentiateNetworks,
  type EditorNetworks,
  followFactors,
  makeFactors,
  type OpenNetworks,
  openNetworks,
  startNetworks,
  transformGradients,
} from './steps/gradient-networks.ts'
import { type EditGradient, readEditGradients } from './steps/gradient-rows.ts'
import { feedForwardWeights, lastLayers } from './steps/last-blocks.ts'
import { countNumbers } from './steps/residual-network.ts'
import { type TargetTokens, tokenizeTarget } from './steps/target-tokens.ts'
import {
  holdOut,
  keyOf,
  SCHEDULE_HPARAMS,
  type ScheduleHparams,
  TRAINING_COPIES,
  type TrainedArrays,
  type Trainee,
  type Training,
  trainNetwork,
} from './steps/train-network.ts'

/** Settings of MEND. */
export type MendHparams = ScheduleHparams & {
  readonly blocks: number
  readonly rank: number
  readonly learningRate: number
  readonly rateStart: number
  readonly rateLearningRate: number
  readonly editWeight: number
  readonly localityWeight: number
  readonly facts: number
}

/** What is prepared, and how it came about. */
export interface MendPreparation {
  readonly networks: EditorNetworks
  readonly training: Training
}

/** Changes when what is trained may change. */
const VERSION = 1
/** Facts of one run where gradients are taken of many. */
const PASS_FACTS = 10
/** Positions of one fact, and those of them at which logits are asked for, while training. */
const FACT_TOKENS = 32
const LOGITS = 32
/** Feed-forward matrices of a layer. */
const MATRICES = 3
/** Rows of a fact that are kept while training: the edit, and two for each of three wordings or so. */
const ROWS_KEPT = 7
/** Rows (u, δ) of a batch: as they were read, in float64, normalised, transformed, as factors, and the slopes of all three. */
const BATCH_COPIES = 8
/** Gradient, capture, step and look; the edited model has another. */
const SESSIONS = 4

/** Gradients turned into edits by trained networks. */
export const mend: Editor<MendHparams, MendPreparation> = {
  name: 'mend',
  title: 'MEND',
  summary: 'Trains a small network that turns the gradient of any new fact into the change of weights that writes it.',
  version: 1,
  paper: {
    authors: 'Mitchell et al.',
    year: 2022,
    title: 'Fast Model Editing at Scale',
    url: 'https://arxiv.org/abs/2110.11309',
    code: 'https://github.com/eric-mitchell/mend',
  },
  family: 'meta-learning',
  batch: 'many',
  needs: ['gradient', 'training-facts'],
  hparams: {
    blocks: {
      meaning: 'last blocks whose feed-forward matrices are edited; of an encoder-decoder, of each stack',
      unit: 'blocks',
      range: [1, 1000],
      whole: true,
      reference: 'inner_params',
    },
    rank: {
      meaning: 'rank of the networks’ layers',
      unit: '1',
      range: [1, 16384],
      whole: true,
      reference: 'mend.rank',
    },
    learningRate: { meaning: 'learning rate of the networks', unit: '1', range: [1e-9, 1], reference: 'lr' },
    rateStart: { meaning: 'α at the start', unit: '1', range: [-1, 1], reference: 'edit_lr' },
    rateLearningRate: { meaning: 'learning rate of α', unit: '1', range: [1e-9, 1], reference: 'lr_lr' },
    editWeight: { meaning: 'c_e: weight of the edit in the loss', unit: '1', range: [0, 1e4], reference: 'cedit' },
    localityWeight: { meaning: 'c_l: weight of what must stay', unit: '1', range: [0, 1e4], reference: 'cloc' },
    facts: {
      meaning: 'most facts to learn from, those held out included',
      unit: 'facts',
      range: [2, 1e6],
      whole: true,
      reference: 'none: all of the training set',
    },
    ...SCHEDULE_HPARAMS,
  },
  memory: estimateMemory,

  async prepare({ model, hparams, material }, ctx) {
    const weights = feedForwardWeights(model, lastLayers(model.config, hparams.blocks))
    const networks = startNetworks(weights, hparams, ctx.random)
    const chosen = chooseFacts(mend, material.facts, { most: hparams.facts, random: ctx.random })
    const examples = await readExamples(model, chosen, ctx.signal)
    const open = await openNetworks(networks)
    try {
      const { learned, held } = holdOut(examples)
      const trainee = openTraining({ model, networks, open, hparams, learned, held }, ctx.signal)
      const key = keyOf([VERSION, model.id, hparams, examples], ctx.random)
      const job = { trainee, examples: learned.length, schedule: hparams, name: mend.name, key }
      return { networks, training: await trainNetwork(job, ctx) }
    } finally {
      await open.close()
    }
  },

  async edit({ model, facts, prepared }, ctx) {
    const { networks, training } = prepared
    const chosen = checkFacts(mend, facts)
    const gradients: EditGradient[] = []
    for (let start = 0; start < chosen.length; start += PASS_FACTS) {
      ctx.signal.throwIfAborted()
      const pass = chosen.slice(start, start + PASS_FACTS)
      const forced = await Promise.all(pass.map((fact) => tokenizeTarget(model.tokenizer, fact.prompt, fact.targetNew)))
      const asked = askWhole(forced)
      gradients.push(...(await readEditGradients({ model, weights: networks.weights, edits: forced, asked })))
      ctx.progress({ task: 'gradients', done: gradients.length, total: chosen.length, unit: 'facts' })
    }
    const open = await openNetworks(networks)
    const { made } = await transformGradients(networks, open, gradients, 'as they are').finally(open.close)
    const changes = networks.weights.map((weight, i) => ({
      weight: weight.name,
      ...makeFactors(
        made.flatMap((parts) => parts[i] ?? []),
        weight,
        networks.rates[i] ?? 0,
      ),
    }))
    return {
      parts: changes.map((change) => ({ kind: 'low-rank', ...change })),
      report: {
        loss: gradients.reduce((sum, { loss }) => sum + loss, 0) / chosen.length,
        change: norm(changes.map(({ left, right }) => normOfProduct(left, right))),
        trainingFacts: training.examples,
        trainingSteps: training.steps,
        heldLoss: training.heldBest,
      },
    }
  },
}

/** What the networks are trained with. */
export interface NetworkTraining {
  readonly model: LanguageModel
  readonly networks: EditorNetworks
  readonly open: OpenNetworks
  readonly hparams: MendHparams
  readonly learned: readonly EditExample[]
  readonly held: readonly EditExample[]
}

/** Training as the loop wants it: a batch's loss with the gradients for networks and α, and the loss of what is held out. */
export function openTraining(
  { model, networks, open, hparams, learned, held }: NetworkTraining,
  signal: AbortSignal,
): Trainee {
  const { weights, rates } = networks
  const askRows = openCapturedRows(model, lastLayers(model.config, hparams.blocks)[0] ?? 0)
  const names = weights.flatMap(({ name }) => [`left ${name}`, `right ${name}`])
  const transform = async (edits: readonly TargetTokens[], moments: 'as they are' | 'taking in') => {
    const gradients: EditGradient[] = []
    for (const edit of edits) {
      signal.throwIfAborted()
      gradients.push(...(await readEditGradients({ model, weights, edits: [edit], asked: await askRows([edit]) })))
    }
    return transformGradients(networks, open, gradients, moments)
  }
  const ask = async (check: EditCheck, made: readonly Float32Array[] = []) => {
    signal.throwIfAborted()
    const lowRank = weights.map((weight, i) => [weight.name, makeFactors(made.slice(i, i + 1), weight, rates[i] ?? 0)])
    const request = await askEditLoss({ model, check, ask: askRows, ...hparams })
    return { ...request, lowRank: Object.fromEntries(lowRank) }
  }
  return {
    ...arraysOf(networks, hparams),

    async learn(batch, random) {
      const examples = batch.flatMap((i) => learned[i] ?? [])
      const edits = examples.map(({ edit }) => edit)
      const { rows, made } = await transform(edits, 'taking in')
      const slopes: Float32Array[][] = []
      const ofRates = new Float32Array(rates.length)
      const share = 1 / examples.length
      let loss = 0
      for (const [e, { checks }] of examples.entries()) {
        const check = checks[random.integer(checks.length)] ?? checks[0]
        const found = await differentiateAll(model, await ask(check, made[e]), names)
        loss += share * found.loss
        const followed = weights.map((weight, i) =>
          followFactors(
            made[e]?.[i] ?? new Float32Array(),
            { left: found.gradients[2 * i], right: found.gradients[2 * i + 1] },
            { weight, rate: rates[i] ?? 0, share },
          ),
        )
        slopes.push(followed.map((one) => one.slopes))
        followed.forEach(({ rate }, i) => {
          ofRates[i] = (ofRates[i] ?? 0) + rate
        })
      }
      const found = await differentiateNetworks(networks, open, { rows, slopes })
      const named = found.flatMap((one, g) => Object.entries(one).map(([name, slope]) => [nameArray(name, g), slope]))
      return { loss, gradients: { ...Object.fromEntries(named), rates: ofRates } }
    },

    async judge() {
      let sum = 0
      for (const { edit, checks } of held) {
        const { made } = await transform([edit], 'as they are')
        const { loss = 0 } = await model.run(await ask(checks.at(-1) ?? checks[0], made[0]))
        sum += loss / held.length
      }
      return sum
    },
  }
}

/** All that training changes. */
function arraysOf({ groups, rates }: EditorNetworks, { learningRate, rateLearningRate }: MendHparams): TrainedArrays {
  const arrays = groups.flatMap((group, g) =>
    Object.entries(group.arrays).map(([name, values]) => [nameArray(name, g), { values, learningRate }]),
  )
  return {
    parameters: { ...Object.fromEntries(arrays), rates: { values: rates, learningRate: rateLearningRate } },
    gathered: Object.fromEntries(groups.map(({ moments }, g) => [nameArray('moments', g), moments])),
  }
}

function nameArray(name: string, group: number): string {
  return `${name} of ${group}`
}

function estimateMemory(model: Footprint, { blocks, rank, batchSize, facts }: MendHparams): MethodMemory {
  const { width, mlpWidth, layers, encoderLayers } = model.config
  const float = Float32Array.BYTES_PER_ELEMENT
  const joint = width + mlpWidth
  const edited = Math.min(layers, encoderLayers > 0 ? 2 * blocks : blocks)
  // Up-projections, with gates, are of one shape, down-projections of another.
  const networks = 2 * countNumbers({ width: joint, rank: Math.min(rank, joint), modes: 2 * edited }) * float
  const rows = MATRICES * edited * FACT_TOKENS * joint * float
  const kept = capturedRowsBytes(model, facts * ROWS_KEPT, FACT_TOKENS)
  const reached = encoderLayers > 0 ? layers : edited
  const pass = gradientBytes(model, { tokens: 2 * FACT_TOKENS, attended: FACT_TOKENS, logits: LOGITS, layers: reached })
  const reference = LOGITS * model.config.vocabulary * float
  const sessions = sessionBytes(model, SESSIONS)
  return {
    prepareBytes: TRAINING_COPIES * networks + BATCH_COPIES * batchSize * rows + kept + 2 * reference + pass + sessions,
    heldBytes: networks + pass + sessions,
    editBytes: PASS_FACTS * pass + 2 * networks + 2 * rows,
    queryBytes: 2 * rows + sessionBytes(model, 1),
  }
}
