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
 * Only positions from the subject on and only layers above change with δ: the rest is captured once.
 */
import type { Context } from '../../context.ts'
import { WhicheditError } from '../../errors.ts'
import type { Fact } from '../../facts/fact.ts'
import { cacheBytes, type Footprint, forwardBytes, gradientBytes, sessionBytes } from '../../models/footprint.ts'
import type { LanguageModel, LossTerm, RunRequest, TokenBatch } from '../../models/model.ts'
import { norm } from '../../tensor/linalg.ts'
import { type Tensor, tensor } from '../../tensor/tensor.ts'
import type { HparamSpec } from '../editor.ts'
import { createAdam } from './adam.ts'
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

/** Descends to the value that makes the model say the new answer. */
export async function findTargetValue(job: TargetValueJob, ctx: Context): Promise<TargetValue> {
  const { model, settings } = job
  const { initial, request } = await captureRows(job)
  const site = `${settings.site}.${settings.layer}` as const
  const length = norm(initial)
  const delta = new Float32Array(initial.length)
  const adam = createAdam(delta.length, settings.learningRate)
  const losses: TargetLoss[] = []
  for (let step = 1; ; step++) {
    ctx.signal.throwIfAborted()
    const write = { site, mode: 'add' as const, value: tensor(delta, [1, delta.length]), at: request.at }
    const { lossTerms, gradients } = await model.run({ ...request.run, write: [write], gradientOf: [site] })
    const [target = 0, kl = 0] = lossTerms
    const size = norm(delta)
    const decay = (settings.weightDecay * size) / length ** 2
    const total = target + kl + decay
    losses.push({ total, target, kl, decay })
    ctx.progress({ task: 'target value', done: step, total: settings.steps, unit: 'steps' })
    if (total < settings.stopLoss || step === settings.steps) break

    const gradient = gradientOf(gradients, site)
    // The norm has no slope at zero; there the term adds nothing, as in PyTorch.
    const pull = size === 0 ? 0 : settings.weightDecay / length ** 2 / size
    adam.step(
      delta,
      gradient.map((slope, i) => slope + pull * (delta[i] ?? 0)),
    )
    shrinkTo(delta, settings.clamp * length)
  }
  return { initial, delta, losses, targetProbability: Math.exp(-(losses.at(-1)?.target ?? 0)) }
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
  const { layer } = settings
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
  const { reads, capture } = await model.run({
    tokens,
    read: [
      { site: `${settings.site}.${layer}`, at: at.slice(0, 1) },
      { site: 'logits', at: [essenceAt] },
    ],
    capture: { layer, from: at.map(({ token }) => token) },
  })
  const [initial, logits] = reads
  if (initial === undefined || logits === undefined || capture === undefined) {
    throw new WhicheditError('E_INTERNAL', { what: 'target value: the model gave no value or no capture' })
  }
  const loss: LossTerm[] = [
    { kind: 'nll', at: prompts.flatMap(({ tokens }, row) => forceTarget(tokens, row, 1 / prompts.length)) },
    { kind: 'kl', at: [{ ...essenceAt, weight: settings.klFactor }], reference: logSoftmaxRow(logits) },
  ]
  const run: RunRequest = { tokens, loss, resume: capture }
  return { initial: initial.data, request: { run, at } }
}

function gradientOf(gradients: Readonly<Record<string, Tensor>>, site: string): Float32Array {
  const gradient = gradients[site]
  if (gradient === undefined) {
    throw new WhicheditError('E_INTERNAL', { what: `target value: the model gave no gradient for ${site}` })
  }
  return gradient.data
}

/** Log-probabilities from one row of logits [1, V], with sums in float64. */
function logSoftmaxRow({ data, shape }: Tensor): Tensor {
  const largest = data.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  const sum = data.reduce((total, logit) => total + Math.exp(logit - largest), 0)
  return tensor(
    data.map((logit) => logit - largest - Math.log(sum)),
    shape,
  )
}

/** Scales a vector down to a length, in place, if it is longer. */
function shrinkTo(vector: Float32Array, limit: number): void {
  const length = norm(vector)
  if (length <= limit) return
  for (let i = 0; i < vector.length; i++) vector[i] = ((vector[i] ?? 0) * limit) / length
}
