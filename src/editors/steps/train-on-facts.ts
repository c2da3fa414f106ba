/**
 * Adam on the facts themselves: epochs over batches, until the mean loss of an epoch is small. What is trained, a matrix
 * or factors beside one, is the caller's.
 *
 *   prompt-last  loss = mean over the target's tokens tⱼ of −log p(tⱼ | prompt): all read at the prompt's last token
 *   target-new   loss = mean over the target's tokens tⱼ of −log p(tⱼ | prompt, t₁ … tⱼ₋₁): teacher forcing
 *
 * Reference code: zjunlp/EasyEdit `models/ft/ft_main.py`, matched in the order of loss, stop and step; a batch whose loss is
 * small enough already takes no step.
 */
import type { Context } from '../../context.ts'
import type { Fact } from '../../facts/fact.ts'
import { type Footprint, gradientBytes } from '../../models/footprint.ts'
import type { LanguageModel, RunRequest } from '../../models/model.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { HparamSpec } from '../editor.ts'
import { createAdam } from './adam.ts'
import { differentiateAll } from './differentiate.ts'
import { forceTarget, type TargetTokens, tokenizeTarget, type WeightedTarget } from './target-tokens.ts'

/** What a method that trains lets a user set. */
export type TrainingHparams = {
  readonly learningRate: number
  readonly steps: number
  readonly batchSize: number
}

/** What those settings mean. */
export const TRAINING_HPARAMS: HparamSpec<TrainingHparams> = {
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
}

/** Positions of one fact, and those of them that predict its target. */
const FACT_TOKENS = 24
const TARGET_TOKENS = 8

/** What the gradient of a batch through so many layers takes. */
export function batchGradientBytes(model: Footprint, { batchSize }: TrainingHparams, layers: number): number {
  const tokens = batchSize * FACT_TOKENS
  return gradientBytes(model, { tokens, attended: FACT_TOKENS, logits: batchSize * TARGET_TOKENS, layers })
}

/** What is minimised. */
export type Objective = 'prompt-last' | 'target-new'

/** Facts that take one step of Adam together. */
export interface Batch {
  readonly facts: number
  readonly request: Pick<RunRequest, 'tokens' | 'loss' | 'resume'>
}

/** How facts become batches. */
export interface BatchJob {
  readonly model: LanguageModel
  readonly facts: readonly Pick<Fact, 'prompt' | 'targetNew'>[]
  readonly objective: Objective
  readonly batchSize: number
  /** Nothing below this layer's down-projection is trained, so that it is computed once; absent: all is computed at each step. */
  readonly fromLayer?: number
}

/** Puts facts into batches, each with its loss. */
export async function batchFacts(job: BatchJob, ctx: Context): Promise<Batch[]> {
  const { model, facts, objective, batchSize, fromLayer } = job
  const batches: Batch[] = []
  for (let start = 0; start < facts.length; start += batchSize) {
    ctx.signal.throwIfAborted()
    const chosen = facts.slice(start, start + batchSize)
    const forced = await Promise.all(chosen.map((fact) => tokenizeTarget(model.tokenizer, fact.prompt, fact.targetNew)))
    const rows = forced.map((tokens) => (objective === 'prompt-last' ? tokens.prompt : tokens.row))
    const places = objective === 'prompt-last' ? predictFromPromptEnd : forceTarget
    const at = forced.flatMap((tokens, row) => places(tokens, row, 1 / chosen.length))
    const tokens = { rows, promptLengths: forced.map(({ prompt }) => prompt.length) }
    const request = { tokens, loss: [{ kind: 'nll', at }] } as const
    if (fromLayer === undefined) batches.push({ facts: chosen.length, request })
    else {
      const { capture } = await model.run({ tokens, capture: { layer: fromLayer } })
      batches.push({ facts: chosen.length, request: { ...request, resume: capture } })
    }
  }
  return batches
}

/** Numbers that are trained, changed in place. */
export interface Parameters {
  /** What `RunRequest.gradientOf` calls them. */
  readonly name: string
  readonly values: Float32Array
  readonly learningRate: number
}

/** The work of {@link trainOnFacts}. */
export interface TrainJob {
  readonly model: LanguageModel
  readonly batches: readonly Batch[]
  readonly parameters: readonly Parameters[]
  /** How a run is given the parameters as they are. */
  readonly given: Pick<RunRequest, 'weights' | 'lowRank' | 'neurons'>
  /** Most epochs. */
  readonly steps: number
  /** Mean loss below which a batch takes no step and an epoch is the last. */
  readonly stopLoss: number
  /** The share of the learning rate that counts in an epoch, counted from 0. Default: all of it. */
  readonly shareAt?: (epoch: number) => number
  /** What is done to the parameters after each step. */
  readonly afterStep?: () => void
  /** What progress is called. */
  readonly task: string
}

/** Trains the parameters. The mean loss of each epoch, every batch's taken before its step. */
export async function trainOnFacts(job: TrainJob, ctx: Context): Promise<number[]> {
  const { model, batches, parameters, given, steps, stopLoss, shareAt = () => 1 } = job
  const names = parameters.map(({ name }) => name)
  const moves = parameters.map(({ values, learningRate }) => {
    const adam = createAdam(values.length, learningRate)
    return (gradient: Tensor, share: number) => adam.step(values, gradient.data, share)
  })
  const facts = batches.reduce((count, batch) => count + batch.facts, 0)
  const losses: number[] = []
  for (let epoch = 0; epoch < steps; epoch++) {
    let sum = 0
    for (const batch of batches) {
      ctx.signal.throwIfAborted()
      const { loss, gradients } = await differentiateAll(model, { ...batch.request, ...given }, names)
      sum += loss * batch.facts
      if (loss < stopLoss) continue
      gradients.forEach((gradient, i) => {
        moves[i]?.(gradient, shareAt(epoch))
      })
      job.afterStep?.()
    }
    losses.push(sum / facts)
    ctx.progress({ task: job.task, done: epoch + 1, total: steps, unit: 'epochs' })
    if (sum / facts < stopLoss) break
  }
  return losses
}

/** Every token of the target predicted from the prompt's last token, all with the same share of the weight. */
function predictFromPromptEnd(tokens: TargetTokens, row: number, weight: number): WeightedTarget[] {
  return forceTarget(tokens, row, weight).map((place) => ({ ...place, token: tokens.prompt.length - 1 }))
}
