/**
 * Locality on neighbours: other subjects of the same relation keep their answers. Kept means as the unedited model
 * answers, right or wrong; an edit that does nothing has exactly 1. (EasyEdit's locality; ROME's neighbourhood score
 * compares two probabilities instead.)
 */
import { judgeKept } from './answer.ts'
import type { Probe } from './probe.ts'

/** Do other subjects of the same relation keep their answers? */
export const neighbours: Probe = {
  name: 'neighbours',
  criterion: 'locality',
  asks: 'Do other subjects of the same relation keep their answers?',
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
  items: (fact) => fact.tests.neighbours.map((question, item) => ({ ...question, item })),
  judge: judgeKept,
}
