/** Portability to the subject's other names (subject aliasing in RippleEdits and KnowEdit). Judged as reliability is. */
import { judgeGain } from './answer.ts'
import type { Probe } from './probe.ts'

/** Does the new answer also come when the subject goes by another name? */
export const alias: Probe = {
  name: 'alias',
  criterion: 'portability',
  asks: 'Does the new answer also come when the subject goes by another name?',
  version: 1,
  direction: 'higher',
  unit: 'rate',
  range: [0, 1],
  paper: {
    authors: 'Cohen et al.',
    year: 2023,
    title: 'Evaluating the Ripple Effects of Knowledge Editing in Language Models',
    url: 'https://arxiv.org/abs/2307.12976',
    code: 'https://github.com/edenbiran/RippleEdits',
  },
  items: (fact) => fact.tests.aliases.map((question, item) => ({ ...question, item })),
  judge: judgeGain,
}
