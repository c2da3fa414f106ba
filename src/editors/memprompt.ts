/**
 * MemPrompt: a memory of what users said when an answer was wrong. A prompt like one of theirs is asked with that feedback.
 *
 *   x → E + "Question: x clarification: u Answer:"  for the entry (x′, u) nearest to x, if it is near enough; else x → x
 *
 * x the prompt; x′ the prompt of an edit, under which its feedback u is stored, "x′ y.", y the new target; E solved examples, other
 * facts asked by a paraphrase and answered: "Question: p clarification: x″ y″. Answer: y″\n\n". Near enough, by `retrieval`:
 *   closest    fewer than `letters` letters (Levenshtein) turn one prompt into the other, marks and capitals aside
 *   semantic   the cosine of their sentence vectors lies above `similarity`
 * Feedback for a stored prompt takes the place of the old; everything else stays as it is, in the memory and in the model.
 *
 * Madaan et al. 2022. Reference code: madaan/memprompt `src/memory`, `src/utils/openai_wrapper.py`. Matched in the memory, both
 * retrievals and their strict bounds. Differences: its feedback says what a user means ("when I ask for x, I want a synonym"),
 * ours what is so. Its examples stand before every question, ours only where there is feedback, so that others are asked as they
 * are. It strikes out what stands in "<…>" before comparing letters, the subject of its questions: of a fact, the subject is the
 * point. It trains its sentence encoder for its tasks; ours is MiniLM or the model itself, so its bound of 0.9 is not ours. Among
 * equally near prompts it takes the oldest, ours is the newest.
 */
import type { Fact } from '../facts/fact.ts'
import { sessionBytes } from '../models/footprint.ts'
import type { Retrieval } from '../models/patch.ts'
import type { Editor } from './editor.ts'
import { checkFacts } from './steps/check-facts.ts'
import {
  contextBytes,
  makeEntries,
  type SimilarityHparams,
  searchByCosine,
  sentenceOf,
  similaritySpec,
} from './steps/fact-memory.ts'

/** Settings of MemPrompt. */
export type MempromptHparams = SimilarityHparams & {
  readonly examples: number
  readonly retrieval: string
  readonly letters: number
}

/** Tokens of a question with its feedback, of short facts. */
const EXAMPLE_TOKENS = 28
/** Tokens of the model's context kept free for a question with its feedback and the answer. */
const RESERVED_TOKENS = 256

/** Feedback memory. */
export const memprompt: Editor<MempromptHparams, string> = {
  name: 'memprompt',
  title: 'MemPrompt',
  summary: 'Changes nothing in the model: puts a correction after every question like one that was corrected before.',
  version: 1,
  paper: {
    authors: 'Madaan et al.',
    year: 2022,
    title: 'Memory-assisted prompt editing to improve GPT-3 after deployment',
    url: 'https://arxiv.org/abs/2201.06009',
    code: 'https://github.com/madaan/memprompt',
  },
  family: 'in-context',
  batch: 'many',
  needs: ['sentence-vectors', 'training-facts'],
  hparams: {
    examples: {
      meaning: 'solved examples before a question with feedback, where there are facts for so many',
      unit: 'examples',
      range: [0, 64],
      whole: true,
      reference: 'the questions with a clarification in data/prompts/prompt_lexical_qa.txt',
    },
    retrieval: {
      meaning: 'how a prompt finds its feedback: by letters, or by sentence vectors',
      unit: 'word',
      range: ['closest', 'semantic'],
      reference: 'memory_type',
    },
    letters: {
      meaning: 'letters fewer than which must differ, where they are compared',
      unit: 'letters',
      range: [0, 1000],
      whole: true,
      reference: 'min_sim_threshold',
    },
    ...similaritySpec('match_threshold'),
  },

  memory(model, { examples }) {
    const queryBytes = contextBytes(model, (examples + 1) * EXAMPLE_TOKENS)
    return { prepareBytes: 0, heldBytes: 0, editBytes: sessionBytes(model, 1), queryBytes }
  },

  async prepare({ model, hparams, material }, ctx) {
    const facts = ctx.random.stream('memprompt examples').shuffle(material.facts)
    const room = model.config.contextLength - RESERVED_TOKENS
    for (let kept = hparams.examples; ; kept--) {
      const examples = facts.slice(0, kept).map(solve).join('')
      const { ids } = await model.tokenizer.encode(examples)
      if (ids.length <= room || kept === 0) return examples
    }
  },

  async edit({ model, facts, hparams, prepared: examples }, ctx) {
    ctx.signal.throwIfAborted()
    const retrieval: Retrieval =
      hparams.retrieval === 'closest' ? { by: 'letters', below: hparams.letters } : searchByCosine(model, hparams)
    const drafts = checkFacts(memprompt, facts).map((fact) => ({
      fact,
      compared: fact.prompt,
      before: `${examples}Question: `,
      after: clarify(fact),
    }))
    const entries = await makeEntries(model, retrieval, drafts)
    return { parts: [{ kind: 'context', retrieval, confirmation: null, entries }], report: { added: entries.length } }
  },
}

/** What stands between a question and its answer. */
function clarify(fact: Fact): string {
  return ` clarification: ${sentenceOf(fact)} Answer:`
}

/** A fact, asked in other words where it has them, and answered. */
function solve(fact: Fact): string {
  const [question = fact.prompt] = fact.tests.paraphrases
  return `Question: ${question}${clarify(fact)} ${fact.targetNew}\n\n`
}
