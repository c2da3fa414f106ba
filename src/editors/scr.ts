/**
 * SCR: a memory of sentences beside the model. A prompt is held against those nearest to it, the model itself says which of them
 * answers it, and only then the prompt is asked with that sentence before it.
 *
 *   S = the k sentences of the largest cosine with x          (semantic filter)
 *   s = the one of S that the model confirms for x, if any    (confirmation)
 *   x → "New fact: s\nx" with s, else x                       (contextual reasoning)
 *
 * x the prompt; the memory has one sentence a fact, its prompt with its new target. The confirmation, by the setting of that name:
 *   choice       the model is shown S and repeats one sentence, or says that there is none
 *   likelihood   it is asked of each sentence alone; s has the largest log p(yes) − log p(no), if that is above 0
 *
 * He, Song, Sun 2025. Reference code: ECNU-Text-Computing/Knowledge-Updating `selective_contextual_reasoning.py`, `retrieve.py`,
 * `summary.py`. Matched in the steps, in a chosen sentence being the only one that is used, in one candidate counting unless it is
 * refused, and, with `form: question`, in how the question is put. Differences: it compares by products of Contriever's vectors,
 * ours are cosines of MiniLM's or of the model's own; what it generates is itself put before the question, whatever it is, where
 * ours must repeat a sentence of the memory; its instructions are for chat models, worded otherwise here; a bound on the cosine
 * and `likelihood` are ours, the latter for models too small to follow an instruction.
 */
import { forwardBytes, sessionBytes } from '../models/footprint.ts'
import type { Confirmation } from '../models/patch.ts'
import type { Editor } from './editor.ts'
import { checkFacts } from './steps/check-facts.ts'
import {
  type Draft,
  makeEntries,
  type SimilarityHparams,
  searchByCosine,
  sentenceOf,
  similaritySpec,
} from './steps/fact-memory.ts'

/** Settings of SCR. */
export type ScrHparams = SimilarityHparams & {
  readonly candidates: number
  readonly confirmation: string
  readonly form: string
}

/** What the model is asked about the candidates, and how it says that none of them will do. */
const CHOOSE =
  'Facts:\n{facts}\n\nQuestion: {question}\n\nRepeat the fact that answers the question, or say "no fact".\nFact:'
const NONE = ['no fact', 'none of', 'not answered']
const JUDGE = 'Fact: {facts}\nQuestion: {question}\nDoes the fact answer the question? Answer yes or no.\nAnswer:'
/** New tokens in which a sentence is repeated (`max_new_tokens` of the reference's confirmation). */
const MOST_REPEATED = 50

/** Positions of one candidate with its share of the question, all of which are asked about at once. */
const CANDIDATE_TOKENS = 64
/** For vectors, scores and writing, of which the last two differ from those of the prompt itself. */
const SESSIONS = 4

/** Selective contextual reasoning. */
export const scr: Editor<ScrHparams, undefined> = {
  name: 'scr',
  title: 'SCR',
  summary: 'Changes nothing in the model: asks it which remembered fact a question is about, and tells it that one.',
  version: 1,
  paper: {
    authors: 'He et al.',
    year: 2025,
    title: 'Knowledge Updating? No More Model Editing! Just Selective Contextual Reasoning',
    url: 'https://arxiv.org/abs/2503.05212',
    code: 'https://github.com/ECNU-Text-Computing/Knowledge-Updating',
  },
  family: 'in-context',
  batch: 'many',
  needs: ['sentence-vectors'],
  hparams: {
    candidates: {
      meaning: 'nearest sentences among which the model chooses',
      unit: 'sentences',
      range: [1, 100],
      whole: true,
      reference: 'k',
    },
    confirmation: {
      meaning: 'how the model says which sentence answers a prompt: it repeats one, or "yes" is likelier than "no"',
      unit: 'word',
      range: ['choice', 'likelihood'],
      reference: 'summary_prompt; the reference has the choice only',
    },
    form: {
      meaning: 'how a prompt is put after its sentence: as a question that is to be answered, or as it stands',
      unit: 'word',
      range: ['question', 'prompt'],
      reference: 'answer_prompt; the reference has the question only',
    },
    ...similaritySpec('none: the reference has no bound'),
  },

  memory(model, { candidates }) {
    const tokens = CANDIDATE_TOKENS * candidates
    const queryBytes = sessionBytes(model, SESSIONS) + forwardBytes(model, { tokens, attended: tokens, logits: 0 })
    return { prepareBytes: 0, heldBytes: 0, editBytes: sessionBytes(model, 1), queryBytes }
  },

  async edit({ model, facts, hparams }, ctx) {
    ctx.signal.throwIfAborted()
    const retrieval = searchByCosine(model, hparams)
    const drafts = checkFacts(scr, facts).map((fact): Draft => {
      const sentence = sentenceOf(fact)
      const frame =
        hparams.form === 'question'
          ? { before: `Fact: ${sentence}\nQuestion: `, after: '\nAnswer:' }
          : { before: `New fact: ${sentence}\n`, after: '' }
      return { fact, compared: sentence, ...frame }
    })
    const entries = await makeEntries(model, retrieval, drafts)
    const confirmation = confirmationOf(hparams)
    return { parts: [{ kind: 'context', retrieval, confirmation, entries }], report: { added: entries.length } }
  },
}

function confirmationOf({ candidates, confirmation }: ScrHparams): Confirmation {
  return confirmation === 'choice'
    ? { by: 'choice', candidates, ask: CHOOSE, none: NONE, maxNewTokens: MOST_REPEATED }
    : { by: 'likelihood', candidates, ask: JUDGE, yes: 'yes', no: 'no' }
}
