/**
 * Many facts written at once into down-projections, in closed form: MEMIT over several layers, EMMET into one.
 *
 *   zᵢ = hᵢ + argmin over δ of the loss in steps/target-value.ts, δ added to the residual stream after the last layer L
 *   for l in the layers, each on the model as changed so far:  rᵢ = (zᵢ − hᵢ) / (layers left)         (steps/spread.ts)
 *     W_l ← W_l + R Kᵀ (λ_l C_l + K Kᵀ)⁻¹                                                       (steps/least-squares.ts)
 *
 * Meng et al. 2023, equation 14 and algorithm 1; Gupta et al. 2024.
 */
import type { Context } from '../../context.ts'
import type { Fact } from '../../facts/fact.ts'
import { type Footprint, sessionBytes } from '../../models/footprint.ts'
import type { LanguageModel } from '../../models/model.ts'
import type { Patch } from '../../models/patch.ts'
import type { MethodMemory, PrepareJob } from '../editor.ts'
import { samplePrefixes } from './context-templates.ts'
import {
  covarianceMemory,
  describeCovariances,
  type LayerCovariance,
  prepareCovariances,
  type StatisticsHparams,
} from './covariance.ts'
import { promptFact, readStatesMemory } from './fact-states.ts'
import { describeChanges, solveLeastSquares } from './least-squares.ts'
import { spreadOverLayers } from './spread.ts'
import { findTargetValues, type TargetValueHparams, targetValueMemory } from './target-value.ts'

/** What these methods let a user set, besides where they write and what old facts weigh. */
export type MassEditHparams = TargetValueHparams & StatisticsHparams & { readonly prefixes: number }

/** What the number of prefixes means; the rest says where it comes from. */
export const PREFIXES_HPARAM = {
  meaning: 'sampled prefixes of 10 tokens',
  unit: 'prefixes',
  range: [0, 1000],
  whole: true,
} as const

/** What a mass edit needs to know of a model before any fact. */
export interface MassEditPreparation {
  /** The layers that are changed, in order. */
  readonly layers: readonly LayerCovariance[]
  /** Text put before a prompt; the first is empty. */
  readonly prefixes: readonly string[]
}

/** Tokens of a sampled prefix (`get_context_templates` in memit_main.py and emmet_main.py). */
const PREFIX_TOKENS = 10
/** The edited model is asked by graphs of its own. */
const QUERY_SESSIONS = 2

/** What a mass edit into `layers`, in order, takes. */
export function massEditMemory(
  model: Footprint,
  { prefixes }: MassEditHparams,
  layers: { readonly count: number; readonly last: number },
): MethodMemory {
  // The bare prompt and "{subject} is a" besides.
  const rows = prefixes + 2
  // States are read of the model, and again as each layer is patched.
  const states = readStatesMemory(model) + sessionBytes(model, layers.count + 1)
  return {
    ...covarianceMemory(model, layers.count),
    editBytes: targetValueMemory(model, { layer: layers.last, rows }) + states,
    queryBytes: sessionBytes(model, QUERY_SESSIONS),
  }
}

/** Gathers the statistics of the layers and samples prefixes. */
export async function prepareMassEdit(
  { model, hparams, material }: PrepareJob<MassEditHparams>,
  layers: readonly number[],
  ctx: Context,
): Promise<MassEditPreparation> {
  const { tokensPerUnit, ridge, prefixes } = hparams
  return {
    prefixes: await samplePrefixes(model, [{ tokens: PREFIX_TOKENS, count: prefixes }], ctx),
    layers: await prepareCovariances({ model, layers, text: material.text, tokensPerUnit, ridge }, ctx),
  }
}

/** The work of {@link writeFacts}. */
export interface MassEdit {
  readonly model: LanguageModel
  readonly facts: readonly Fact[]
  readonly hparams: MassEditHparams
  readonly prepared: MassEditPreparation
  /** The last of the prepared layers, after which values are sought. */
  readonly lastLayer: number
  /** λ, as a multiple of the feed-forward width. */
  readonly lambda: number
}

/** Writes facts into the prepared layers. */
export async function writeFacts(job: MassEdit, ctx: Context): Promise<Patch> {
  const { model, facts, hparams, prepared, lastLayer, lambda } = job
  const { layers, prefixes } = prepared
  const prompted = await Promise.all(facts.map((fact) => promptFact(model, fact, prefixes)))
  const settings = { ...hparams, layer: lastLayer, site: 'block-output' } as const
  const { values, report } = await findTargetValues(model, prompted, settings, ctx)
  const written = await spreadOverLayers(
    { model, facts: prompted, layers, site: `block-output.${lastLayer}`, values, share: (left) => 1 / left },
    (covariance, work) => solveLeastSquares({ ...work, covariance, lambda: lambda * covariance.size }),
    ctx,
  )
  return {
    parts: written.changes.map(({ part }) => part),
    report: {
      ...report,
      ...written.report,
      ...(await describeChanges(model, written.changes)),
      ...describeCovariances(layers),
    },
  }
}
