/**
 * ROME, Rank-One Model Editing: a fact as a key and a value in one feed-forward layer, changed by the smallest update of
 * its down-projection.
 *
 *   k* = mean over prefixes of the down-projection's input at the subject's last token
 *   u  = C⁻¹ k*                                       C = mean of k kᵀ over ordinary text
 *   v* = v₀ + argmin over δ of the loss in steps/target-value.ts
 *   Ŵ  = W + Λ uᵀ,  Λ = (v* − W k) / (uᵀ k)            k the same input for the bare prompt
 *
 * Meng et al. 2022, equations 2–4. Reference code kmeng01/rome `rome/rome_main.py`, matched: the direction comes from the
 * averaged key, the constraint holds for the bare prompt's key. Not matched: where a model without a begin-of-text token
 * meets the subject as a text's first token, prefixed prompts alone count (`prefixesOffStart` says why). Papers write
 * y = W k with W [D, F]; here W is [F, D], and the patch's left factor is u [F, 1], its right one Λ [1, D]. zjunlp/EasyEdit
 * ships ROME with C left out; here it is in.
 */
import type { Editor } from './editor.ts'
import { checkFacts } from './steps/check-facts.ts'
import { firstRow } from './steps/keys.ts'
import {
  prepareRankOne,
  RANK_ONE_HPARAMS,
  type RankOneHparams,
  type RankOnePreparation,
  rankOneMemory,
  writeRankOne,
} from './steps/rank-one-edit.ts'

/** Rank-one model editing. */
export const rome: Editor<RankOneHparams, RankOnePreparation> = {
  name: 'rome',
  title: 'ROME',
  summary:
    'Writes the fact into one feed-forward layer by the smallest change that makes the subject recall the new answer.',
  version: 2,
  paper: {
    authors: 'Meng et al.',
    year: 2022,
    title: 'Locating and Editing Factual Associations in GPT',
    url: 'https://arxiv.org/abs/2202.05262',
    code: 'https://github.com/kmeng01/rome',
  },
  family: 'locate-then-edit',
  batch: 'one',
  needs: ['gradient', 'hidden', 'covariance'],
  hparams: RANK_ONE_HPARAMS,
  memory: rankOneMemory,
  prepare: prepareRankOne,

  async edit({ model, facts, hparams, prepared }, ctx) {
    const [fact] = checkFacts(rome, facts)
    // The bare prompt's key, unless its subject opens it: the first prefix that counts.
    return writeRankOne({ model, fact, hparams, prepared, constrain: firstRow }, ctx)
  },
}
