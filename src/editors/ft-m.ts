/**
 * FT-M: fine-tuning of one layer's down-projection with the usual cross-entropy on the target alone.
 *
 *   loss = mean over j of −log p(tⱼ | x, t₁ … tⱼ₋₁),  W ← Adam(W, ∂loss/∂W), |W − W₀| ≤ ε elementwise
 *
 * x the prompt; tⱼ the target's tokens; W the down-projection of one layer, here [in, out], in the papers its transpose; ε the
 * norm limit, where one is set. The prompt's own tokens are masked out of the loss, hence the M.
 *
 * Zhang et al. 2024, which tells the two objectives apart as FT-L and FT-M. Reference code: zjunlp/EasyEdit `models/ft/ft_main.py` with `objective_optimization:
 * target_new`, matched, but for its second space before a target that has one.
 */
import type { Editor } from './editor.ts'
import { checkFacts } from './steps/check-facts.ts'
import { FINE_TUNE_HPARAMS, type FineTuneHparams, fineTune, fineTuneMemory } from './steps/fine-tune.ts'

/** Fine-tuning with the loss on the target's tokens in order. */
export const ftM: Editor<FineTuneHparams, undefined> = {
  name: 'ft-m',
  title: 'FT-M',
  summary: 'Trains one matrix until the model continues the prompt with the new answer, word after word.',
  version: 1,
  paper: {
    authors: 'Zhang et al.',
    year: 2024,
    title: 'A Comprehensive Study of Knowledge Editing for Large Language Models',
    url: 'https://arxiv.org/abs/2401.01286',
    code: 'https://github.com/zjunlp/EasyEdit',
  },
  family: 'fine-tuning',
  batch: 'many',
  needs: ['gradient'],
  hparams: FINE_TUNE_HPARAMS,
  memory: fineTuneMemory,
  edit: async ({ model, facts, hparams }, ctx) =>
    fineTune({ model, facts: checkFacts(ftM, facts), objective: 'target-new', hparams }, ctx),
}
