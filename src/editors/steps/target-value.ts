/**
 * The value that makes a model say a fact's new answer: v* of ROME, z of MEMIT and its descendants.
 *
 * A vector δ is added at one layer at the subject's last token, in every prefixed prompt and in "{subject} is a", and
 * descended by Adam on
 *
 *   loss = mean over prompts and target tokens of −log p_δ(tⱼ | prompt, t₁ … tⱼ₋₁)         the new answer
 *        + κ · KL(p_δ ‖ p₀) of the next token at the subject's last token of "{subject} is a"  what the subject is
 *        + ω · ‖δ‖ / ‖v₀‖²                                                                   small changes
 *
 * with ‖δ‖ ≤ clamp · ‖v₀‖ after every step; v₀ is the value there in the first prompt, the bare one unless the caller
 * left it out, and the result is v₀ + δ.
 * Meng et al. 2022, equation 4 and appendix E.5. Reference code kmeng01/rome `rome/compute_v.py` and zjunlp/EasyEdit,
 * matched where it differs from the paper: the norm in the last term is not squared, the prediction of "is a" is taken
 * at the subject and not at its end, the descent ends below `stopLoss`, and the last of `steps` losses is not followed
 * by an update. Not matched: the target's tokens follow the prompt's as they are, not tokenised again as one text.
 *
 * PMET seeks a second δ with it, at the attention of the same layer, each within its own limit and with its own last term; and
 * once the model says the new answer, the answer weighs less, and enough of the subject kept ends the descent (Li et al. 2024,
 * §4.2; reference code xpq-tech/PMET `edit/pmet/compute_zs.py`).
 *
 * Only positions from the subject on and only layers above change with δ: the rest is captured once.
 */
import type { Context } from '../../context.ts'
import { WhicheditError } from '../../errors.ts'
import type { Fact } from '../../facts/fact.ts'
import { cacheBytes, type Footprint, forwardBytes, gradientBytes, sessionBytes } from '../../models/footprint.ts'
import type { LanguageModel, LayerSite, LossTerm, RunRequest, TokenBatch } from '../../models/model.ts'
import { norm } from '../../tensor/linalg.ts'
import { type Tensor, tensor } from '../../tensor/tensor.ts'
import type { HparamSpec } from '../editor.ts'
import { type Adam, createAdam } from './adam.ts'
import { logSoftmaxRows } from './log-softmax.ts'
import { prefixesOffStart, promptAfter, tokenizeSubject } from './subject.ts'
import { forceTarget, tokenizeTarget } from './target-tokens.ts'

/** What a method that seeks such a value lets a user set. */
export type TargetValueHparams = {
  /** Losses computed; one update fewer. */
  readonly steps: number
  readonly learningRate: number
  /** κ */
  readonly klFactor: number
  /** ω */
  readonly weightDecay: number
  /** Largest ‖δ‖, as a multiple of ‖v₀‖. */
  readonly clamp: number
  readonly stopLoss: number
}

/** What those settings mean. */
export const TARGET_VALUE_HPARAMS: HparamSpec<TargetValueHparams> = {
  steps: {
    meaning: 'most losses computed while the value is sought',
    unit: 'steps',
    range: [1, 1000],
    whole: true,
    reference: 'v_num_grad_steps',
  },
  learningRate: { meaning: 'learning rate of Adam', unit: '1', range: [1e-6, 100], reference: 'v_lr' },
  klFactor: {
    meaning: 'weight of keeping what the model says after "{subject} is a"',
    unit: '1',
    range: [0, 1000],
    reference: 'kl_factor',
  },
  weightDecay: {
    meaning: 'weight of keeping the change of the value small',
    unit: '1',
    range: [0, 1000],
    reference: 'v_weight_decay',
  },
  clamp: {
    meaning: 'largest change of the value, as a multiple of its own length',
    unit: '1',
    range: [1e-3, 1000],
    reference: 'clamp_norm_factor',
  },
  stopLoss: {
    meaning: 'loss below which the value is good enough',
    unit: 'nats',
    range: [0, 100],
    reference: '5e-2 in compute_v.py',
  },
}

/** Settings of the descent. */
export interface TargetValueSettings extends TargetValueHparams {
  readonly layer: number
  /** What δ is added to: the feed-forward's output (ROME) or the residual stream after the layer (MEMIT). */
  readonly site: 'mlp-output' | 'block-output'
  /** A place of the layer that gets a δ of its own, sought with the other and then dropped. */
  readonly beside?: 'attention-output'
  /** What changes once the model says the new answer. Absent: nothing. */
  readonly onceSaid?: {
    /** What the new answer weighs then. */
    readonly weight: number
    /** The value of κ·KL that is good enough then. */
    readonly stopKl: number
  }
}

/** The work of {@link findTargetValue}. */
export interface TargetValueJob {
  readonly model: LanguageModel
  readonly fact: Fact
  /** Text put before the prompt; the empty one, if it is among them, comes first. */
  readonly prefixes: readonly string[]
  readonly settings: TargetValueSettings
}

/** Positions of a prompt with its prefix and its target; of these, the share from the subject on, which δ changes. */
const ROW_TOKENS = 24
const CHANGED = 1 / 2
/** For the capture and for the step. */
const SESSIONS = 2

/** What the descent takes: a capture of all rows, and a gradient through the layers above for their changed positions. */
export function targetValueMemory(model: Footprint, { layer, rows }: { layer: number; rows: number }): number {
  const { config } = model
  const above = config.layers - layer
  const tokens = rows * ROW_TOKENS
  const work = { attended: ROW_TOKENS, logits: rows }
  return (
    sessionBytes(model, SESSIONS) +
    forwardBytes(model, { ...work, tokens }) +
    2 * cacheBytes(config, tokens, above) +
    gradientBytes(model, { ...work, tokens: CHANGED * tokens, layers: above })
  )
}

/** The terms of the loss at one step. */
export interface TargetLoss {
  readonly total: number
  readonly target: number
  readonly kl: number
  readonly decay: number
}

/** A value found. */
export interface TargetValue {
  /** v₀ [D] */
  readonly initial: Float32Array
  /** δ [D] */
  readonly delta: Float32Array
  /** One for each step taken, the last with the δ given. */
  readonly losses: readonly TargetLoss[]
  /** The new answer's probability with δ: the geometric mean over prompts and target tokens. */
  readonly targetProbability: number
}

type ValueSite = `${LayerSite}.${number}`

/** One δ and what it is added to. */
interface Change {
  readonly site: ValueSite
  readonly delta: Float32Array
  /** ‖v₀‖ */
  readonly length: number
  readonly adam: Adam
}

/** Descends to the value that makes the model say the new answer. */
export async function findTargetValue(job: TargetValueJob, ctx: Context): Promise<TargetValue> {
  const { model, settings } = job
  const { onceSaid = { weight: 1, stopKl: Number.NEGATIVE_INFINITY } } = settings
  const rows = await captureRows(job)
  const changes = rows.initials.map(({ site, value }): Change => {
    const delta = new Float32Array(value.length)
    return { site, delta, length: norm(value), adam: createAdam(delta.length, settings.learningRate) }
  })
  const losses: TargetLoss[] = []
  let weight = 1
  let probability = 0
  for (let step = 1; ; step++) {
    ctx.signal.throwIfAborted()
    const { reads, lossTerms, gradients } = await model.run({
      ...rows.request(weight),
      write: changes.map(({ site, delta }) => ({
        site,
        mode: 'add',
        value: tensor(delta, [1, delta.length]),
        at: rows.at,
      })),
      gradientOf: changes.map(({ site }) => site),
    })
    const [target = 0, kl = 0] = lossTerms
    const decay = changes.reduce((sum, change) => sum + decayOf(change, settings.weightDecay), 0)
    const total = target + kl + decay
    losses.push({ total, target, kl, decay })
    probability = Math.exp(-target / weight)
    ctx.progress({ task: 'target value', done: step, total: settings.steps, unit: 'steps' })
    const isSaid = rows.isSaid(reads)
    if (total < settings.stopLoss || (isSaid && kl <= onceSaid.stopKl) || step === settings.steps) break

    for (const change of changes) descend(change, gradientOf(gradients, change.site), settings)
    weight = isSaid ? onceSaid.weight : 1
  }
  const [initial, delta] = [rows.initials[0]?.value, changes[0]?.delta]
  if (initial === undefined || delta === undefined) {
    throw new WhicheditError('E_INTERNAL', { what: 'target value: no place to change' })
  }
  return { initial, delta, losses, targetProbability: probability }
}

function decayOf({ delta, length }: Change, weightDecay: number): number {
  return (weightDecay * norm(delta)) / length ** 2
}

/** One step of Adam, and back within the limit. */
function descend({ delta, length, adam }: Change, gradient: Float32Array, settings: TargetValueSettings): void {
  const size = norm(delta)
  // The norm has no slope at zero; there the term adds nothing, as in PyTorch.
  const pull = size === 0 ? 0 : settings.weightDecay / length ** 2 / size
  adam.step(
    delta,
    gradient.map((slope, i) => slope + pull * (delta[i] ?? 0)),
  )
  shrinkTo(delta, settings.clamp * length)
}

/** Values found for many facts. */
export interface TargetValues {
  /** v₀ + δ, a row a fact [N, D] */
  readonly values: Float64Array
  /** For an edit's report: of the losses the means over facts, of the new answers' probabilities the geometric mean and the least. */
  readonly report: Readonly<Record<string, number>>
}

/** Descends to a value for each of many facts, one after another, each alone on the model. */
export async function findTargetValues(
  model: LanguageModel,
  facts: readonly Pick<TargetValueJob, 'fact' | 'prefixes'>[],
  settings: TargetValueSettings,
  ctx: Context,
): Promise<TargetValues> {
  const { width } = model.config
  const values = new Float64Array(facts.length * width)
  const found: TargetValue[] = []
  for (const [i, { fact, prefixes }] of facts.entries()) {
    const progress: Context['progress'] = ({ task, done, total = 0, unit }) =>
      ctx.progress({ task, done: i * total + done, total: facts.length * total, unit })
    const value = await findTargetValue({ model, fact, prefixes, settings }, { ...ctx, progress })
    values.set(
      value.initial.map((start, j) => start + (value.delta[j] ?? 0)),
      i * width,
    )
    found.push(value)
  }
  return { values, report: describeValues(found) }
}

function describeValues(found: readonly TargetValue[]): Record<string, number> {
  const mean = (of: (value: TargetValue) => number) => found.reduce((sum, value) => sum + of(value), 0) / found.length
  return {
    targetProbability: Math.exp(mean(({ targetProbability }) => Math.log(targetProbability))),
    targetProbabilityLeast: Math.min(...found.map(({ targetProbability }) => targetProbability)),
    steps: mean(({ losses }) => losses.length),
    lossFirst: mean(({ losses }) => losses[0]?.total ?? 0),
    lossLast: mean(({ losses }) => losses.at(-1)?.total ?? 0),
  }
}

/** Runs all rows once: v₀, p₀, and what of the rows no δ can change. */
async function captureRows({ model, fact, prefixes, settings }: TargetValueJob) {
  const { layer, site, beside, onceSaid } = settings
  const prompts = await Promise.all(
    prefixes.map(async (prefix) => {
      const text = promptAfter(prefix, fact)
      const { subject } = await tokenizeSubject(model.tokenizer, text)
      return { subject, tokens: await tokenizeTarget(model.tokenizer, text.text, fact.targetNew) }
    }),
  )
  const essenceAfter = (prefix: string) => ({
    text: `${prefix}${fact.subject} is a`,
    span: [prefix.length, prefix.length + fact.subject.length] as const,
  })
  const [before = ''] = await prefixesOffStart(model.tokenizer, prefixes, essenceAfter)
  const essence = await tokenizeSubject(model.tokenizer, essenceAfter(before))
  const tokens: TokenBatch = {
    rows: [...prompts.map(({ tokens }) => tokens.row), essence.ids],
    promptLengths: [...prompts.map(({ tokens }) => tokens.prompt.length), essence.ids.length],
  }
  const at = [...prompts, essence].map(({ subject }, row) => ({ row, token: subject }))
  // An encoder-decoder predicts nothing within its prompt: there it is what follows the whole of it.
  const predicting = model.config.encoderLayers > 0 ? essence.ids.length - 1 : essence.subject
  const essenceAt = { row: prompts.length, token: predicting }
  const sites = [site, ...(beside === undefined ? [] : [beside])].map((kind): ValueSite => `${kind}.${layer}`)
  // Attention comes before the layer's down-projection: its change is met only from the layer below on.
  const from = beside === undefined ? layer : layer - 1
  const { reads, capture } = await model.run({
    tokens,
    read: [...sites.map((site) => ({ site, at: at.slice(0, 1) })), { site: 'logits', at: [essenceAt] }],
    ...(from < 0 ? {} : { capture: { layer: from, from: at.map(({ token }) => token) } }),
  })
  const logits = reads[sites.length]
  const initials = sites.flatMap((site, i) => (reads[i] === undefined ? [] : [{ site, value: reads[i].data }]))
  if (logits === undefined || initials.length < sites.length || (capture === undefined) !== from < 0) {
    throw new WhicheditError('E_INTERNAL', { what: 'target value: the model gave no value or no capture' })
  }
  const forced = prompts.flatMap(({ tokens }, row) => forceTarget(tokens, row, 1 / prompts.length))
  const kl: LossTerm = {
    kind: 'kl',
    at: [{ ...essenceAt, weight: settings.klFactor }],
    reference: logSoftmaxRows(logits),
  }
  return {
    initials,
    at,
    /** All rows, with the new answer weighing so much. */
    request: (weight: number): RunRequest => ({
      tokens,
      loss: [{ kind: 'nll', at: forced.map((place) => ({ ...place, weight: weight * place.weight })) }, kl],
      resume: capture,
      read: onceSaid === undefined ? [] : [{ site: 'logits', at: forced, as: 'argmax' }],
    }),
    /** Whether every token of the new answer is the likeliest at its place. */
    isSaid: ([argmax]: readonly Tensor[]) =>
      argmax !== undefined && forced.every(({ target }, i) => argmax.data[i] === target),
  }
}

function gradientOf(gradients: Readonly<Record<string, Tensor>>, site: string): Float32Array {
  const gradient = gradients[site]
  if (gradient === undefined) {
    throw new WhicheditError('E_INTERNAL', { what: `target value: the model gave no gradient for ${site}` })
  }
  return gradient.data
}

/** Scales a vector down to a length, in place, if it is longer. */
function shrinkTo(vector: Float32Array, limit: number): void {
  const length = norm(vector)
  if (length <= limit) return
  for (let i = 0; i < vector.length; i++) vector[i] = ((vector[i] ?? 0) * limit) / length
}
