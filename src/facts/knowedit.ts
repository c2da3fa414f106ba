/**
 * KnowEdit's files of one form: ZsRE-test, wiki_counterfact and wiki_recent (the wiki files come from RippleEdits). Answers
 * are texts, lists of aliases or lists of such lists; any of them counts as right.
 */
import { z } from 'zod'
import type { FactReader } from './reader.ts'
import { answersField, parseRecord, questionsField, textField, toQuestions } from './schema.ts'

const KIND = questionsField.optional()

const RECORD = z.object({
  subject: textField,
  prompt: textField,
  target_new: textField,
  ground_truth: answersField.optional(),
  rephrase_prompt: textField.optional(),
  portability: z
    .object(
      { Subject_Aliasing: KIND, Logical_Generalization: KIND, Reasoning: KIND },
      { error: 'an object of lists of questions' },
    )
    .optional(),
  locality: z.object({ Relation_Specificity: KIND }, { error: 'an object of lists of questions' }).optional(),
})

/** Reads KnowEdit, except its WikiBio. */
export const knowedit: FactReader = {
  name: 'knowedit',
  title: 'KnowEdit',
  fields: 'subject, prompt, target_new, ground_truth, portability {…}, locality {…}',
  paper: {
    authors: 'Zhang et al.',
    year: 2024,
    title: 'A Comprehensive Study of Knowledge Editing for Large Language Models',
    url: 'https://arxiv.org/abs/2401.01286',
    code: 'https://github.com/zjunlp/EasyEdit',
  },
  licence: 'as published by its authors; texts of Wikidata (CC0) and Wikipedia (CC BY-SA)',
  strict: false,
  remarks: [
    'Relation_Specificity gives other relations, Subject_Aliasing aliases, Logical_Generalization reversed questions and other direct consequences, Reasoning one hop.',
    'The second fact of a hop is not said in the data, so every hop is asked, whether or not the unedited model knows it.',
    'Forgetfulness is not used: it asks for other values of the edited relation, often with the new target as the only answer.',
  ],
  recognises: (record) =>
    ['subject', 'prompt', 'target_new'].every((field) => Object.hasOwn(record, field)) &&
    ['portability', 'locality'].some((field) => Object.hasOwn(record, field)),
  read(record, where) {
    const { subject, prompt, target_new, ground_truth, rephrase_prompt, portability, locality } = parseRecord(
      RECORD,
      record,
      where,
    )
    return {
      subject,
      prompt,
      targetNew: target_new,
      targetsOld: ground_truth ?? [],
      tests: {
        paraphrases: rephrase_prompt === undefined ? [] : [rephrase_prompt],
        otherRelations: toQuestions(locality?.Relation_Specificity),
        aliases: toQuestions(portability?.Subject_Aliasing),
        reversed: toQuestions(portability?.Logical_Generalization),
        oneHop: toQuestions(portability?.Reasoning),
      },
    }
  },
}
