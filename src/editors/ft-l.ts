/**
 * FT-L: fine-tuning of one layer's down-projection, all target tokens predicted from the prompt's last token.
 *
 *   loss = mean over j of −log p(tⱼ | x),  W ← Adam(W, ∂loss/∂W), |W − W₀| ≤ ε elementwise
 *
 * x the prompt; tⱼ the target's tokens; W the down-projection of one layer, here [in, out], in the papers its transpose; ε the
 * norm limit, where one is set. The order of a target's tokens cannot be learned this way: on targets of several tokens a
 * low success is the method's own, not a defect.
 *
 * Meng et al. 2022 (the ROME paper), appendix E.1, "FT" and "FT+L"; the name FT-L and the choice of no norm limit for
 * Llama models: Zhang et al. 2024. Reference code: zjunlp/EasyEdit `models/ft/ft_main.py` with `objective_optimization:
 * prompt_last`, matched, but for its begin-of-text token inside the target and its second space before one.
 */
import type { Editor } from './editor.ts'
import { checkFacts } from './steps/check-facts.ts'
import { FINE_TUNE_HPARAMS, type FineTuneHparams, fineTune, fineTuneMemory } from './steps/fine-tune.ts'

/** Fine-tuning with the loss at the prompt's last token. */
export const ftL: Editor<FineTuneHparams, undefined> = {
  name: 'ft-l',
  title: 'FT-L',
  summary: 'Trains one matrix so that the end of the prompt makes the words of the new answer likely, in any order.',
  version: 1,
  paper: {
    authors: 'Meng et al.',
    year: 2022,
    title: 'Locating and Editing Factual Associations in GPT',
    url: 'https://arxiv.org/abs/2202.05262',
    code: 'https://github.com/zjunlp/EasyEdit',
  },
  family: 'fine-tuning',
  batch: 'many',
  needs: ['gradient'],
  hparams: FINE_TUNE_HPARAMS,
  memory: fineTuneMemory,
  edit: async ({ model, facts, hparams }, ctx) =>
    fineTune({ model, facts: checkFacts(ftL, facts), objective: 'prompt-last', hparams }, ctx),
}
