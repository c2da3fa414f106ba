/**
 * Portability over one hop: a question that combines the new fact with a second one. It says something about the edit
 * only where the second fact is there to be combined: unless the unedited model answers it in the free reading, the item
 * cannot be judged and is null with the reason, never 0. Judged as reliability is otherwise.
 */
import { WhicheditError } from '../errors.ts'
import { judgeGain, saysTarget } from './answer.ts'
import type { Judgement, Probe, ProbeAnswers } from './probe.ts'

/** Does a question that needs the new fact and a second one give the new answer? */
export const oneHop: Probe = {
  name: 'one-hop',
  criterion: 'portability',
  asks: 'Does a question that needs the new fact and a second one give the new answer?',
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
  items: (fact) =>
    fact.tests.oneHop.map(({ prompt, targets, secondFact }, item) => ({
      item,
      prompt,
      targets,
      ...(secondFact === undefined ? {} : { requires: secondFact }),
    })),
  judge,
}

function judge(answers: ProbeAnswers): Judgement {
  const { requires } = answers.item
  if (requires === undefined) return unjudged('the data does not say which second fact it needs')
  if (answers.required === undefined) {
    throw new WhicheditError('E_INTERNAL', { what: `no reading of the second fact "${requires.prompt}"` })
  }
  if (!saysTarget(answers.required.text, requires.prompt, requires.targets)) {
    return unjudged('the unedited model does not know the second fact')
  }
  return judgeGain(answers)
}

function unjudged(reason: string): Judgement {
  return { value: null, teacherForced: null, reason }
}
