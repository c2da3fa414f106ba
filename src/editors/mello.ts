/**
 * MeLLo: a memory of sentences beside the model. The model takes a question apart and answers each subquestion first from what it
 * knows; the memory shows it the nearest sentence, and the model says whether that contradicts and what therefore is true.
 *
 *   q ← the model's next subquestion of x;  a ← its answer;  f ← the sentence of the largest cosine with q
 *   the model: does f contradict a?  then the answer to q is f's, else a;  again, until the model has the final answer
 *   x → E + "Question: x" + all of this + "Final answer:"
 *
 * x the prompt; the memory has one sentence a fact, its prompt with its new target; E solved examples. Who keeps the format:
 *   free          the model. Where it breaks the format or comes to no end, x is asked as it is, and the answer is counted so
 *   constrained   the program writes the labels, the model fills in what follows them to the end of the line; "contradicts" or
 *                 "does not contradict", another subquestion or the final answer, is what is likelier
 *
 * Zhong et al. 2023 (MQuAKE), section 5. Reference code: princeton-nlp/MQuAKE `run_mello.ipynb`, `prompts/MeLLo-prompt.txt`,
 * matched in the memory's sentences, the loop, one sentence for each subquestion without a bound, greedy writing, and the number
 * of rounds. Differences: `constrained` is ours; the answer is not what the model wrote in the loop but what it goes on with after
 * "Final answer:", which written greedily is the same and can be scored as well; it compares by products of Contriever's vectors,
 * ours are cosines of MiniLM's or of the model's own; the examples are ours, their questions partly texts to be gone on with, as
 * prompts are here; it looks at the last two lines before a fact wherever the model got to, we stop where the model begins
 * another question; it asks three wordings of a question and counts the best. It writes "Qustion:", ours "Question:".
 */
import { sessionBytes } from '../models/footprint.ts'
import type { LanguageModel } from '../models/model.ts'
import type { ContextPart, QuestionLoop, Retrieval } from '../models/patch.ts'
import { vectorSource } from '../models/sentence-vectors.ts'
import type { Editor } from './editor.ts'
import { checkFacts } from './steps/check-facts.ts'
import { contextBytes, makeEntries, stateFact } from './steps/fact-memory.ts'

/** Settings of MeLLo. */
export type MelloHparams = {
  readonly format: string
  readonly examples: number
  readonly subquestions: number
  readonly tokens: number
  readonly layer: number
}

/** Solved questions: one step and two, contradicted and not. None of them is among the facts of a common data set. */
const EXAMPLES = [
  `Question: The official currency of Ruritania is
Subquestion: What is the official currency of Ruritania?
Generated answer: The official currency of Ruritania is the crown.
Retrieved fact: The official currency of Ruritania is the peso.
Retrieved fact contradicts generated answer, so the intermediate answer is: the peso
Final answer: the peso

`,
  `Question: The capital of the country where the volcano Hekla stands is
Subquestion: In which country does the volcano Hekla stand?
Generated answer: The volcano Hekla stands in Iceland.
Retrieved fact: The volcano Hekla is located in Tunisia.
Retrieved fact contradicts generated answer, so the intermediate answer is: Tunisia
Subquestion: What is the capital of Tunisia?
Generated answer: The capital of Tunisia is Tunis.
Retrieved fact: The official currency of Ruritania is the peso.
Retrieved fact does not contradict generated answer, so the intermediate answer is: Tunis
Final answer: Tunis

`,
  `Question: Beatrix Potter was born in the city of
Subquestion: In which city was Beatrix Potter born?
Generated answer: Beatrix Potter was born in London.
Retrieved fact: Beatrix Farrand was born in Oslo.
Retrieved fact does not contradict generated answer, so the intermediate answer is: London
Final answer: London

`,
  `Question: Which language is spoken in the country where paella was invented?
Subquestion: In which country was paella invented?
Generated answer: Paella was invented in Spain.
Retrieved fact: Pierogi were invented in Peru.
Retrieved fact does not contradict generated answer, so the intermediate answer is: Spain
Subquestion: Which language is spoken in Spain?
Generated answer: The language of Spain is Spanish.
Retrieved fact: People in Spain speak Welsh.
Retrieved fact contradicts generated answer, so the intermediate answer is: Welsh
Final answer: Welsh

`,
] as const

/** Tokens of an example, and of a subquestion with all that follows it, in a small vocabulary. */
const EXAMPLE_TOKENS = 150
const STEP_TOKENS = 100
/** Tokens of the model's context kept free for a question and its steps. */
const RESERVED_TOKENS = 256

/** Memory-based editing for large language models. */
export const mello: Editor<MelloHparams, undefined> = {
  name: 'mello',
  title: 'MeLLo',
  summary:
    'Changes nothing in the model: has it answer step by step and hold each step against the new facts before it goes on.',
  version: 1,
  paper: {
    authors: 'Zhong et al.',
    year: 2023,
    title: 'MQuAKE: Assessing Knowledge Editing in Language Models via Multi-Hop Questions',
    url: 'https://arxiv.org/abs/2305.14795',
    code: 'https://github.com/princeton-nlp/MQuAKE',
  },
  family: 'in-context',
  batch: 'many',
  needs: ['sentence-vectors'],
  hparams: {
    format: {
      meaning: 'who keeps the format of the steps: the model by itself, or the program, which writes the labels',
      unit: 'word',
      range: ['free', 'constrained'],
      reference: 'none: the reference has free only',
    },
    examples: {
      meaning: 'solved examples before a question; fewer where the model has no room for them',
      unit: 'examples',
      range: [0, EXAMPLES.length],
      whole: true,
      reference: 'the questions in prompts/MeLLo-prompt.txt',
    },
    subquestions: {
      meaning: 'most subquestions of a question',
      unit: 'subquestions',
      range: [1, 16],
      whole: true,
      reference: 'range(4) in run_mello.ipynb, the last round of which is for the final answer',
    },
    tokens: {
      meaning: 'most tokens that the model writes at once: up to the next fact, or in a line',
      unit: 'tokens',
      range: [1, 1024],
      whole: true,
      reference: 'max_tokens',
    },
    layer: {
      meaning: 'layer whose output gives the sentence vectors, where there is no encoder of sentences',
      unit: 'layer',
      reference: 'none: the reference has a sentence encoder',
    },
  },

  memory(model, { examples, subquestions, tokens }) {
    const own = subquestions * STEP_TOKENS + tokens
    const queryBytes = contextBytes(model, Math.min(examples * EXAMPLE_TOKENS, model.config.contextLength), own)
    return { prepareBytes: 0, heldBytes: 0, editBytes: sessionBytes(model, 1), queryBytes }
  },

  async edit({ model, facts, hparams }, ctx) {
    ctx.signal.throwIfAborted()
    const retrieval: Retrieval = { by: 'cosine', vectors: vectorSource(model, hparams.layer), above: null }
    const drafts = checkFacts(mello, facts).map((fact) => ({
      fact,
      compared: stateFact(fact),
      before: '',
      after: '',
    }))
    const entries = await makeEntries(model, retrieval, drafts)
    const { loop, examples } = await makeLoop(model, hparams)
    const part: ContextPart = { kind: 'context', retrieval, confirmation: null, loop, entries }
    return { parts: [part], report: { added: entries.length, examples } }
  },
}

/** The loop with as many examples as the settings say and the model has room for. */
async function makeLoop(
  model: LanguageModel,
  { format, examples, subquestions, tokens }: MelloHparams,
): Promise<{ loop: QuestionLoop; examples: number }> {
  const room = model.config.contextLength - RESERVED_TOKENS
  for (let kept = examples; ; kept--) {
    const text = EXAMPLES.slice(0, kept).join('')
    const { ids } = await model.tokenizer.encode(text)
    if (ids.length > room && kept > 0) continue
    const loop = { examples: text, subquestions, maxNewTokens: tokens }
    return { loop: { ...loop, format: format === 'free' ? 'free' : 'constrained' }, examples: kept }
  }
}
