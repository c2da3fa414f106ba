/**
 * ZsRE as prepared for MEND: questions about a subject, an alternative answer to edit in, and an unrelated question of
 * Natural Questions. The edit goes towards `alt`, as in MEND and EasyEdit; the loader of MEMIT edits towards the true
 * answer instead, so its numbers are of another task.
 */
import { z } from 'zod'
import type { FactReader } from './reader.ts'
import { answersField, parseRecord, textField } from './schema.ts'

const RECORD = z.object({
  subject: textField,
  src: textField,
  alt: textField,
  answers: answersField.optional(),
  rephrase: textField.optional(),
  loc: textField.optional(),
  loc_ans: answersField.optional(),
})

/** Reads ZsRE in MEND's form. */
export const zsre: FactReader = {
  name: 'zsre',
  title: 'ZsRE (form of MEND)',
  fields: 'subject, src, alt, answers, rephrase, loc, loc_ans',
  paper: {
    authors: 'Mitchell et al.',
    year: 2022,
    title: 'Fast Model Editing at Scale',
    url: 'https://arxiv.org/abs/2110.11309',
    code: 'https://github.com/eric-mitchell/mend',
  },
  licence: 'MIT (code); texts of Wikipedia, CC BY-SA 3.0',
  strict: false,
  remarks: [
    'alt is the new target, as in MEND and EasyEdit.',
    "loc is taken as a neighbour, as EasyEdit does: it is an unrelated question of Natural Questions, an easier test of locality than CounterFact's neighbours.",
  ],
  recognises: (record) => ['src', 'alt'].every((field) => Object.hasOwn(record, field)),
  read(record, where) {
    const { subject, src, alt, answers, rephrase, loc, loc_ans } = parseRecord(RECORD, record, where)
    return {
      subject,
      prompt: src,
      targetNew: alt,
      targetsOld: answers ?? [],
      tests: {
        paraphrases: rephrase === undefined ? [] : [rephrase],
        neighbours: loc === undefined ? [] : [{ prompt: loc, targets: loc_ans ?? [] }],
      },
    }
  },
}
