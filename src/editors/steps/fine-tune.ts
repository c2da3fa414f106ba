/**
 * Fine-tuning one matrix on the facts themselves: the work of FT-L and FT-M, which differ only in their objective.
 *
 *   W ← Adam(W, ∂loss/∂W), then W ← clamp(W, W₀ − ε, W₀ + ε) elementwise, until the mean loss of an epoch is small
 *
 * W the down-projection of one layer, W₀ its value before, ε the norm limit (the ROME paper's "FT+L"). The objectives are those
 * of `train-on-facts.ts`. Reference code: zjunlp/EasyEdit `models/ft/ft_main.py`, matched in the order of loss, stop, step and
 * projection. Layers below W never change, so they are computed once.
 */
import type { Context } from '../../context.ts'
import type { Fact } from '../../facts/fact.ts'
import { type Footprint, sessionBytes } from '../../models/footprint.ts'
import type { LanguageModel } from '../../models/model.ts'
import type { Patch } from '../../models/patch.ts'
import { norm } from '../../tensor/linalg.ts'
import { tensor } from '../../tensor/tensor.ts'
import type { HparamSpec, MethodMemory } from '../editor.ts'
import {
  batchFacts,
  batchGradientBytes,
  type Objective,
  TRAINING_HPARAMS,
  type TrainingHparams,
  trainOnFacts,
} from './train-on-facts.ts'

/** Settings of fine-tuning. */
export type FineTuneHparams = TrainingHparams & {
  readonly layer: number
  readonly normLimit: number
  readonly stopLoss: number
}

/** What the settings of fine-tuning mean. */
export const FINE_TUNE_HPARAMS: HparamSpec<FineTuneHparams> = {
  layer: { meaning: 'layer whose down-projection is trained', unit: 'layer', reference: 'layers' },
  ...TRAINING_HPARAMS,
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

/** Copies of the matrix: as it was, trained; two moments; the gradient, once the runtime's and once ours; the change. */
const MATRICES = 7
/** The same for asking: changed, and once more for a second reading that waits to be collected. */
const MATRICES_ASKED = 2
/** For the capture and for the step. */
const SESSIONS = 2

/** What fine-tuning takes: copies of one matrix, and a gradient through the layers from it on. */
export function fineTuneMemory(model: Footprint, hparams: FineTuneHparams): MethodMemory {
  const { width, mlpWidth, layers } = model.config
  const matrix = width * mlpWidth * Float32Array.BYTES_PER_ELEMENT
  const gradient = batchGradientBytes(model, hparams, layers - hparams.layer)
  return {
    prepareBytes: 0,
    heldBytes: 0,
    editBytes: MATRICES * matrix + sessionBytes(model, SESSIONS) + gradient,
    queryBytes: MATRICES_ASKED * matrix + sessionBytes(model, SESSIONS),
  }
}

/** The work of {@link fineTune}. */
export interface FineTuneJob {
  readonly model: LanguageModel
  readonly facts: readonly [Fact, ...Fact[]]
  readonly objective: Objective
  readonly hparams: FineTuneHparams
}

/** Trains the matrix and gives back its change. The losses reported are those of the first and the last epoch, each before its steps. */
export async function fineTune({ model, facts, objective, hparams }: FineTuneJob, ctx: Context): Promise<Patch> {
  const { layer, batchSize, learningRate, steps, stopLoss, normLimit } = hparams
  const name = model.weightName('mlp-down', layer)
  const before = await model.weight(name) // [F, D]
  const weight = tensor(before.data.slice(), before.shape)
  const losses = await trainOnFacts(
    {
      model,
      batches: await batchFacts({ model, facts, objective, batchSize, fromLayer: layer }, ctx),
      parameters: [{ name, values: weight.data, learningRate }],
      given: { weights: { [name]: weight } },
      steps,
      stopLoss,
      afterStep: () => {
        if (normLimit > 0) clampAround(weight.data, before.data, normLimit)
      },
      task: 'fine-tuning',
    },
    ctx,
  )

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

/** Puts every number back that went further than `limit` from where it was. */
function clampAround(values: Float32Array, centre: Float32Array, limit: number): void {
  for (let i = 0; i < values.length; i++) {
    const c = centre[i] ?? 0
    values[i] = Math.min(Math.max(values[i] ?? 0, c - limit), c + limit)
  }
}
