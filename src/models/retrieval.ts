/** What a memory makes of a prompt: which of its entries the prompt finds, and the text that is then asked instead. */
import { distance } from 'fastest-levenshtein'
import type { LanguageModel } from './model.ts'
import type { ContextEntry, ContextPart, Patch } from './patch.ts'
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

/** The entry that a prompt finds. */
async function findEntry(
  model: LanguageModel,
  { retrieval, entries }: ContextPart,
  prompt: string,
): Promise<ContextEntry | null> {
  if (retrieval.by === 'letters') {
    const plain = plainLetters(prompt)
    const [nearest] = byLikeness(entries, ({ key }) => -distance(plain, plainLetters(key)))
    return nearest !== undefined && -nearest.likeness < retrieval.below ? nearest.entry : null
  }
  const [only] = entries
  if (retrieval.above === null && entries.length === 1) return only ?? null
  const query = await sentenceVectors(model, retrieval.vectors, [prompt])
  const [nearest] = byLikeness(entries, ({ vector }) => cosine(vector, query))
  return nearest !== undefined && nearest.likeness > (retrieval.above ?? Number.NEGATIVE_INFINITY)
    ? nearest.entry
    : null
}

/** Entries from the likest on; among equals, in their order. */
function byLikeness(
  entries: readonly ContextEntry[],
  likenessOf: (entry: ContextEntry) => number,
): { entry: ContextEntry; likeness: number }[] {
  return entries
    .map((entry) => ({ entry, likeness: likenessOf(entry) }))
    .sort((one, other) => other.likeness - one.likeness)
}

/** A text as it is compared by letters: small ones and digits, one space between words, no marks. */
export function plainLetters(text: string): string {
  const plain = text.toLowerCase().replaceAll(/[^\p{L}\p{M}\p{N}\s]/gu, '')
  return plain.replaceAll(/\s+/g, ' ').trim()
}

/** A patch without the entries of an edited prompt: the same as if that fact alone had never been put into its memories. */
export function forgetFact(patch: Patch, prompt: string): Patch {
  const parts = patch.parts.map((part) =>
    part.kind === 'context' ? { ...part, entries: part.entries.filter(({ key }) => key !== prompt) } : part,
  )
  return { ...patch, parts }
}
