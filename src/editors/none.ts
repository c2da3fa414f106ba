/**
 * The control: no edit at all. What it scores is what the unedited model scores, so every other method's numbers can be read
 * against it; its locality must be 100, or the measuring itself is broken.
 *
 * The unedited model stands in the first row of the papers' tables (Meng et al. 2022, table 4: "GPT-2 XL").
 */
import type { Editor } from './editor.ts'
import { checkFacts } from './steps/check-facts.ts'

/** No edit. */
export const none: Editor<Record<string, never>, undefined> = {
  name: 'none',
  title: 'No edit',
  summary: 'Leaves the model as it is: the control that every method is compared with.',
  version: 1,
  paper: {
    authors: 'Meng et al.',
    year: 2022,
    title: 'Locating and Editing Factual Associations in GPT',
    url: 'https://arxiv.org/abs/2202.05262',
  },
  family: 'control',
  batch: 'many',
  needs: [],
  hparams: {},
  memory: () => ({ prepareBytes: 0, heldBytes: 0, editBytes: 0, queryBytes: 0 }),
  edit: async ({ facts }, ctx) => {
    ctx.signal.throwIfAborted()
    checkFacts(none, facts)
    return { parts: [], report: {} }
  },
}
