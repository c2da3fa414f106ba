/**
 * PMET, Precise Model Editing in a Transformer: MEMIT's weights, for values sought where they are made. Attention and feed-forward
 * of the last layer get a change each, sought together; attention's is dropped, because what attention does is more general than a fact,
 * and the feed-forward's alone is written.
 *
 *   δᵃ, δᵐ = argmin of the loss in steps/target-value.ts with δᵃ added to attention's output and δᵐ to the feed-forward's, layer L;
 *            mᵢ = vᵢ + δᵐ,  vᵢ the feed-forward's output there
 *   for l from the first layer to the last, L, each on the model as changed so far:
 *     rᵢ  = (mᵢ − vᵢ) / √(L − l + 1),  vᵢ as it is now                                               (steps/spread.ts)
 *     W_l ← W_l + R Kᵀ (λC_l + K Kᵀ)⁻¹                                                       (steps/least-squares.ts)
 *
 * K and C_l as in MEMIT. Li et al. 2024, §4. Reference code xpq-tech/PMET
 * `edit/pmet/{pmet_main,compute_zs,compute_ks}.py`, matched: once every token of the new answer is the likeliest, the answer weighs a
 * tenth, and κ·KL ≤ 0.01 ends the descent. The square root takes more in early layers than MEMIT's even shares; what they write
 * changes vᵢ too, so that a later layer may find less missing than was left, or more. Not matched: λ is a multiple of the feed-forward
 * width, there a number for each model (steps/least-squares.ts says why). Papers write y = W k with W [D, F]; here W is [F, D].
 */
import type { Editor } from './editor.ts'
import { checkFacts } from './steps/check-facts.ts'
import { STATISTICS_HPARAMS } from './steps/covariance.ts'
import { LAYER_RANGE_HPARAMS, type LayerRangeHparams, listLayers } from './steps/layer-range.ts'
import {
  LAMBDA_HPARAM,
  type MassEditHparams,
  type MassEditPreparation,
  massEditMemory,
  PREFIXES_HPARAM,
  prepareMassEdit,
  writeFactsAgainstText,
} from './steps/mass-edit.ts'
import { TARGET_VALUE_HPARAMS } from './steps/target-value.ts'

/** Settings of PMET. */
export type PmetHparams = MassEditHparams &
  LayerRangeHparams & { readonly lambda: number; readonly saidWeight: number; readonly stopKl: number }

/** Precise model editing in a transformer. */
export const pmet: Editor<PmetHparams, MassEditPreparation> = {
  name: 'pmet',
  title: 'PMET',
  summary:
    'Seeks what attention and feed-forward should say of a fact together, and writes the part of the feed-forward.',
  version: 1,
  paper: {
    authors: 'Li et al.',
    year: 2024,
    title: 'PMET: Precise Model Editing in a Transformer',
    url: 'https://arxiv.org/abs/2308.08742',
    code: 'https://github.com/xpq-tech/PMET',
  },
  family: 'locate-then-edit',
  batch: 'many',
  needs: ['gradient', 'hidden', 'covariance'],
  hparams: {
    ...LAYER_RANGE_HPARAMS,
    ...TARGET_VALUE_HPARAMS,
    saidWeight: {
      meaning: 'weight of the new answer once the model says it',
      unit: '1',
      range: [1e-6, 1],
      reference: '0.1 in compute_zs.py, times nll_loss_factor',
    },
    stopKl: {
      meaning: 'weighted change of what the subject is that is small enough once the model says the new answer',
      unit: 'nats',
      range: [0, 100],
      reference: '0.01 in compute_zs.py',
    },
    prefixes: { ...PREFIXES_HPARAM, reference: '[(10, 5)] in pmet_main.py' },
    lambda: LAMBDA_HPARAM,
    ...STATISTICS_HPARAMS,
  },

  memory(model, hparams) {
    const { firstLayer, lastLayer } = hparams
    // Attention's change is met from the layer below on.
    return massEditMemory(model, hparams, { count: lastLayer - firstLayer + 1, last: Math.max(lastLayer - 1, 0) })
  },

  prepare: (job, ctx) => prepareMassEdit(job, listLayers(pmet, job.hparams), ctx),

  async edit({ model, facts, hparams, prepared }, ctx) {
    const { lastLayer, lambda, saidWeight, stopKl } = hparams
    const settings = {
      ...hparams,
      layer: lastLayer,
      site: 'mlp-output',
      beside: 'attention-output',
      onceSaid: { weight: saidWeight, stopKl },
    } as const
    const share = (left: number) => 1 / Math.sqrt(left)
    return writeFactsAgainstText({ model, facts: checkFacts(pmet, facts), prepared, settings, share, lambda }, ctx)
  },
}
