/**
 * CounterFact in the flat form of EasyEdit's examples; also the form in which EasyEdit's users write their own edits, so
 * only subject, prompt and new target must be there.
 */
import { z } from 'zod'
import type { FactReader } from './reader.ts'
import { answersField, idField, parseRecord, textField } from './schema.ts'

const RECORD = z.object({
  case_id: idField.optional(),
  subject: textField,
  prompt: textField,
  target_new: textField,
  ground_truth: answersField.optional(),
  rephrase_prompt: textField.optional(),
  locality_prompt: textField.optional(),
  locality_ground_truth: answersField.optional(),
})

/** Reads flat CounterFact. */
export const counterfactFlat: FactReader = {
  name: 'counterfact-flat',
  title: 'CounterFact (flat form of EasyEdit)',
  fields: 'subject, prompt, target_new, ground_truth, rephrase_prompt, locality_prompt, locality_ground_truth',
  paper: {
    authors: 'Wang et al.',
    year: 2023,
    title: 'EasyEdit: An Easy-to-use Knowledge Editing Framework for Large Language Models',
    url: 'https://arxiv.org/abs/2308.07269',
    code: 'https://github.com/zjunlp/EasyEdit',
  },
  licence: 'MIT',
  strict: false,
  remarks: [
    "rephrase_prompt is taken as a paraphrase, as EasyEdit does; in most records it is one of CounterFact's generation_prompts, which ask something wider, so its rates lie below those on true paraphrases.",
    'locality_prompt is taken as a neighbour.',
  ],
  recognises: (record) => ['subject', 'prompt', 'target_new'].every((field) => Object.hasOwn(record, field)),
  read(record, where) {
    const flat = parseRecord(RECORD, record, where)
    const { case_id: id, rephrase_prompt: paraphrase, locality_prompt: neighbour } = flat
    return {
      ...(id === undefined ? {} : { id }),
      subject: flat.subject,
      prompt: flat.prompt,
      targetNew: flat.target_new,
      targetsOld: flat.ground_truth ?? [],
      tests: {
        paraphrases: paraphrase === undefined ? [] : [paraphrase],
        neighbours: neighbour === undefined ? [] : [{ prompt: neighbour, targets: flat.locality_ground_truth ?? [] }],
      },
    }
  },
}
