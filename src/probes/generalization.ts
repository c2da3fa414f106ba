/**
 * Generalization: the fact in other words. Judged as reliability is (`rephrase_acc` of EasyEdit; ROME's paraphrase score
 * compares two probabilities instead).
 */
import { judgeGain } from './answer.ts'
import type { Probe } from './probe.ts'

/** Does a paraphrase also give the new answer? */
export const generalization: Probe = {
  name: 'generalization',
  criterion: 'generalization',
  asks: 'Does a paraphrase also give the new answer?',
  version: 1,
  direction: 'higher',
  unit: 'rate',
  range: [0, 1],
  paper: {
    authors: 'Meng et al.',
    year: 2022,
    title: 'Locating and Editing Factual Associations in GPT',
    url: 'https://arxiv.org/abs/2202.05262',
    code: 'https://github.com/kmeng01/rome',
  },
  items: (fact) => fact.tests.paraphrases.map((prompt, item) => ({ item, prompt, targets: [fact.targetNew] })),
  judge: judgeGain,
}
