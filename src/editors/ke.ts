/**
 * KE, KnowledgeEditor: a network, trained beforehand, that reads the fact and says for each weight how the gradient of the edit becomes
 * its change; it learns under the constraint that other answers stay.
 *
 *   c = tanh(W [h→; h←] + b),   (a, ρ, b, π, η) = N₂ tanh(N₁ c)   for each weight W
 *   Ŵ = W + m σ(η) (∂L_e/∂W ⊙ a softmax(ρ)ᵀ + b softmax(π)ᵀ),   L_e = mean over j of −log p(tⱼ | x, t₁ … tⱼ₋₁)
 *   training: min over the network, max over λ ≥ 0 of  −log p_Ŵ(t | x′) + λ (KL(p_W ‖ p_Ŵ)(x_loc) − margin)
 *
 * h→, h← what an LSTM each way makes of "prediction >> t || x" (`steps/edit-condition.ts`); N₁, N₂ layers of normed weights; a, b [in], ρ,
 * π [out], η what they say of a weight; m the largest scale. x the prompt, t the target, x′ another wording, x_loc a question whose
 * answer must stay. The margin narrows while more than 90 % of held-out edits succeed. W the feed-forward matrices of the last blocks.
 *
 * De Cao et al. 2021, §4. Reference code: nicola-decao/KnowledgeEditor `one_shot_learner.py`, `bart_seq2seq_augmented_kilt.py`, matched: the network
 * and its start, the change, λ by ascent from 1, the margin's course, x′ (`use_views`); and as "EFK" eric-mitchell/mend `algs/efk.py`, matched:
 * which weights are edited (the first edits all matrices), Adam (there centred RMSprop, with a warm-up and a decline over 200,000 steps),
 * no label smoothing. Not matched: the embedding is the model's own and stays, theirs is trained (the first's with the memory of the
 * model's own, so that training it moves the model that is edited); one bias of an LSTM, theirs two that are added; each edit of a
 * batch has its change and its x_loc, a neighbour of the fact, theirs are one edit a batch and the batch's other questions; ρ and π
 * are on the side of what comes out, in EFK on the side that a file has first; the network kept is that with the smallest c_e ·
 * −log p_Ŵ(t | x′) + c_l · KL on held-out facts, there the one with the most right answers.
 */
import type { Fact } from '../facts/fact.ts'
import { type Footprint, gradientBytes, sessionBytes } from '../models/footprint.ts'
import type { LanguageModel } from '../models/model.ts'
import type { Factors } from '../models/patch.ts'
import { norm, normOfProduct } from '../tensor/linalg.ts'
import type { Random } from '../tensor/random.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { Editor, MethodMemory } from './editor.ts'
import { type AskedRows, askWhole, capturedRowsBytes, openCapturedRows } from './steps/captured-rows.ts'
import { checkFacts } from './steps/check-facts.ts'
import { countNumbers, noGradients, readGates, startNetwork } from './steps/condition-network.ts'
import { differentiateAll } from './steps/differentiate.ts'
import { type Condition, readConditions } from './steps/edit-condition.ts'
import { chooseFacts, type EditExample, readExamples } from './steps/edit-examples.ts'
import { askEditLoss } from './steps/edit-loss.ts'
import { changeByGates, countGates } from './steps/gated-change.ts'
import { readEditGradients } from './steps/gradient-rows.ts'
import { type EditedWeight, feedForwardWeights, lastLayers } from './steps/last-blocks.ts'
import { forceTarget, type TargetTokens, tokenizeTarget } from './steps/target-tokens.ts'
import type { NamedArrays } from './steps/traced-layers.ts'
import {
  holdOut,
  keyOf,
  SCHEDULE_HPARAMS,
  type ScheduleHparams,
  TRAINING_COPIES,
  type Trainee,
  type Training,
  trainNetwork,
} from './steps/train-network.ts'

/** Settings of KE. */
export type KeHparams = ScheduleHparams & {
  readonly blocks: number
  readonly hidden: number
  readonly condition: number
  readonly mostScale: number
  readonly learningRate: number
  readonly multiplierLearningRate: number
  readonly margin: number
  readonly leastMargin: number
  readonly editWeight: number
  readonly localityWeight: number
  readonly facts: number
}

/** A network with the weights it speaks of. */
export interface KeNetwork {
  readonly weights: readonly EditedWeight[]
  readonly arrays: NamedArrays
  /** λ [1] */
  readonly multiplier: Float32Array
  /** [1] */
  readonly margin: Float64Array
}

/** What is prepared, and how it came about. */
export interface KePreparation {
  readonly network: KeNetwork
  readonly training: Training
}

/** A fact to learn from, in words and as tokens. */
export interface KeExample extends EditExample {
  readonly fact: Pick<Fact, 'prompt' | 'targetNew'>
}

/** Changes when what is trained may change. */
const VERSION = 1
/** λ at the start (`alpha_kl`). */
const MULTIPLIER_START = 1
/** λ is no smaller: the constraint is read off its part of the loss. Theirs is at least 0, which is as little. */
const LEAST_MULTIPLIER = 1e-6
/** When more than this share of held-out edits succeeds the margin becomes so much of itself (`on_validation_epoch_end`). */
const SUCCESS = 0.9
const NARROWING = 0.8
/** Positions of one fact, and those of them at which logits are asked for, while training. */
const FACT_TOKENS = 32
const LOGITS = 32
/** Feed-forward matrices of a layer. */
const MATRICES = 3
/** Rows of a fact that are kept while training: the edit, and two for each of three wordings or so. */
const ROWS_KEPT = 7
/** Rows (u, δ) of a fact: as they were read, in float64, as factors, and the slopes for those. */
const ROW_COPIES = 5
/** Gradient, capture, step, look, tokens' vectors and generation; the edited model has another. */
const SESSIONS = 6

/** Gradients gated by what a network reads of the fact. */
export const ke: Editor<KeHparams, KePreparation> = {
  name: 'ke',
  title: 'KE',
  summary: 'Trains a network that reads a fact and says how the gradient of its edit becomes the change of weights.',
  version: 1,
  paper: {
    authors: 'De Cao, Aziz & Titov',
    year: 2021,
    title: 'Editing Factual Knowledge in Language Models',
    url: 'https://arxiv.org/abs/2104.08164',
    code: 'https://github.com/nicola-decao/KnowledgeEditor',
  },
  family: 'meta-learning',
  batch: 'one',
  needs: ['gradient', 'training-facts'],
  hparams: {
    blocks: {
      meaning: 'last blocks whose feed-forward matrices are edited; of an encoder-decoder, of each stack',
      unit: 'blocks',
      range: [1, 1000],
      whole: true,
      reference: 'inner_params in EFK',
    },
    hidden: {
      meaning: 'numbers that each way of reading keeps in mind, and that stand before what is said of a weight',
      unit: 'numbers',
      range: [1, 65536],
      whole: true,
      reference: 'hidden_dim',
    },
    condition: {
      meaning: 'numbers that a fact is read as',
      unit: 'numbers',
      range: [1, 65536],
      whole: true,
      reference: 'condition_dim',
    },
    mostScale: { meaning: 'm: largest scale of a change', unit: '1', range: [1e-9, 1e4], reference: 'max_scale' },
    learningRate: { meaning: 'learning rate of the network', unit: '1', range: [1e-9, 1], reference: 'lr' },
    multiplierLearningRate: { meaning: 'learning rate of λ', unit: '1', range: [0, 100], reference: 'lr_alpha' },
    margin: {
      meaning: 'how far other answers may move at first',
      unit: 'nats',
      range: [0, 100],
      reference: 'margin_kl_max',
    },
    leastMargin: {
      meaning: 'how far they may move at least, however well edits succeed',
      unit: 'nats',
      range: [0, 100],
      reference: 'margin_kl_min',
    },
    editWeight: {
      meaning: 'c_e: weight of the edit in the loss of facts held out',
      unit: '1',
      range: [0, 1e4],
      reference: 'cedit in EFK',
    },
    localityWeight: {
      meaning: 'c_l: weight there of what must stay',
      unit: '1',
      range: [0, 1e4],
      reference: 'cloc in EFK',
    },
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
    const network = openNetwork(model, hparams, ctx.random)
    const chosen = chooseFacts(ke, material.facts, { most: hparams.facts, random: ctx.random })
    const examples = await readExamples(model, chosen, ctx.signal)
    const both = chosen.flatMap((fact, i) => examples.slice(i, i + 1).map((example) => ({ ...example, fact })))
    const { learned, held } = holdOut(both)
    const trainee = openTraining({ model, network, hparams, learned, held }, ctx.signal)
    const key = keyOf([VERSION, model.id, hparams, examples], ctx.random)
    const job = { trainee, examples: learned.length, schedule: hparams, name: ke.name, key }
    return { network, training: await trainNetwork(job, ctx) }
  },

  async edit({ model, facts, hparams, prepared: { network, training } }, ctx) {
    const [fact] = checkFacts(ke, facts)
    ctx.signal.throwIfAborted()
    const edit = await tokenizeTarget(model.tokenizer, fact.prompt, fact.targetNew)
    const [condition = new Int32Array()] = await readConditions(model, [fact], ctx.signal)
    const { loss, factors } = await traceEdit({ model, network, hparams }, { edit, asked: askWhole([edit]), condition })
    const changes = Object.entries(factors)
    return {
      parts: changes.map(([weight, change]) => ({ kind: 'low-rank', weight, ...change })),
      report: {
        loss,
        change: norm(changes.map(([, { left, right }]) => normOfProduct(left, right))),
        trainingFacts: training.examples,
        trainingSteps: training.steps,
        heldLoss: training.heldBest,
      },
    }
  },
}

/** A network as it starts. */
export function openNetwork(model: LanguageModel, hparams: KeHparams, random: Random): KeNetwork {
  const weights = feedForwardWeights(model, lastLayers(model.config, hparams.blocks))
  const shape = { ...hparams, width: model.config.width, gates: weights.map(countGates) }
  return {
    weights,
    arrays: startNetwork(shape, random.stream('network')),
    multiplier: Float32Array.of(MULTIPLIER_START),
    margin: Float64Array.of(hparams.margin),
  }
}

/** Whose changes are made. */
interface ChangeJob {
  readonly model: LanguageModel
  readonly network: KeNetwork
  readonly hparams: Pick<KeHparams, 'mostScale'>
}

/** An edit as the network is told of it. */
interface ToldEdit {
  readonly edit: TargetTokens
  /** The edit as it is asked. */
  readonly asked: AskedRows
  readonly condition: Condition
}

/** The changes of an edit, and the way back. */
interface TracedEdit {
  /** L_e before the edit. */
  readonly loss: number
  /** By weight. */
  readonly factors: Readonly<Record<string, Factors>>
  /** From slopes for the factors, each weight's left one, then its right one, adds to the slopes for the network's arrays. */
  back(slopes: readonly Tensor[], gradients: NamedArrays): void
}

/** Makes the changes of one edit. */
async function traceEdit(
  { model, network: { weights, arrays }, hparams: { mostScale } }: ChangeJob,
  { edit, asked, condition }: ToldEdit,
): Promise<TracedEdit> {
  const [gradient] = await readEditGradients({ model, weights, edits: [edit], asked })
  const read = readGates(arrays, await model.tokenVectors([...condition]), weights.length)
  const changes = weights.map((weight, i) => {
    const [rows = new Float64Array(), gates = new Float64Array()] = [gradient?.rows[i], read.value[i]]
    return changeByGates({ weight, rows, gates, mostScale })
  })
  return {
    loss: gradient?.loss ?? 0,
    factors: Object.fromEntries(
      weights.flatMap(({ name }, i) => changes.slice(i, i + 1).map(({ factors }) => [name, factors])),
    ),
    back(slopes, gradients) {
      read.back(
        changes.map((change, i) => change.back({ left: slopes[2 * i], right: slopes[2 * i + 1] })),
        gradients,
      )
    },
  }
}

/** What a network is trained with. */
export interface NetworkTraining {
  readonly model: LanguageModel
  readonly network: KeNetwork
  readonly hparams: KeHparams
  readonly learned: readonly KeExample[]
  readonly held: readonly KeExample[]
}

/** Training as the loop wants it: a batch's loss with the gradients for the network and λ, and the loss of what is held out. */
export function openTraining(
  { model, network, hparams, learned, held }: NetworkTraining,
  signal: AbortSignal,
): Trainee {
  const { weights, arrays, multiplier, margin } = network
  const ask = openCapturedRows(model, lastLayers(model.config, hparams.blocks)[0] ?? 0)
  const names = weights.flatMap(({ name }) => [`left ${name}`, `right ${name}`])
  const conditions = new Map<KeExample, Condition>()
  const tell = async (examples: readonly KeExample[]) => {
    const unknown = examples.filter((example) => !conditions.has(example))
    const facts = unknown.map(({ fact }) => fact)
    const found = facts.length > 0 ? await readConditions(model, facts, signal) : []
    for (const [i, example] of unknown.entries()) conditions.set(example, found[i] ?? new Int32Array())
  }
  const trace = async (example: KeExample) => {
    signal.throwIfAborted()
    const { edit } = example
    const condition = conditions.get(example) ?? new Int32Array()
    return traceEdit({ model, network, hparams }, { edit, asked: await ask([edit]), condition })
  }
  const entries = Object.entries(arrays).map(([name, values]) => [name, { values, learningRate: hparams.learningRate }])
  return {
    parameters: {
      ...Object.fromEntries(entries),
      multiplier: { values: multiplier, learningRate: hparams.multiplierLearningRate },
    },
    gathered: { margin },

    async learn(batch, random) {
      const examples = batch.flatMap((i) => learned[i] ?? [])
      await tell(examples)
      const share = 1 / examples.length
      const [allowed = 0] = margin
      const lambda = Math.max(LEAST_MULTIPLIER, multiplier[0] ?? 0)
      multiplier[0] = lambda
      const gradients = noGradients(arrays)
      const descent = new Float32Array(1)
      let loss = 0
      for (const example of examples) {
        const { factors, back } = await trace(example)
        const check = example.checks[random.integer(example.checks.length)] ?? example.checks[0]
        const request = await askEditLoss({ model, check, ask, editWeight: 1, localityWeight: lambda })
        const found = await differentiateAll(model, { ...request, lowRank: factors }, names)
        const moved = (found.lossTerms[1] ?? 0) / lambda - allowed
        loss += share * ((found.lossTerms[0] ?? 0) + lambda * moved)
        // Up where the other answers moved too far: λ ascends.
        descent[0] = (descent[0] ?? 0) - share * moved
        back(
          found.gradients.map((slopes) =>
            tensor(
              slopes.data.map((slope) => share * slope),
              slopes.shape,
            ),
          ),
          gradients,
        )
      }
      return { loss, gradients: { ...gradients, multiplier: descent } }
    },

    async judge() {
      await tell(held)
      let [sum, succeeded] = [0, 0]
      for (const example of held) {
        const { factors } = await trace(example)
        const check = example.checks.at(-1) ?? example.checks[0]
        const at = forceTarget(check.follower, 0, 1)
        const request = await askEditLoss({ model, check, ask, ...hparams })
        const read = [{ site: 'logits', at, as: 'argmax' }] as const
        const { loss = 0, reads } = await model.run({ ...request, lowRank: factors, read })
        sum += loss / held.length
        if (at.every(({ target }, i) => reads[0]?.data[i] === target)) succeeded += 1
      }
      const [allowed = 0] = margin
      if (succeeded > SUCCESS * held.length) margin[0] = Math.max(NARROWING * allowed, hparams.leastMargin)
      return sum
    },
  }
}

function estimateMemory(model: Footprint, { blocks, hidden, condition, facts }: KeHparams): MethodMemory {
  const { width, mlpWidth, layers, encoderLayers } = model.config
  const float = Float32Array.BYTES_PER_ELEMENT
  const edited = Math.min(layers, encoderLayers > 0 ? 2 * blocks : blocks)
  const weight = { name: '', shape: [width, mlpWidth] } as const
  const gates = Array.from({ length: MATRICES * edited }, () => countGates(weight))
  const network = countNumbers({ width, hidden, condition, gates }) * float
  const rows = ROW_COPIES * MATRICES * edited * FACT_TOKENS * (width + mlpWidth) * float
  const kept = capturedRowsBytes(model, facts * ROWS_KEPT, FACT_TOKENS)
  const reached = encoderLayers > 0 ? layers : edited
  const pass = gradientBytes(model, { tokens: 2 * FACT_TOKENS, attended: FACT_TOKENS, logits: LOGITS, layers: reached })
  const reference = LOGITS * model.config.vocabulary * float
  const sessions = sessionBytes(model, SESSIONS)
  return {
    prepareBytes: TRAINING_COPIES * network + rows + kept + 2 * reference + pass + sessions,
    heldBytes: network + pass + sessions,
    editBytes: pass + rows,
    queryBytes: rows + sessionBytes(model, 1),
  }
}
