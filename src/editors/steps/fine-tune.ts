/**
 * Fine-tuning one matrix on the facts themselves: the work of FT-L and FT-M, which differ only in their objective.
 *
 *   W ← Adam(W, ∂loss/∂W), then W ← clamp(W, W₀ − ε, W₀ + ε) elementwise, until the mean loss of an epoch is small
 *
 * W the down-projection of one layer, W₀ its value before, ε the norm limit (the ROME paper's "FT+L").
 *   prompt-last  loss = mean over the target's tokens tⱼ of −log p(tⱼ | prompt): all read at the prompt's last token
 *   target-new   loss = mean over the target's tokens tⱼ of −log p(tⱼ | prompt, t₁ … tⱼ₋₁): teacher forcing
 * Reference code: zjunlp/EasyEdit `models/ft/ft_main.py`, matched in the order of loss, stop, step and projection; a batch
 * whose loss is small enough already takes no step. Layers below W never change, so they are computed once.
 */
import type { Context } from '../../context.ts'
import type { Fact } from '../../facts/fact.ts'
import { type Footprint, gradientBytes, sessionBytes } from '../../models/footprint.ts'
import type { LanguageModel, RunRequest } from '../../models/model.ts'
import type { Patch } from '../../models/patch.ts'
import { norm } from '../../tensor/linalg.ts'
import { tensor } from '../../tensor/tensor.ts'
import type { HparamSpec, MethodMemory } from '../editor.ts'
import { createAdam } from './adam.ts'
import { differentiate } from './differentiate.ts'
import { forceTarget, type TargetTokens, tokenizeTarget, type WeightedTarget } from './target-tokens.ts'

/** Settings of fine-tuning. */
export type FineTuneHparams = {
  readonly layer: number
  readonly learningRate: number
  readonly steps: number
  readonly batchSize: number
  readonly normLimit: number
  readonly stopLoss: number
}

/** What the settings of fine-tuning mean. */
export const FINE_TUNE_HPARAMS: HparamSpec<FineTuneHparams> = {
  layer: { meaning: 'layer whose down-projection is trained', unit: 'layer', reference: 'layers' },
  learningRate: { meaning: 'learning rate of Adam', unit: '1', range: [1e-8, 1], reference: 'lr' },
  steps: {
    meaning: 'most epochs over the facts',
    unit: 'epochs',
    range: [1, 10000],
    whole: true,
    reference: 'num_steps',
  },
  batchSize: {
    meaning: 'facts a step of Adam',
    unit: 'facts',
    range: [1, 10000],
    whole: true,
    reference: 'batch_size',
  },
  normLimit: {
    meaning: 'most that any number of the matrix may change; 0: no limit',
    unit: '1',
    range: [0, 1000],
    reference: 'norm_constraint',
  },
  stopLoss: {
    meaning: 'loss below which a batch takes no step and an epoch is the last',
    unit: 'nats a token',
    range: [0, 100],
    reference: '1e-2 in ft_main.py',
  },
}

/** Positions of one fact, and those of them that predict its target. */
const FACT_TOKENS = 24
const TARGET_TOKENS = 8
/** Copies of the matrix: as it was, trained; two moments; the gradient, once the runtime's and once ours; the change. */
const MATRICES = 7
/** The same for asking: changed, and once more for a second reading that waits to be collected. */
const MATRICES_ASKED = 2
/** For the capture and for the step. */
const SESSIONS = 2

/** What fine-tuning takes: copies of one matrix, and a gradient through the layers from it on. */
export function fineTuneMemory(model: Footprint, { layer, batchSize }: FineTuneHparams): MethodMemory {
  const { width, mlpWidth, layers } = model.config
  const matrix = width * mlpWidth * Float32Array.BYTES_PER_ELEMENT
  const work = {
    tokens: batchSize * FACT_TOKENS,
    attended: FACT_TOKENS,
    logits: batchSize * TARGET_TOKENS,
    layers: layers - layer,
  }
  return {
    prepareBytes: 0,
    heldBytes: 0,
    editBytes: MATRICES * matrix + sessionBytes(model, SESSIONS) + gradientBytes(model, work),
    queryBytes: MATRICES_ASKED * matrix + sessionBytes(model, SESSIONS),
  }
}

/** What is minimised. */
export type Objective = 'prompt-last' | 'target-new'

/** The work of {@link fineTune}. */
export interface FineTuneJob {
  readonly model: LanguageModel
  readonly facts: readonly [Fact, ...Fact[]]
  readonly objective: Objective
  readonly hparams: FineTuneHparams
}

/** Facts that take one step of Adam together. */
interface Batch {
  readonly facts: number
  readonly request: Pick<RunRequest, 'tokens' | 'loss' | 'resume'>
}

/** Trains the matrix and gives back its change. The losses reported are those of the first and the last epoch, each before its steps. */
export async function fineTune(job: FineTuneJob, ctx: Context): Promise<Patch> {
  const { model, hparams } = job
  const name = model.weightName('mlp-down', hparams.layer)
  const before = await model.weight(name) // [F, D]
  const weight = tensor(before.data.slice(), before.shape)
  const batches = await makeBatches(job, ctx)
  const adam = createAdam(weight.data.length, hparams.learningRate)

  const losses: number[] = []
  for (let epoch = 0; epoch < hparams.steps; epoch++) {
    let sum = 0
    for (const { request, facts } of batches) {
      ctx.signal.throwIfAborted()
      const { loss, gradient } = await differentiate(model, { ...request, weights: { [name]: weight } }, name)
      sum += loss * facts
      if (loss < hparams.stopLoss) continue
      adam.step(weight.data, gradient.data)
      if (hparams.normLimit > 0) clampAround(weight.data, before.data, hparams.normLimit)
    }
    losses.push(sum / job.facts.length)
    ctx.progress({ task: 'fine-tuning', done: epoch + 1, total: hparams.steps, unit: 'epochs' })
    if (sum / job.facts.length < hparams.stopLoss) break
  }

  const delta = tensor(
    weight.data.map((value, i) => value - (before.data[i] ?? 0)),
    before.shape,
  )
  return {
    parts: [{ kind: 'dense', weight: name, delta }],
    report: {
      epochs: losses.length,
      lossFirst: losses[0] ?? 0,
      lossLast: losses.at(-1) ?? 0,
      relativeChange: norm(delta.data) / norm(before.data),
    },
  }
}

async function makeBatches(job: FineTuneJob, ctx: Context): Promise<Batch[]> {
  const { model, facts, objective, hparams } = job
  const batches: Batch[] = []
  for (let start = 0; start < facts.length; start += hparams.batchSize) {
    ctx.signal.throwIfAborted()
    const chosen = facts.slice(start, start + hparams.batchSize)
    const forced = await Promise.all(chosen.map((fact) => tokenizeTarget(model.tokenizer, fact.prompt, fact.targetNew)))
    const rows = forced.map((tokens) => (objective === 'prompt-last' ? tokens.prompt : tokens.row))
    const places = objective === 'prompt-last' ? predictFromPromptEnd : forceTarget
    const at = forced.flatMap((tokens, row) => places(tokens, row, 1 / chosen.length))
    const tokens = { rows, promptLengths: forced.map(({ prompt }) => prompt.length) }
    const { capture } = await model.run({ tokens, capture: { layer: hparams.layer } })
    batches.push({ facts: chosen.length, request: { tokens, resume: capture, loss: [{ kind: 'nll', at }] } })
  }
  return batches
}

/** Every token of the target predicted from the prompt's last token, all with the same share of the weight. */
function predictFromPromptEnd(tokens: TargetTokens, row: number, weight: number): WeightedTarget[] {
  return forceTarget(tokens, row, weight).map((place) => ({ ...place, token: tokens.prompt.length - 1 }))
}

/** Puts every number back that went further than `limit` from where it was. */
function clampAround(values: Float32Array, centre: Float32Array, limit: number): void {
  for (let i = 0; i < values.length; i++) {
    const c = centre[i] ?? 0
    values[i] = Math.min(Math.max(values[i] ?? 0, c - limit), c + limit)
  }
}
