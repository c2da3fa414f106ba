/**
 * R-ROME: ROME with one key on both sides. ROME takes the direction of its change from the key averaged over prefixes and its
 * length from the bare prompt's key; where the two have little in common, what it divides by is near zero and a single edit
 * wrecks the model ("disabling edits"). Here the averaged key is used throughout.
 *
 *   k* = mean over prefixes of the down-projection's input at the subject's last token
 *   u  = C⁻¹ k*                                       C = mean of k kᵀ over ordinary text
 *   v* = v₀ + argmin over δ of the loss in steps/target-value.ts
 *   Ŵ  = W + Λ uᵀ,  Λ = (v* − W k*) / (uᵀ k*)
 *
 * Gupta et al. 2024. Reference code scalable-model-editing/rebuilding-rome `rome/compute_v.py` with
 * `enable_random_prefix_keys`, matched: v₀ is the bare prompt's value, W k* the mean of the values. Everything else is
 * ROME's, with its settings, and with the difference that rome.ts names.
 */
import type { Editor } from './editor.ts'
import { checkFacts } from './steps/check-facts.ts'
import { averageRows } from './steps/keys.ts'
import {
  prepareRankOne,
  RANK_ONE_HPARAMS,
  type RankOneHparams,
  type RankOnePreparation,
  rankOneMemory,
  writeRankOne,
} from './steps/rank-one-edit.ts'

/** Rank-one model editing with one key. */
export const rRome: Editor<RankOneHparams, RankOnePreparation> = {
  name: 'r-rome',
  title: 'R-ROME',
  summary:
    'Writes the fact as ROME does, but for the average of many prompts alone, so that no edit can grow out of bounds.',
  version: 1,
  paper: {
    authors: 'Gupta et al.',
    year: 2024,
    title: 'Rebuilding ROME: Resolving Model Collapse during Sequential Model Editing',
    url: 'https://arxiv.org/abs/2403.07175',
    code: 'https://github.com/scalable-model-editing/rebuilding-rome',
  },
  family: 'locate-then-edit',
  batch: 'one',
  needs: ['gradient', 'hidden', 'covariance'],
  hparams: RANK_ONE_HPARAMS,
  memory: rankOneMemory,
  prepare: prepareRankOne,

  async edit({ model, facts, hparams, prepared }, ctx) {
    const [fact] = checkFacts(rRome, facts)
    return writeRankOne({ model, fact, hparams, prepared, constrain: averageRows }, ctx)
  },
}
