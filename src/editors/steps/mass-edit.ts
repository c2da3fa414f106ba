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
import { describeChanges, type LeastSquaresChange, solveLeastSquares, textMetric } from './least-squares.ts'
import { type LayerWork, spreadOverLayers } from './spread.ts'
import {
  findTargetValues,
  type TargetValueHparams,
  type TargetValueSettings,
  targetValueMemory,
} from './target-value.ts'

/** What these methods let a user set, besides where they write and what old facts weigh. */
export type MassEditHparams = TargetValueHparams & StatisticsHparams & { readonly prefixes: number }

/** What the number of prefixes means; the rest says where it comes from. */
export const PREFIXES_HPARAM = {
  meaning: 'sampled prefixes of 10 tokens',
  unit: 'prefixes',
  range: [0, 1000],
  whole: true,
} as const

/** What λ means, where it is a setting by that name. */
export const LAMBDA_HPARAM = {
  meaning:
    'weight of what the layer does to ordinary text against one new fact, as a multiple of the feed-forward width',
  unit: '1',
  range: [1e-6, 1e6],
  reference: 'mom2_update_weight',
} as const

/** What a mass edit needs to know of a model before any fact; L says of a layer what a method knows of it. */
export interface MassEditPreparation<L extends { readonly layer: number } = LayerCovariance> {
  /** The layers that are changed, in order. */
  readonly layers: readonly L[]
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
  { prefixes }: Pick<MassEditHparams, 'prefixes'>,
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
    prefixes: await sampleEditPrefixes(model, prefixes, ctx),
    layers: await prepareCovariances({ model, layers, text: material.text, tokensPerUnit, ridge }, ctx),
  }
}

/** Samples so many prefixes of the length that these methods use; an empty one comes first. */
export function sampleEditPrefixes(model: LanguageModel, count: number, ctx: Context): Promise<string[]> {
  return samplePrefixes(model, [{ tokens: PREFIX_TOKENS, count }], ctx)
}

/** The work of {@link writeFacts}. */
export interface MassEdit<L extends { readonly layer: number }> {
  readonly model: LanguageModel
  readonly facts: readonly Fact[]
  readonly prepared: MassEditPreparation<L>
  /** How values are sought, after which of the prepared layers: the last. */
  readonly settings: TargetValueSettings
  /** The share of what is missing that the next layer takes, of so many that are left. Default: {@link shareEvenly}. */
  readonly share?: (left: number) => number
  /** Makes a layer's change. */
  readonly solve: (at: L, work: LayerWork) => Promise<LeastSquaresChange>
}

/** Every layer takes as much as those after it: Meng et al. 2023, algorithm 1. */
export function shareEvenly(left: number): number {
  return 1 / left
}

/** Writes facts into the prepared layers. */
export async function writeFacts<L extends { readonly layer: number }>(job: MassEdit<L>, ctx: Context): Promise<Patch> {
  const { model, facts, prepared, settings, share = shareEvenly, solve } = job
  const { layers, prefixes } = prepared
  const { site, layer } = settings
  const prompted = await Promise.all(facts.map((fact) => promptFact(model, fact, prefixes)))
  const { values, report } = await findTargetValues(model, prompted, settings, ctx)
  const written = await spreadOverLayers(
    { model, facts: prompted, layers, site: `${site}.${layer}`, values, share },
    solve,
    ctx,
  )
  return {
    parts: written.changes.map(({ part }) => part),
    report: { ...report, ...written.report, ...(await describeChanges(model, written.changes)) },
  }
}

/** The work of {@link writeFactsAgainstText}. */
export interface TextMassEdit extends Omit<MassEdit<LayerCovariance>, 'solve'> {
  /** λ, as a multiple of the feed-forward width. */
  readonly lambda: number
}

/** The same, weighed against what ordinary text asks of a layer; the report says how much text. */
export async function writeFactsAgainstText({ lambda, ...job }: TextMassEdit, ctx: Context): Promise<Patch> {
  const solve: MassEdit<LayerCovariance>['solve'] = (covariance, work) =>
    solveLeastSquares({ ...work, metric: textMetric(covariance), lambda: lambda * covariance.size })
  const { parts, report } = await writeFacts({ ...job, solve }, ctx)
  return { parts, report: { ...report, ...describeCovariances(job.prepared.layers) } }
}
