/** What a memory makes of a prompt: which of its entries the prompt finds, and the text that is then asked instead. */
import { distance } from 'fastest-levenshtein'
import { confirm } from './confirmation.ts'
import type { LanguageModel } from './model.ts'
import type { ContextEntry, ContextPart, Patch } from './patch.ts'
import { plainLetters } from './plain-letters.ts'
import { cosine, sentenceVectors } from './sentence-vectors.ts'

/**
 * The text that is asked for a prompt: with an entry's text around it, or the prompt itself where none is found. It depends on
 * the prompt alone, not on what is asked beside it, so that scoring and writing go by the same entry.
 * @param model the unedited model
 * @throws E_ENCODER where the entries' vectors are an encoder's that the model lacks.
 */
export async function putIntoContext(model: LanguageModel, context: ContextPart, prompt: string): Promise<string> {
  const entry = await findEntry(model, context, prompt)
  return entry === null ? prompt : entry.before + prompt + entry.after
}

/** The entry that a prompt finds: the nearest, or the one that the model confirms. */
async function findEntry(model: LanguageModel, context: ContextPart, prompt: string): Promise<ContextEntry | null> {
  const { confirmation, entries, retrieval } = context
  const [only] = entries
  const needsNoSearch = retrieval.by === 'cosine' && retrieval.above === null && entries.length === 1
  const near = needsNoSearch && only !== undefined ? [only] : await findNear(model, context, prompt)
  if (confirmation !== null) return confirm(model, confirmation, near.slice(0, confirmation.candidates), prompt)
  return near[0] ?? null
}

/** The entries within the bound, nearest first. */
async function findNear(
  model: LanguageModel,
  { retrieval, entries }: ContextPart,
  prompt: string,
): Promise<ContextEntry[]> {
  if (retrieval.by === 'letters') {
    const plain = plainLetters(prompt)
    const letters = (entry: ContextEntry): number => distance(plain, plainLetters(entry.key))
    return byLikeness(entries, (entry) => -letters(entry), -retrieval.below)
  }
  const query = await sentenceVectors(model, retrieval.vectors, [prompt])
  return byLikeness(entries, ({ vector }) => cosine(vector, query), retrieval.above ?? Number.NEGATIVE_INFINITY)
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
