/**
 * How far an edited model is from what an edit should do, as hypernetworks are trained: another wording is to be answered with the
 * target, and a bystander as before.
 *
 *   L = c_e · mean over j of −log p′(tⱼ | x′, t₁ … tⱼ₋₁) + c_l · mean over tokens of KL(p ‖ p′)
 *
 * p the model as it is, p′ the edited one; the tokens are those of the bystander, of an encoder-decoder those of its answer.
 * Mitchell et al. 2022, equations 3–5; eric-mitchell/mend `losses.py` (`kl_loc_loss`), matched.
 */
import { WhicheditError } from '../../errors.ts'
import type { LanguageModel, RunRequest } from '../../models/model.ts'
import type { AskedRows, AskRows } from './captured-rows.ts'
import type { EditCheck } from './edit-examples.ts'
import { logSoftmaxRows } from './log-softmax.ts'
import { forceTarget } from './target-tokens.ts'

/** The work of {@link askEditLoss}. */
export interface EditLossJob {
  /** As it is. */
  readonly model: LanguageModel
  readonly check: EditCheck
  readonly ask: AskRows
  /** c_e and c_l */
  readonly editWeight: number
  readonly localityWeight: number
}

/** The question whose loss that is; a run of it takes what is changed besides. */
export async function askEditLoss(job: EditLossJob): Promise<AskedRows & Pick<RunRequest, 'loss'>> {
  const { model, ask, editWeight, localityWeight } = job
  const { follower, bystander } = job.check
  const asked = await ask([follower, bystander])
  const start = model.config.encoderLayers > 0 ? bystander.prompt.length - 1 : 0
  const at = Array.from({ length: bystander.row.length - start }, (_, i) => ({ row: 1, token: start + i }))
  const { reads } = await model.run({ ...asked, read: [{ site: 'logits', at }] })
  const [logits] = reads
  if (logits === undefined) throw new WhicheditError('E_INTERNAL', { what: 'the model gave no logits' })
  const weighted = at.map((place) => ({ ...place, weight: localityWeight / at.length }))
  return {
    ...asked,
    loss: [
      { kind: 'nll', at: forceTarget(follower, 0, editWeight) },
      { kind: 'kl', at: weighted, reference: logSoftmaxRows(logits), under: 'reference' },
    ],
  }
}
