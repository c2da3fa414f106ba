/** What a memory makes of a prompt: which of its entries the prompt finds, and the text that is then asked instead. */
import { distance } from 'fastest-levenshtein'
import { rowsOf } from '../tensor/tensor.ts'
import { confirm } from './confirmation.ts'
import type { LanguageModel } from './model.ts'
import type { ContextEntry, ContextPart, Patch } from './patch.ts'
import { plainLetters } from './plain-letters.ts'
import { answerInSteps } from './question-loop.ts'
import { cosine, sentenceVectors } from './sentence-vectors.ts'

/** What is asked for a prompt. */
export interface Asked {
  readonly text: string
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
    return prompts.map((prompt) => ({ text: texts.get(prompt) ?? prompt, loopFailed: !texts.has(prompt) }))
  }
  const found = await findEntries(model, context, prompts)
  return prompts.map((prompt, i) => {
    const entry = found[i] ?? null
    return { text: entry === null ? prompt : entry.before + prompt + entry.after, loopFailed: false }
  })
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
  const queries = await sentenceVectors(model, retrieval.vectors, prompts)
  const above = retrieval.above ?? Number.NEGATIVE_INFINITY
  return rowsOf(queries).map((query) => byLikeness(entries, ({ vector }) => cosine(vector, query), above))
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

/** A patch without the entries of an edited prompt: the same as if that fact alone had never been put into its memories. */
export function forgetFact(patch: Patch, prompt: string): Patch {
  const parts = patch.parts.map((part) =>
    part.kind === 'context' ? { ...part, entries: part.entries.filter(({ key }) => key !== prompt) } : part,
  )
  return { ...patch, parts }
}
