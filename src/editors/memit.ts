/**
 * MEMIT, Mass-Editing Memory in a Transformer: many facts in one call, each as a value sought at the last of several layers and
 * written into the down-projections of all of them.
 *
 *   zᵢ = hᵢ + argmin over δ of the loss in steps/target-value.ts, δ added to the residual stream after layer L
 *   for l from the first layer to the last, L, each on the model as changed so far:
 *     kᵢ  = the down-projection's input at the subject's last token, averaged over prefixes       (steps/fact-states.ts)
 *     rᵢ  = (zᵢ − hᵢ) / (L − l + 1),  hᵢ the residual stream after layer L now                          (steps/spread.ts)
 *     W_l ← W_l + R Kᵀ (λC_l + K Kᵀ)⁻¹                                                       (steps/least-squares.ts)
 *
 * C_l the mean of k kᵀ over ordinary text, λ what it weighs against a new fact. Meng et al. 2023, equation 14, §4.3 and
 * algorithm 1. Reference code kmeng01/memit `memit/{memit_main,compute_z,compute_ks}.py`, matched: bare and prefixed
 * prompts as two kinds, zᵢ and hᵢ of the bare prompt, float64 in the solve. Not matched: λ is a multiple of the feed-forward
 * width, there a number for each model (steps/least-squares.ts says why); the loss is always that of the model's own
 * output; and where a model without a begin-of-text token meets the subject as a text's first token, prefixed prompts alone
 * count (`prefixesOffStart` says why). Papers write y = W k with W [D, F]; here W is [F, D]. As there, r is taken for what the
 * down-projection itself lacks: where a norm stands behind it (Gemma 2 and 3), less is written; the report's `missingLast`
 * says how much is not.
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

/** Settings of MEMIT. */
export type MemitHparams = MassEditHparams & LayerRangeHparams & { readonly lambda: number }

/** Mass-editing memory in a transformer. */
export const memit: Editor<MemitHparams, MassEditPreparation> = {
  name: 'memit',
  title: 'MEMIT',
  summary: 'Writes many facts at once, spread over the feed-forward layers in which subjects are recalled.',
  version: 1,
  paper: {
    authors: 'Meng et al.',
    year: 2023,
    title: 'Mass-Editing Memory in a Transformer',
    url: 'https://arxiv.org/abs/2210.07229',
    code: 'https://github.com/kmeng01/memit',
  },
  family: 'locate-then-edit',
  batch: 'many',
  needs: ['gradient', 'hidden', 'covariance'],
  hparams: {
    ...LAYER_RANGE_HPARAMS,
    ...TARGET_VALUE_HPARAMS,
    prefixes: { ...PREFIXES_HPARAM, reference: '[(10, 5)] in memit_main.py' },
    lambda: LAMBDA_HPARAM,
    ...STATISTICS_HPARAMS,
  },

  memory(model, hparams) {
    const { firstLayer, lastLayer } = hparams
    return massEditMemory(model, hparams, { count: lastLayer - firstLayer + 1, last: lastLayer })
  },

  prepare: (job, ctx) => prepareMassEdit(job, listLayers(memit, job.hparams), ctx),

  async edit({ model, facts, hparams, prepared }, ctx) {
    const { lastLayer, lambda } = hparams
    const settings = { ...hparams, layer: lastLayer, site: 'block-output' } as const
    return writeFactsAgainstText({ model, facts: checkFacts(memit, facts), prepared, settings, lambda }, ctx)
  },
}
