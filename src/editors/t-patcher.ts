/**
 * T-Patcher: one new unit in the last feed-forward for each token that the model gets wrong, trained to answer there and to be
 * silent elsewhere.
 *
 *   y = mlp(x) + act(x·K + b)·V
 *   loss = L_e + a·L_a + m·(L_m1 + L_m2),   L_e = mean over j of −log p(tⱼ | x, t₁ … tⱼ₋₁)
 *
 * x the feed-forward's input [D]; K [D, n] and V [n, D] columns and rows of the new units, b their biases; tⱼ the target's tokens;
 * L_a and L_m1 + L_m2 the losses of `unit-losses.ts`, over ordinary text, prompts of facts to learn from and of their
 * neighbours, and the earlier edits of the stream; a and m factors. Unit i starts
 * at kᵢ = qᵢ/‖qᵢ‖², bᵢ = 0, so that it answers 1 to the input qᵢ at its token, and with V = v ⊙ c, v normal, c = 10. K, b, v and c are
 * trained by Adam. From some step on it is looked, at intervals, whether the model says the target; if it does, training ends
 * when L_m1 + L_m2 on inputs kept for this no longer falls.
 *
 * Huang et al. 2023, §3. Reference code: ZeroYuHuang/Transformer-Patcher `src/models/{patch,seq2seq_modules}.py`, matched in start,
 * losses, clipping, weight decay, schedule and end. Not matched: it smooths the labels of L_e, as its BART was trained with; it
 * feeds an example eight times under dropout of the frozen model, so that of its 1,000 largest 125 differ; its targets end with
 * an end of text; its look is a beam search; its stored inputs are those of its training data. It extends the feed-forward's own
 * matrices; gated ones have no unit that is silent below zero, so the activation is a setting here.
 */
import type { Context } from '../context.ts'
import type { Fact } from '../facts/fact.ts'
import { type Footprint, gradientBytes, sessionBytes } from '../models/footprint.ts'
import type { LanguageModel, RunRequest } from '../models/model.ts'
import { UNIT_ACTIVATIONS, type UnitActivation, type Units } from '../models/patch.ts'
import { norm } from '../tensor/linalg.ts'
import type { Random } from '../tensor/random.ts'
import { joinRows, type Tensor, tensor, zeros } from '../tensor/tensor.ts'
import type { Editor, MethodMemory } from './editor.ts'
import { createAdam } from './steps/adam.ts'
import { calibrationBytes, chunkBytes } from './steps/calibration-text.ts'
import { checkFacts } from './steps/check-facts.ts'
import { differentiateAll } from './steps/differentiate.ts'
import { readMlpInputs } from './steps/mlp-inputs.ts'
import { forceTarget, tokenizeTarget } from './steps/target-tokens.ts'
import { answerOwnInputs, keepQuiet, type UnitKeys } from './steps/unit-losses.ts'

/** Settings of T-Patcher. */
export type TPatcherHparams = {
  readonly layer: number
  readonly activation: UnitActivation
  readonly mostUnits: number
  readonly amplify: number
  readonly learningRate: number
  readonly weightDecay: number
  readonly steps: number
  readonly firstLook: number
  readonly lookEvery: number
  readonly storedTokens: number
  readonly answerFactor: number
  readonly answerMargin: number
  readonly quietFactor: number
  readonly quietTop: number
  readonly quietDistance: number
  readonly quietCeiling: number
}

/** Inputs at which new units shall be silent, each [M, D]. */
export interface StoredInputs {
  readonly training: Tensor
  /** What tells when training ends. */
  readonly held: Tensor
}

/** One stored input of so many is held. */
const HELD_EVERY = 5
/** Length to which gradients are cut (`gradient_clip_val`). */
const LONGEST_GRADIENT = 5
/** The learning rate is halved where L_e has not fallen by this share at two looks in a row (`ReduceLROnPlateau`). */
const PLATEAU = { share: 0.05, patience: 1, factor: 0.5 }
/** Training ends where the held loss has not fallen by this much at a look (`early_stop_editing`). */
const LEAST_FALL = 0.001

/** Positions of one fact, and those of them that predict its target. */
const FACT_TOKENS = 32
const TARGET_TOKENS = 8
/** For the capture and for the step; for the edited model as many. */
const SESSIONS = 2
/** What units answer to stored inputs, in float64: once each, in both losses, sorted. */
const ANSWERS = 5
/** The runtime keeps what a session took; of a pass over a chunk it gets by with less than the estimate. */
const HELD_BYTES = 1 / 2

/** One mistake worth one unit. */
export const tPatcher: Editor<TPatcherHparams, StoredInputs> = {
  name: 't-patcher',
  title: 'T-Patcher',
  summary:
    'Adds to the last layer one unit for each token that the model gets wrong, which answers there and nowhere else.',
  version: 1,
  paper: {
    authors: 'Huang et al.',
    year: 2023,
    title: 'Transformer-Patcher: One Mistake worth One Neuron',
    url: 'https://arxiv.org/abs/2301.09785',
    code: 'https://github.com/ZeroYuHuang/Transformer-Patcher',
  },
  family: 'extra-parameters',
  batch: 'one',
  needs: ['gradient', 'hidden', 'training-facts'],
  hparams: {
    layer: { meaning: 'layer whose feed-forward gets new units', unit: 'layer', reference: 'decoder.layers.5' },
    activation: {
      meaning: 'activation of the new units',
      unit: 'word',
      range: UNIT_ACTIVATIONS,
      reference: "the model's own",
    },
    mostUnits: {
      meaning: 'most units an edit',
      unit: 'units',
      range: [1, 100],
      whole: true,
      reference: 'max_add_neuron_num',
    },
    amplify: {
      meaning: 'c: what the values of new units are multiplied by at the start',
      unit: '1',
      range: [1e-3, 1e4],
      reference: 'amplify_con',
    },
    learningRate: { meaning: 'learning rate of Adam', unit: '1', range: [1e-8, 1], reference: 'lr' },
    weightDecay: {
      meaning: 'what of each number is added to its gradient',
      unit: '1',
      range: [0, 1],
      reference: 'weight_decay',
    },
    steps: { meaning: 'most steps', unit: 'steps', range: [1, 100000], whole: true, reference: 'max_edit_step' },
    firstLook: {
      meaning: 'steps before training may end',
      unit: 'steps',
      range: [0, 100000],
      whole: true,
      reference: 'start_val_epoch',
    },
    lookEvery: {
      meaning: 'steps between two looks at what the model says',
      unit: 'steps',
      range: [1, 100000],
      whole: true,
      reference: 'check_val_every_n_epoch',
    },
    storedTokens: {
      meaning: 'tokens of ordinary text, and as many of prompts of other facts, at which the units shall be silent',
      unit: 'tokens',
      range: [16, 1e6],
      whole: true,
      reference: 'memory_size',
    },
    answerFactor: { meaning: 'a: weight of L_a', unit: '1', range: [0, 1e4], reference: 'alc' },
    answerMargin: {
      meaning: 'by how much a unit shall answer at its own token',
      unit: '1',
      range: [0, 100],
      reference: 'act_margin_val',
    },
    quietFactor: { meaning: 'm: weight of L_m1 + L_m2', unit: '1', range: [0, 1e4], reference: 'mlc' },
    quietTop: {
      meaning: 'how many of the largest answers to stored inputs count',
      unit: 'answers',
      range: [1, 1e6],
      whole: true,
      reference: 'top1000 in memory_loss',
    },
    quietDistance: {
      meaning: 'γ₁: by how much a unit shall answer less to stored inputs than to its own',
      unit: '1',
      range: [0, 100],
      reference: 'margin_val1',
    },
    quietCeiling: {
      meaning: 'γ₂: below what the answers to stored inputs shall stay',
      unit: '1',
      range: [-100, 0],
      reference: 'margin_val2',
    },
  },
  memory: estimateMemory,

  async prepare({ model, hparams: { layer, storedTokens }, material }, ctx) {
    const read = (text: readonly string[] | null) => readMlpInputs({ model, text, layer, tokens: storedTokens }, ctx)
    const prompts = material.facts.flatMap(({ prompt, tests }) => [
      prompt,
      ...tests.neighbours.map((other) => other.prompt),
    ])
    const inputs = joinRows([await read(material.text), await read(prompts)], model.config.width)
    return {
      training: pickRows(inputs, (row) => row % HELD_EVERY !== 0),
      held: pickRows(inputs, (row) => row % HELD_EVERY === 0),
    }
  },

  async edit({ model, facts, hparams, prepared, history }, ctx) {
    const [fact] = checkFacts(tPatcher, facts)
    ctx.signal.throwIfAborted()
    const mistakes = await findMistakes(model, fact, hparams)
    const count = mistakes.own.shape[0] ?? 0
    if (count === 0) return { parts: [], report: { units: 0 } }

    const { layer } = hparams
    const earlier = history.flatMap(({ state }) => state?.[queriesAt(layer)] ?? [])
    const stored = {
      training: joinRows([prepared.training, ...earlier], model.config.width),
      held: joinRows([prepared.held, ...earlier], model.config.width),
    }
    const random = ctx.random.stream(`unit values ${fact.id}`)
    const trained = await trainUnits({ model, mistakes, stored, hparams, random }, ctx)
    return {
      parts: [{ kind: 'neurons', layer, ...trained.units }],
      report: { units: count, ...trained.report },
      state: { [queriesAt(layer)]: mistakes.queries },
    }
  },
}

/** What a patch calls the inputs of a layer's feed-forward at its target: later edits keep away from them. */
function queriesAt(layer: number): string {
  return `queries ${layer}`
}

/** What a model says wrongly, led along a target. */
interface Mistakes {
  /** Asks for the target's loss, and for what the model says at each of its tokens. */
  readonly request: Pick<RunRequest, 'tokens' | 'resume' | 'loss' | 'read'>
  readonly target: Int32Array
  /** The feed-forward's input at each token of the target [T, D]. */
  readonly queries: Tensor
  /** The same at the tokens that are wrong [n, D]. */
  readonly own: Tensor
}

async function findMistakes(
  model: LanguageModel,
  fact: Fact,
  { layer, mostUnits }: TPatcherHparams,
): Promise<Mistakes> {
  const forced = await tokenizeTarget(model.tokenizer, fact.prompt, fact.targetNew)
  const at = forceTarget(forced, 0, 1)
  const tokens = { rows: [forced.row], promptLengths: [forced.prompt.length] }
  const said = { site: 'logits', at, as: 'argmax' } as const
  const { reads, capture } = await model.run({
    tokens,
    read: [said, { site: `mlp-input.${layer}`, at }],
    capture: { layer },
  })
  const [argmax, queries = zeros([0, model.config.width])] = reads
  const wrong = at.flatMap(({ target }, i) => (argmax?.data[i] === target ? [] : [i])).slice(0, mostUnits)
  return {
    request: { tokens, resume: capture, loss: [{ kind: 'nll', at }], read: [said] },
    target: forced.target,
    queries,
    own: pickRows(queries, (row) => wrong.includes(row)),
  }
}

/** The work of {@link trainUnits}. */
interface TrainUnitsJob {
  readonly model: LanguageModel
  readonly mistakes: Mistakes
  readonly stored: StoredInputs
  readonly hparams: TPatcherHparams
  readonly random: Random
}

/** Trains the units of an edit. The losses reported are L_e, each before its step, and the held loss at the end. */
async function trainUnits(
  { model, mistakes, stored, hparams, random }: TrainUnitsJob,
  ctx: Context,
): Promise<{ units: Units; report: Record<string, number> }> {
  const { layer, steps, firstLook, lookEvery, answerFactor, answerMargin, quietFactor } = hparams
  const { own, request, target } = mistakes
  const { quietTop: top, quietDistance: distance, quietCeiling: ceiling } = hparams
  const units = openUnits(own, hparams, random)
  const names = [`unit-input ${layer}`, `unit-biases ${layer}`, `unit-output ${layer}`]
  const heldLoss = () => keepQuiet(units.keys, { stored: stored.held, own, top, distance, ceiling }).loss

  const share = followPlateau()
  const losses: number[] = []
  const held: number[] = []
  for (let step = 0; step < steps; step++) {
    ctx.signal.throwIfAborted()
    const asked = { ...request, neurons: { [layer]: units.now() } }
    const { loss, gradients, reads } = await differentiateAll(model, asked, names)
    losses.push(loss)
    if (step > 0 && step % lookEvery === 0) {
      share.look(loss)
      const isSaid = target.every((id, i) => reads[0]?.data[i] === id)
      if (isSaid && step > firstLook && hasStoppedFalling(held, heldLoss())) break
    }
    const answering = answerOwnInputs(units.keys, own, answerMargin)
    const quiet = keepQuiet(units.keys, { stored: stored.training, own, top, distance, ceiling })
    const [input, biases, output] = gradients.map(({ data }) => Float64Array.from(data))
    const weighted = (loss: 'input' | 'biases') => (slope: number, i: number) =>
      slope + answerFactor * (answering[loss][i] ?? 0) + quietFactor * (quiet[loss][i] ?? 0)
    units.step(
      {
        input: (input ?? new Float64Array()).map(weighted('input')),
        biases: (biases ?? new Float64Array()).map(weighted('biases')),
        output: output ?? new Float64Array(),
      },
      share.now(),
    )
    ctx.progress({ task: 'units', done: step + 1, total: steps, unit: 'steps' })
  }
  const report = {
    steps: losses.length,
    lossFirst: losses[0] ?? 0,
    lossLast: losses.at(-1) ?? 0,
    quietLoss: heldLoss(),
  }
  return { units: units.now(), report }
}

/** Gradients for K [D, n], b [n] and V [n, D]. */
interface Slopes {
  readonly input: Float64Array
  readonly biases: Float64Array
  readonly output: Float64Array
}

/** New units with their optimisers. */
interface Trainee {
  readonly keys: UnitKeys
  now(): Units
  /** A step of Adam against the slopes, cut to a length; `share` of the learning rate. */
  step(slopes: Slopes, share: number): void
}

/** Units as they start at the inputs they are made for [n, D]: they answer 1 there, with random values. */
function openUnits(own: Tensor, hparams: TPatcherHparams, random: Random): Trainee {
  const { learningRate, weightDecay, amplify } = hparams
  const [n = 0] = own.shape
  const keys = { input: startInput(own), biases: zeros([n]) } // [D, n], [n]
  const values = Float32Array.from(own.data, () => random.normal()) // v [n, D]
  const gains = new Float32Array(own.data.length).fill(amplify) // c [n, D]
  const trained = [keys.input.data, keys.biases.data, values, gains]
  const optimisers = trained.map(({ length }) => createAdam(length, learningRate))
  return {
    keys,
    now: () => ({
      activation: hparams.activation,
      ...copyKeys(keys),
      output: tensor(
        values.map((value, i) => value * (gains[i] ?? 0)),
        own.shape,
      ),
    }),
    step({ input, biases, output }, share) {
      const ofValues = output.map((slope, i) => slope * (gains[i] ?? 0))
      const ofGains = output.map((slope, i) => slope * (values[i] ?? 0))
      const slopes = [input, biases, ofValues, ofGains]
      const cut = Math.min(1, LONGEST_GRADIENT / norm(slopes.map((slope) => norm(slope))))
      trained.forEach((numbers, i) => {
        const decayed = numbers.map((number, j) => cut * (slopes[i]?.[j] ?? 0) + weightDecay * number)
        optimisers[i]?.step(numbers, decayed, share)
      })
    },
  }
}

/** K = Qᵀ with each column over its squared length: [n, D] → [D, n]. */
function startInput({ shape: [n = 0, width = 0], data }: Tensor): Tensor {
  const squared = Array.from({ length: n }, (_, unit) => norm(data.subarray(unit * width, (unit + 1) * width)) ** 2)
  const start = Float32Array.from(
    data,
    (_, i) => (data[(i % n) * width + Math.floor(i / n)] ?? 0) / (squared[i % n] ?? 1),
  )
  return tensor(start, [width, n])
}

/** What is trained changes in place; what is handed out must not. */
function copyKeys({ input, biases }: UnitKeys): UnitKeys {
  return { input: tensor(input.data.slice(), input.shape), biases: tensor(biases.data.slice(), biases.shape) }
}

/** The share of the learning rate that is used: less, where the loss stays on a plateau. */
function followPlateau(): { look(loss: number): void; now(): number } {
  let [best, waited, share] = [Number.POSITIVE_INFINITY, 0, 1]
  return {
    look(loss) {
      if (loss < best * (1 - PLATEAU.share)) [best, waited] = [loss, 0]
      else waited += 1
      if (waited > PLATEAU.patience) [share, waited] = [share * PLATEAU.factor, 0]
    },
    now: () => share,
  }
}

/** Adds a loss to those looked at; has it not fallen since the best of them? */
function hasStoppedFalling(seen: number[], loss: number): boolean {
  const best = Math.min(...seen)
  seen.push(loss)
  return loss >= best - LEAST_FALL
}

/** The rows for which a test of their index holds [R, D]. */
function pickRows({ shape: [rows = 0, width = 0], data }: Tensor, isWanted: (row: number) => boolean): Tensor {
  const wanted = Array.from({ length: rows }, (_, row) => row).filter(isWanted)
  return joinRows(
    wanted.map((row) => tensor(data.subarray(row * width, (row + 1) * width), [1, width])),
    width,
  )
}

function estimateMemory(model: Footprint, { storedTokens, mostUnits }: TPatcherHparams): MethodMemory {
  const inputs = 2 * storedTokens * model.config.width * Float32Array.BYTES_PER_ELEMENT
  const answers = 2 * ANSWERS * storedTokens * mostUnits * Float64Array.BYTES_PER_ELEMENT
  const work = { tokens: FACT_TOKENS, attended: FACT_TOKENS, logits: TARGET_TOKENS, layers: 1 }
  return {
    prepareBytes: calibrationBytes(model) + 2 * inputs + sessionBytes(model, SESSIONS),
    heldBytes: inputs + HELD_BYTES * chunkBytes(model) + sessionBytes(model, SESSIONS),
    editBytes: inputs + answers + sessionBytes(model, SESSIONS) + gradientBytes(model, work),
    queryBytes: sessionBytes(model, SESSIONS),
  }
}
