/**
 * MQuAKE: chains of edits with multi-hop questions that need all edits of their case. Each edit becomes a fact of its own. A
 * multi-hop question follows from one edit alone only where the case has no other; then it is a hop, with its answers before
 * and after. Where such a chain has two links, the link that is not edited is the second fact.
 */
import { z } from 'zod'
import type { DraftHop, FactReader } from './reader.ts'
import { idField, parseRecord, textField } from './schema.ts'

const TARGET = z.object({ str: textField }, { error: 'an object with str' })
const TEXTS = z.array(textField, { error: 'a list of texts' })

const RECORD = z.object({
  case_id: idField.optional(),
  requested_rewrite: z.array(
    z.object({
      prompt: textField,
      subject: textField,
      target_new: TARGET,
      target_true: TARGET,
      question: textField.optional(),
    }),
    { error: 'a list of objects with prompt, subject, target_new and target_true' },
  ),
  questions: TEXTS.optional(),
  answer: textField.optional(),
  answer_alias: TEXTS.optional(),
  new_answer: textField.optional(),
  new_answer_alias: TEXTS.optional(),
  new_single_hops: z
    .array(z.object({ question: textField, answer: textField, answer_alias: TEXTS.optional() }), {
      error: 'a list of objects with question and answer',
    })
    .optional(),
})

/** Reads MQuAKE. */
export const mquake: FactReader = {
  name: 'mquake',
  title: 'MQuAKE',
  fields: 'requested_rewrite [{prompt, subject, target_new, target_true, question}], questions, answer, new_answer',
  paper: {
    authors: 'Zhong et al.',
    year: 2023,
    title: 'MQuAKE: Assessing Knowledge Editing in Language Models via Multi-Hop Questions',
    url: 'https://arxiv.org/abs/2305.14795',
    code: 'https://github.com/princeton-nlp/MQuAKE',
  },
  licence: 'MIT',
  strict: false,
  remarks: [
    'Each edit of a case is a fact of its own; its question is taken as a paraphrase.',
    'Multi-hop questions are used where the case has one edit; else they need several facts at once.',
  ],
  recognises: ({ requested_rewrite: rewrites }) => Array.isArray(rewrites),
  read(record, where) {
    const { case_id: id, requested_rewrite: rewrites, ...chain } = parseRecord(RECORD, record, where)
    return rewrites.map((rewrite, at) => ({
      ...(id === undefined ? {} : { id: `${id}-${at + 1}` }),
      subject: rewrite.subject,
      prompt: rewrite.prompt,
      targetNew: rewrite.target_new.str,
      targetsOld: [rewrite.target_true.str],
      tests: {
        paraphrases: rewrite.question === undefined ? [] : [rewrite.question],
        oneHop: rewrites.length === 1 ? readHops(chain, rewrite.question) : [],
      },
    }))
  },
}

/** The questions of a chain with one edit, which is asked directly by `edited`. */
function readHops(
  chain: Omit<z.output<typeof RECORD>, 'requested_rewrite'>,
  edited: string | undefined,
): readonly DraftHop[] {
  const { questions = [], answer, new_answer: answerNew, new_single_hops: links = [] } = chain
  if (answerNew === undefined) return []
  const others = links.filter(({ question }) => question !== edited)
  const [second] = links.length === 2 && others.length === 1 ? others : []
  return questions.map((prompt) => ({
    prompt,
    targets: [answerNew, ...(chain.new_answer_alias ?? [])],
    ...(answer === undefined ? {} : { targetsOld: [answer, ...(chain.answer_alias ?? [])] }),
    ...(second === undefined
      ? {}
      : { secondFact: { prompt: second.question, targets: [second.answer, ...(second.answer_alias ?? [])] } }),
  }))
}
