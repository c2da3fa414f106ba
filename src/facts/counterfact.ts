/**
 * CounterFact as its authors published it. Its `neighborhood_prompts` have the old target as their true answer, by
 * construction: other subjects with the same relation and the same object.
 */
import { z } from 'zod'
import type { FactReader } from './reader.ts'
import { idField, parseRecord, textField } from './schema.ts'

const TARGET = z.object({ str: textField }, { error: 'an object with str' })
const PROMPTS = z.array(textField, { error: 'a list of texts' })

const RECORD = z.object({
  case_id: idField.optional(),
  requested_rewrite: z.object(
    { prompt: textField, subject: textField, target_new: TARGET, target_true: TARGET },
    { error: 'an object with prompt, subject, target_new and target_true' },
  ),
  paraphrase_prompts: PROMPTS.optional(),
  neighborhood_prompts: PROMPTS.optional(),
})

/** Reads CounterFact. */
export const counterfact: FactReader = {
  name: 'counterfact',
  title: 'CounterFact',
  fields: 'requested_rewrite {prompt, subject, target_new, target_true}, paraphrase_prompts, neighborhood_prompts',
  paper: {
    authors: 'Meng et al.',
    year: 2022,
    title: 'Locating and Editing Factual Associations in GPT',
    url: 'https://arxiv.org/abs/2202.05262',
    code: 'https://github.com/kmeng01/rome',
  },
  licence: 'MIT',
  strict: false,
  remarks: [
    'attribute_prompts are not used: their subjects have the new target already, so the edit cannot spoil them.',
    'generation_prompts are not used: they have no answers.',
  ],
  recognises: ({ requested_rewrite: rewrite }) =>
    typeof rewrite === 'object' && rewrite !== null && !Array.isArray(rewrite),
  read(record, where) {
    const { case_id: id, requested_rewrite: rewrite, ...prompts } = parseRecord(RECORD, record, where)
    const targetOld = rewrite.target_true.str
    return {
      ...(id === undefined ? {} : { id }),
      subject: rewrite.subject,
      prompt: rewrite.prompt,
      targetNew: rewrite.target_new.str,
      targetsOld: [targetOld],
      tests: {
        paraphrases: prompts.paraphrase_prompts ?? [],
        neighbours: (prompts.neighborhood_prompts ?? []).map((prompt) => ({ prompt, targets: [targetOld] })),
      },
    }
  },
}
