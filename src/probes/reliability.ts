/**
 * Reliability: the edit's own prompt. Free reading: the first sentence says the new target. Teacher-forced: token
 * accuracy along the new target (`rewrite_acc` of EasyEdit; ROME's efficacy compares two probabilities instead).
 */
import { judgeGain } from './answer.ts'
import type { Probe } from './probe.ts'

/** Does the edited model give the new answer to the edit's own prompt? */
export const reliability: Probe = {
  name: 'reliability',
  criterion: 'reliability',
  asks: 'Does the edited model give the new answer to the prompt of the edit?',
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
  items: (fact) => [{ item: 0, prompt: fact.prompt, targets: [fact.targetNew] }],
  judge: judgeGain,
}
