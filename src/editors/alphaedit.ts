/**
 * AlphaEdit: MEMIT whose changes stay in the null space of what ordinary text asks of a layer, so that nothing has to be weighed
 * against it, and which leaves the facts of earlier edits alone as well.
 *
 *   zᵢ = hᵢ + argmin over δ of the loss in steps/target-value.ts, δ added to the residual stream after layer L
 *   for l from the first layer to the last, L, each on the model as changed so far:
 *     P   = the projection to the directions of which C_l, the mean of k kᵀ over ordinary text, has less than θ  (steps/null-space.ts)
 *     rᵢ  = (zᵢ − hᵢ) / (L − l + 1),  hᵢ the residual stream after layer L now                         (steps/spread.ts)
 *     W_l ← W_l + R Kᵀ P (K_p K_pᵀ P + K Kᵀ P + λI)⁻¹                                         (steps/least-squares.ts)
 *
 * K keys of the new facts [F, N], K_p those of earlier edits [F, M], carried by their patches. Fang et al. 2025, §3.
 * Reference code jianghoucheng/AlphaEdit `AlphaEdit/{AlphaEdit_main,compute_z,compute_ks}.py`, matched: keys,
 * values and their spread are MEMIT's. As P² = P, the change is that of keys P k against the plain metric: in this form it
 * takes a system of N + M unknowns, not F. Not matched: θ and λ, there numbers, are multiples of what text has on
 * average, where no paper chose them for the model (`relative`); λ's role there for eigenvalues near θ is ours too, but sums are
 * float64. zjunlp/EasyEdit keeps K_p for the process, so that single edits inherit earlier ones; here only a stream's do. Papers
 * write y = W k with W [D, F]; here W is [F, D].
 */
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { EditJob, Editor } from './editor.ts'
import { checkFacts } from './steps/check-facts.ts'
import { STATISTICS_HPARAMS, type StatisticsHparams } from './steps/covariance.ts'
import { LAYER_RANGE_HPARAMS, type LayerRangeHparams, listLayers } from './steps/layer-range.ts'
import { plainMetric, solveLeastSquares } from './steps/least-squares.ts'
import {
  type MassEditPreparation,
  massEditMemory,
  PREFIXES_HPARAM,
  sampleEditPrefixes,
  writeFacts,
} from './steps/mass-edit.ts'
import {
  describeNullSpaces,
  type NullSpace,
  nullSpaceMemory,
  prepareNullSpaces,
  projectToNullSpace,
} from './steps/null-space.ts'
import { TARGET_VALUE_HPARAMS, type TargetValueHparams } from './steps/target-value.ts'

/** Settings of AlphaEdit. */
export type AlphaEditHparams = LayerRangeHparams &
  TargetValueHparams &
  Pick<StatisticsHparams, 'tokensPerUnit'> & {
    readonly prefixes: number
    readonly relative: boolean
    readonly threshold: number
    readonly lambda: number
  }

/** Null-space constrained editing. */
export const alphaedit: Editor<AlphaEditHparams, MassEditPreparation<NullSpace>> = {
  name: 'alphaedit',
  title: 'AlphaEdit',
  summary: 'Writes many facts at once, only along directions that ordinary text and earlier edits do not use.',
  version: 1,
  paper: {
    authors: 'Fang et al.',
    year: 2025,
    title: 'AlphaEdit: Null-Space Constrained Knowledge Editing for Language Models',
    url: 'https://arxiv.org/abs/2410.02355',
    code: 'https://github.com/jianghoucheng/AlphaEdit',
  },
  family: 'locate-then-edit',
  batch: 'many',
  needs: ['gradient', 'hidden', 'covariance'],
  hparams: {
    ...LAYER_RANGE_HPARAMS,
    ...TARGET_VALUE_HPARAMS,
    prefixes: { ...PREFIXES_HPARAM, reference: '[(10, 5)] in AlphaEdit_main.py' },
    relative: {
      meaning: "whether threshold and λ are multiples of what this model's ordinary text has, or numbers for one model",
      unit: '1',
      reference: 'none',
    },
    threshold: {
      meaning: 'eigenvalue of the covariance below which a direction counts as unused; relative: of their mean',
      unit: '1',
      range: [1e-12, 1e6],
      reference: 'nullspace_threshold',
    },
    lambda: {
      meaning: 'weight of keeping the change small; relative: of the mean square of an ordinary key',
      unit: '1',
      range: [1e-9, 1e6],
      reference: 'L2',
    },
    tokensPerUnit: STATISTICS_HPARAMS.tokensPerUnit,
  },

  memory(model, hparams) {
    const { firstLayer, lastLayer } = hparams
    const count = lastLayer - firstLayer + 1
    return { ...massEditMemory(model, hparams, { count, last: lastLayer }), ...nullSpaceMemory(model, count) }
  },

  async prepare({ model, hparams, material }, ctx) {
    const layers = listLayers(alphaedit, hparams)
    return {
      prefixes: await sampleEditPrefixes(model, hparams.prefixes, ctx),
      layers: await prepareNullSpaces({ ...hparams, model, layers, text: material.text }, ctx),
    }
  },

  async edit({ model, facts, hparams, prepared, history }, ctx) {
    const { lastLayer, lambda, relative } = hparams
    const state: Record<string, Tensor> = {}
    const settings = { ...hparams, layer: lastLayer, site: 'block-output' } as const
    const { parts, report } = await writeFacts<NullSpace>(
      {
        model,
        facts: checkFacts(alphaedit, facts),
        prepared,
        settings,
        solve: (space, { weight, keys, residuals }) => {
          state[stateOf(weight)] = tensor(new Float32Array(keys), [keys.length / space.size, space.size])
          return solveLeastSquares({
            weight,
            residuals,
            metric: plainMetric(space.size),
            keys: projectToNullSpace(space, keys),
            kept: projectToNullSpace(space, readKeys(history, weight)),
            lambda: relative ? lambda * space.meanSquare : lambda,
          })
        },
      },
      ctx,
    )
    return { parts, report: { ...report, ...describeNullSpaces(prepared.layers) }, state }
  },
}

/** What a patch calls the keys [N, F] of its facts at a weight. */
function stateOf(weight: string): string {
  return `keys ${weight}`
}

/** The keys of all earlier facts at a weight, a row each. */
function readKeys(history: EditJob<AlphaEditHparams, unknown>['history'], weight: string): Float64Array {
  return Float64Array.from(history.flatMap(({ state }) => Array.from(state?.[stateOf(weight)]?.data ?? [])))
}
