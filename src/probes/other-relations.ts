/**
 * Locality on the edited subject: what else is known of it stays as the unedited model answers (KnowEdit's
 * `Relation_Specificity`). Methods that recognise the subject fail here while neighbours stay untouched.
 */
import { judgeKept } from './answer.ts'
import type { Probe } from './probe.ts'

/** Do other facts about the same subject keep their answers? */
export const otherRelations: Probe = {
  name: 'other-relations',
  criterion: 'locality',
  asks: 'Do other facts about the same subject keep their answers?',
  version: 1,
  direction: 'higher',
  unit: 'rate',
  range: [0, 1],
  paper: {
    authors: 'Zhang et al.',
    year: 2024,
    title: 'A Comprehensive Study of Knowledge Editing for Large Language Models',
    url: 'https://arxiv.org/abs/2401.01286',
    code: 'https://github.com/zjunlp/EasyEdit',
  },
  items: (fact) => fact.tests.otherRelations.map((question, item) => ({ ...question, item })),
  judge: judgeKept,
}
