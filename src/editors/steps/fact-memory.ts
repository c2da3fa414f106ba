/** Facts as entries of a memory that stands beside the model: what memory methods have in common. */
import type { Fact } from '../../facts/fact.ts'
import { cacheBytes, type Footprint, forwardBytes, MOST_CACHE_BYTES, sessionBytes } from '../../models/footprint.ts'
import type { LanguageModel } from '../../models/model.ts'
import type { ContextEntry, Retrieval } from '../../models/patch.ts'
import { comparedVectors } from '../../models/retrieval.ts'
import { vectorSource } from '../../models/sentence-vectors.ts'
import { rowsOf, zeros } from '../../tensor/tensor.ts'
import type { HparamSpec } from '../editor.ts'

/** A fact as a sentence without its full stop: its prompt and its new target. */
export function stateFact({ prompt, targetNew }: Pick<Fact, 'prompt' | 'targetNew'>): string {
  return `${prompt} ${targetNew}`
}

/** A fact as a whole sentence. */
export function sentenceOf(fact: Pick<Fact, 'prompt' | 'targetNew'>): string {
  return `${stateFact(fact)}.`
}

/** Settings of a search by sentence vectors. */
export type SimilarityHparams = {
  readonly similarity: number
  readonly ownSimilarity: number
  readonly layer: number
}

/** What those settings mean, apart from the bound's name in the reference code. */
export function similaritySpec(reference: string): HparamSpec<SimilarityHparams> {
  return {
    similarity: {
      meaning: 'cosine that a prompt and what it finds must exceed, where an encoder makes the sentence vectors',
      unit: 'cosine',
      range: [-1, 1],
      reference,
    },
    ownSimilarity: {
      meaning: "the same, where the model's own hidden states are the vectors",
      unit: 'cosine',
      range: [-1, 1],
      reference: 'none: the reference has a sentence encoder',
    },
    layer: {
      meaning: 'layer whose output gives the sentence vectors, where there is no encoder of sentences',
      unit: 'layer',
      reference: 'none: the reference has a sentence encoder',
    },
  }
}

/** A search by the cosine of sentence vectors, with the bound that fits where a model's come from. */
export function searchByCosine(model: LanguageModel, hparams: SimilarityHparams): Retrieval & { by: 'cosine' } {
  const vectors = vectorSource(model, hparams.layer)
  return { by: 'cosine', vectors, above: 'layer' in vectors ? hparams.ownSimilarity : hparams.similarity }
}

/** Rows that are asked at once after a context, and what is a row's own: a question. */
const ASKED_ROWS = 16
const QUESTION_TOKENS = 32
/** Caches of the rows' own positions at once: those fed, and those the runtime gives out. */
const ROW_CACHES = 2
/** One runs the context; scoring and writing after it are other graphs than without. */
const SESSIONS = 3

/** What asking after a text of so many tokens takes more than asking without, in bytes; `own`: the tokens after it of each row. */
export function contextBytes(model: Footprint, tokens: number, own = QUESTION_TOKENS): number {
  const { config } = model
  const asked = { tokens: ASKED_ROWS * QUESTION_TOKENS, attended: tokens, logits: 0 }
  const context = { tokens, attended: tokens, logits: 0 }
  // Rows attend to the context's keys and values without copies of their own.
  const shared = cacheBytes(config, tokens, config.layers)
  const rows = ROW_CACHES * Math.min(MOST_CACHE_BYTES, cacheBytes(config, ASKED_ROWS * own, config.layers))
  return (
    sessionBytes(model, SESSIONS) + Math.max(forwardBytes(model, context), forwardBytes(model, asked)) + shared + rows
  )
}

/** An entry to be: the text that prompts are compared with, and what is put around those that find it. */
export interface Draft {
  readonly fact: Fact
  readonly compared: string
  readonly before: string
  readonly after: string
}

/** The entries of a memory, newest first, of drafts in the order of their facts. @throws E_ENCODER */
export async function makeEntries(
  model: LanguageModel,
  retrieval: Retrieval,
  drafts: readonly Draft[],
): Promise<ContextEntry[]> {
  const newestFirst = drafts.toReversed()
  const texts = newestFirst.map(({ compared }) => compared)
  const rows = rowsOf(await comparedVectors(model, retrieval, texts))
  return newestFirst.map(({ fact, before, after }, i) => ({
    key: fact.prompt,
    sentence: sentenceOf(fact),
    vector: rows[i] ?? zeros([0]),
    before,
    after,
  }))
}
