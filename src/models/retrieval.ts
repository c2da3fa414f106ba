/** What a memory makes of a prompt: which of its entries the prompt finds, and the text that is then asked instead. */
import { distance } from 'fastest-levenshtein'
import { multiplyRow, norm, subtract, unitRows } from '../tensor/linalg.ts'
import { joinRows, rowsOf, type Tensor, tensor, zeros } from '../tensor/tensor.ts'
import { forgetPoints } from './adapter-clusters.ts'
import { confirm } from './confirmation.ts'
import type { LanguageModel } from './model.ts'
import type { ContextEntry, ContextPart, Patch, Retrieval } from './patch.ts'
import { plainLetters } from './plain-letters.ts'
import { answerInSteps } from './question-loop.ts'
import { cosine, sentenceVectors } from './sentence-vectors.ts'

/** What is asked for a prompt. */
export interface Asked {
  readonly text: string
  /** Whether it has found an entry, whose text is around it. */
  readonly found: boolean
  /** Its steps failed: it is asked as it is. */
  readonly loopFailed: boolean
}

/**
 * What is asked for each prompt: with an entry's text around it, after the steps to its answer, or the prompt itself where it
 * finds no entry or its steps fail. It depends on the prompts alone, so that scoring and writing go by the same text.
 * @param model the unedited model
 * @throws E_ENCODER where the entries' vectors are an encoder's that the model lacks.
 */
export async function putIntoContext(
  model: LanguageModel,
  context: ContextPart,
  prompts: readonly string[],
): Promise<Asked[]> {
  const { entries, loop } = context
  if (loop !== undefined && entries.length > 0) {
    const texts = await answerInSteps(model, loop, prompts, (asked) => findEntries(model, context, asked))
    return prompts.map((prompt) => {
      const found = texts.has(prompt)
      return { text: texts.get(prompt) ?? prompt, found, loopFailed: !found }
    })
  }
  const nearest = await findEntries(model, context, prompts)
  return prompts.map((prompt, i) => {
    const entry = nearest[i] ?? null
    const text = entry === null ? prompt : entry.before + prompt + entry.after
    return { text, found: entry !== null, loopFailed: false }
  })
}

/** What a search compares texts by, one row each: sentence vectors, or what its map makes of them; of letters, nothing. @throws E_ENCODER */
export async function comparedVectors(
  model: LanguageModel,
  retrieval: Retrieval,
  texts: readonly string[],
): Promise<Tensor> {
  if (retrieval.by === 'letters') return zeros([texts.length, 0])
  const vectors = await sentenceVectors(model, retrieval.vectors, texts)
  return retrieval.by === 'cosine' ? vectors : putOnMap(vectors, retrieval.map)
}

/** The place of each vector [R, D], scaled to length one, on a map [D, r]: [R, r]. */
export function putOnMap(vectors: Tensor, map: Tensor): Tensor {
  const width = map.shape[1] ?? 0
  const places = rowsOf(unitRows(vectors)).map(({ data }) =>
    tensor(Float32Array.from(multiplyRow(data, map)), [1, width]),
  )
  return joinRows(places, width)
}

/** The entry that each prompt finds: the nearest, or the one that the model confirms. */
async function findEntries(
  model: LanguageModel,
  context: ContextPart,
  prompts: readonly string[],
): Promise<(ContextEntry | null)[]> {
  const { confirmation, entries, retrieval } = context
  const needsNoSearch = retrieval.by === 'cosine' && retrieval.above === null && entries.length === 1
  const near = needsNoSearch ? prompts.map(() => entries) : await findNear(model, context, prompts)
  if (confirmation === null) return near.map(([nearest]) => nearest ?? null)
  const asked = prompts.map((prompt, i) => ({ prompt, candidates: near[i]?.slice(0, confirmation.candidates) ?? [] }))
  return confirm(model, confirmation, asked)
}

/** The entries within the bound for each prompt, nearest first. */
async function findNear(
  model: LanguageModel,
  { retrieval, entries }: ContextPart,
  prompts: readonly string[],
): Promise<ContextEntry[][]> {
  if (retrieval.by === 'letters') {
    return prompts.map((prompt) => {
      const plain = plainLetters(prompt)
      const letters = (entry: ContextEntry): number => distance(plain, plainLetters(entry.key))
      return byLikeness(entries, (entry) => -letters(entry), -retrieval.below)
    })
  }
  const queries = await comparedVectors(model, retrieval, prompts)
  const above = retrieval.above ?? Number.NEGATIVE_INFINITY
  const likeness = retrieval.by === 'cosine' ? cosine : nearness
  return rowsOf(queries).map((query) => byLikeness(entries, ({ vector }) => likeness(vector, query), above))
}

/** The likeness of two places on a map: 1 where they are the same. */
function nearness({ data: one }: Tensor, { data: other }: Tensor): number {
  return Math.exp(-(norm(subtract(one, other)) ** 2))
}

/** Entries above a likeness, from the likest on; among equals, in their order. */
function byLikeness(
  entries: readonly ContextEntry[],
  likenessOf: (entry: ContextEntry) => number,
  above: number,
): ContextEntry[] {
  return entries
    .map((entry) => ({ entry, likeness: likenessOf(entry) }))
    .filter(({ likeness }) => likeness > above)
    .sort((one, other) => other.likeness - one.likeness)
    .map(({ entry }) => entry)
}

/** A patch without what an edited prompt put into its memories: their entries of it, and its points of clusters. */
export function forgetFact(patch: Patch, prompt: string): Patch {
  const parts = patch.parts.map((part) => {
    if (part.kind === 'context') return { ...part, entries: part.entries.filter(({ key }) => key !== prompt) }
    return part.kind === 'adapter-clusters' ? forgetPoints(part, prompt) : part
  })
  return { ...patch, parts }
}
