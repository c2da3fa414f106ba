/**
 * One fact written as one key and one value into one feed-forward layer: ROME, and the methods that differ from it in the key at
 * which the value is to come out.
 *
 *   u = C⁻¹ k*,  v* = v₀ + δ (steps/target-value.ts),  Ŵ = W + Λ uᵀ,  Λ = (v* − W k) / (uᵀ k)       (steps/rank-one.ts)
 *
 * k* the down-projection's input at the subject's last token, averaged over prefixes; k the key that is constrained. Meng et
 * al. 2022, equations 2–4; Gupta et al. 2024, arXiv 2403.07175, on what k may be.
 */
import type { Context } from '../../context.ts'
import { WhicheditError } from '../../errors.ts'
import type { Fact } from '../../facts/fact.ts'
import { type Footprint, sessionBytes } from '../../models/footprint.ts'
import type { LanguageModel } from '../../models/model.ts'
import type { Patch } from '../../models/patch.ts'
import { norm, normOfProduct, subtract } from '../../tensor/linalg.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { HparamSpec, MethodMemory, PrepareJob } from '../editor.ts'
import { samplePrefixes } from './context-templates.ts'
import {
  type Covariance,
  covarianceMemory,
  describeCovariances,
  prepareCovariance,
  STATISTICS_HPARAMS,
  type StatisticsHparams,
  solveCovariance,
} from './covariance.ts'
import { averageRows, readKeys } from './keys.ts'
import { solveRankOne } from './rank-one.ts'
import { prefixesOffStart, promptAfter, tokenizeSubject } from './subject.ts'
import { findTargetValue, TARGET_VALUE_HPARAMS, type TargetValueHparams, targetValueMemory } from './target-value.ts'

/** Settings of a rank-one edit. */
export type RankOneHparams = TargetValueHparams &
  StatisticsHparams & {
    readonly layer: number
    readonly shortPrefixes: number
    readonly longPrefixes: number
  }

/** What those settings mean. */
export const RANK_ONE_HPARAMS: HparamSpec<RankOneHparams> = {
  layer: { meaning: 'layer whose down-projection is changed', unit: 'layer', reference: 'layers' },
  ...TARGET_VALUE_HPARAMS,
  shortPrefixes: {
    meaning: 'sampled prefixes of 5 tokens',
    unit: 'prefixes',
    range: [0, 1000],
    whole: true,
    reference: 'context_template_length_params',
  },
  longPrefixes: {
    meaning: 'sampled prefixes of 10 tokens',
    unit: 'prefixes',
    range: [0, 1000],
    whole: true,
    reference: 'context_template_length_params',
  },
  ...STATISTICS_HPARAMS,
}

/** What a rank-one edit needs to know of a model before any fact. */
export interface RankOnePreparation {
  readonly covariance: Covariance
  /** Text put before a prompt; the first is empty. */
  readonly prefixes: readonly string[]
}

/** ‖Ŵk − v*‖ ≤ this · ‖v*‖: float32 leaves some 1e-6; anything larger is a wrong weight, orientation or token. */
const MOST_KEY_RESIDUAL = 1e-3
/** Keys are read of the model and of the patched one, which is then asked by graphs of its own. */
const KEY_SESSIONS = 2
const QUERY_SESSIONS = 2

/** What a rank-one edit takes. */
export function rankOneMemory(model: Footprint, hparams: RankOneHparams): MethodMemory {
  const { layer, shortPrefixes, longPrefixes } = hparams
  // The bare prompt and "{subject} is a" besides.
  const rows = shortPrefixes + longPrefixes + 2
  const keys = sessionBytes(model, KEY_SESSIONS)
  return {
    ...covarianceMemory(model),
    editBytes: targetValueMemory(model, { layer, rows }) + keys,
    queryBytes: sessionBytes(model, QUERY_SESSIONS),
  }
}

/** Gathers the layer's statistics and samples prefixes. */
export async function prepareRankOne(
  { model, hparams, material }: PrepareJob<RankOneHparams>,
  ctx: Context,
): Promise<RankOnePreparation> {
  const { layer, tokensPerUnit, ridge, shortPrefixes, longPrefixes } = hparams
  const lengths = [
    { tokens: 5, count: shortPrefixes },
    { tokens: 10, count: longPrefixes },
  ]
  return {
    prefixes: await samplePrefixes(model, lengths, ctx),
    covariance: await prepareCovariance({ model, layer, text: material.text, tokensPerUnit, ridge }, ctx),
  }
}

/** The work of {@link writeRankOne}. */
export interface RankOneEdit {
  readonly model: LanguageModel
  readonly fact: Fact
  readonly hparams: RankOneHparams
  readonly prepared: RankOnePreparation
  /** Makes the key that is constrained of the keys of all texts [R, F], the bare prompt's first, and its value of their values. */
  readonly constrain: (rows: Tensor) => ArrayLike<number>
}

/**
 * Writes one fact.
 * @throws E_KEY_RESIDUAL where the changed layer does not give the new value for the constrained key.
 */
export async function writeRankOne(job: RankOneEdit, ctx: Context): Promise<Patch> {
  const { model, fact, hparams, prepared, constrain } = job
  const { layer } = hparams
  const { covariance } = prepared
  const textAfter = (prefix: string) => promptAfter(prefix, fact)
  const prefixes = await prefixesOffStart(model.tokenizer, prepared.prefixes, textAfter)
  const texts = await Promise.all(prefixes.map((prefix) => tokenizeSubject(model.tokenizer, textAfter(prefix))))
  const { keys, values } = await readKeys(model, layer, texts)
  const kStar = averageRows(keys) // [F]
  const u = solveCovariance(covariance, kStar)
  const sought = await findTargetValue({ model, fact, prefixes, settings: { ...hparams, site: 'mlp-output' } }, ctx)
  const vStar = Float64Array.from(sought.initial, (value, i) => value + (sought.delta[i] ?? 0)) // [D]

  const weight = model.weightName('mlp-down', layer)
  const constraint = { key: constrain(keys), value: constrain(values), target: vStar }
  const { part, divisor } = solveRankOne({ weight, direction: u.x, ...constraint })

  const patched = model.withPatch({ parts: [part], report: {} })
  const { values: recalled } = await readKeys(patched, layer, texts)
  const keyResidual = norm(subtract(vStar, constrain(recalled))) / norm(vStar)
  if (!(keyResidual < MOST_KEY_RESIDUAL)) {
    throw new WhicheditError('E_KEY_RESIDUAL', { subject: fact.subject, found: keyResidual, most: MOST_KEY_RESIDUAL })
  }
  return {
    parts: [part],
    report: {
      keyResidual,
      divisor,
      relativeChange: normOfProduct(part.left, part.right) / norm((await model.weight(weight)).data),
      targetProbability: sought.targetProbability,
      steps: sought.losses.length,
      lossFirst: sought.losses[0]?.total ?? 0,
      lossLast: sought.losses.at(-1)?.total ?? 0,
      ...describeCovariances([covariance]),
      solveResidual: u.residual,
      ridgeShare: u.ridgeShare,
    },
  }
}
