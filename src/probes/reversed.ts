/**
 * Portability to direct consequences: the fact asked from its object's side (reversed relation in Yao et al., logical
 * generalization in RippleEdits and KnowEdit). Judged as reliability is.
 */
import { judgeGain } from './answer.ts'
import type { Probe } from './probe.ts'

/** Is the new fact also known from its object's side? */
export const reversed: Probe = {
  name: 'reversed',
  criterion: 'portability',
  asks: "Is the new fact also known from its object's side?",
  version: 1,
  direction: 'higher',
  unit: 'rate',
  range: [0, 1],
  paper: {
    authors: 'Yao et al.',
    year: 2023,
    title: 'Editing Large Language Models: Problems, Methods, and Opportunities',
    url: 'https://arxiv.org/abs/2305.13172',
    code: 'https://github.com/zjunlp/EasyEdit',
  },
  items: (fact) => fact.tests.reversed.map((question, item) => ({ ...question, item })),
  judge: judgeGain,
}
