/**
 * EMMET, Equality-constrained Mass Model Editing in a Transformer: ROME for many facts at once. Where MEMIT weighs new facts
 * against old ones, here every key gets its value, and of all changes that give it that, the one that does the least to
 * ordinary text.
 *
 *   zᵢ = hᵢ + argmin over δ of the loss in steps/target-value.ts, δ added to the residual stream after the layer
 *   W ← W + R (Kᵀ C⁻¹ K + εI)⁻¹ Kᵀ C⁻¹,   R = Z − H                                          (steps/least-squares.ts)
 *
 * K keys at the subject's last token, averaged over prefixes [F, N]; H, Z the residual stream after the layer as it is and as
 * sought [D, N]; C the mean of k kᵀ over ordinary text; ε hardly more than 0, so that facts about one key have a solution.
 * Gupta et al. 2024. Reference code scalable-model-editing/unified-model-editing `emmet/emmet_main.py`: values and keys as
 * in MEMIT, matched. The solution is MEMIT's (equation 14) with a small λ: with the code's weight w of C and its ε,
 * λ = w ε. Matched for the settings of the paper's code, w = 1; zjunlp/EasyEdit ships w = 10⁵, with which half of a value is
 * written, and which is MEMIT. Not matched: ε goes for a single fact too (there it leaves a share of 10⁻⁵ unwritten). Papers write
 * y = W k with W [D, F]; here W is [F, D].
 */
import type { Editor } from './editor.ts'
import { checkFacts } from './steps/check-facts.ts'
import { STATISTICS_HPARAMS } from './steps/covariance.ts'
import {
  type MassEditHparams,
  type MassEditPreparation,
  massEditMemory,
  PREFIXES_HPARAM,
  prepareMassEdit,
  writeFactsAgainstText,
} from './steps/mass-edit.ts'
import { TARGET_VALUE_HPARAMS } from './steps/target-value.ts'

/** Settings of EMMET. */
export type EmmetHparams = MassEditHparams & { readonly layer: number; readonly slack: number }

/** Equality-constrained mass model editing in a transformer. */
export const emmet: Editor<EmmetHparams, MassEditPreparation> = {
  name: 'emmet',
  title: 'EMMET',
  summary: 'Writes many facts at once into one feed-forward layer, each in full, by the smallest change that does so.',
  version: 1,
  paper: {
    authors: 'Gupta et al.',
    year: 2024,
    title: 'A Unified Framework for Model Editing',
    url: 'https://arxiv.org/abs/2403.14236',
    code: 'https://github.com/scalable-model-editing/unified-model-editing',
  },
  family: 'locate-then-edit',
  batch: 'many',
  needs: ['gradient', 'hidden', 'covariance'],
  hparams: {
    layer: { meaning: 'layer whose down-projection is changed', unit: 'layer', reference: 'layers' },
    ...TARGET_VALUE_HPARAMS,
    prefixes: { ...PREFIXES_HPARAM, reference: '[(10, 5)] in emmet_main.py' },
    slack: {
      meaning: 'how far values may be missed for the sake of ordinary text, as a multiple of the feed-forward width',
      unit: '1',
      range: [0, 1e6],
      reference: 'emmet_lambda, times mom2_update_weight',
    },
    ...STATISTICS_HPARAMS,
  },

  memory: (model, hparams) => massEditMemory(model, hparams, { count: 1, last: hparams.layer }),
  prepare: (job, ctx) => prepareMassEdit(job, [job.hparams.layer], ctx),

  async edit({ model, facts, hparams, prepared }, ctx) {
    const settings = { ...hparams, site: 'block-output' } as const
    const job = { model, facts: checkFacts(emmet, facts), prepared, settings, lambda: hparams.slack }
    return writeFactsAgainstText(job, ctx)
  },
}
