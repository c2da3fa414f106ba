/**
 * Text put before a fact's prompt, so that an edit holds wherever the subject is met and not only at the start of a text.
 *
 * A prefix is a few words the model itself writes after "The", "Therefore", "Because", "I" or "You", then ". ". The bare
 * prompt (an empty prefix) comes first. Sampled among the 5 likeliest tokens (Meng et al. 2022, §3.1 and appendix E.5);
 * reference code kmeng01/rome `util/generate.py`, `rome/compute_u.py`, matched up to the random numbers. Public code
 * caches prefixes for the process, whatever the model; here they belong to the preparation: sampled from the unedited
 * model by a stream of their own, so that an edit late in a stream gets the same good prefixes as the first.
 */
import type { Context } from '../../context.ts'
import type { LanguageModel } from '../../models/model.ts'

const SEEDS = ['The', 'Therefore', 'Because', 'I', 'You']
const TOP_K = 5

/** Prefixes of one length. */
export interface PrefixLength {
  /** Tokens of the sampled text, the first word among them. */
  readonly tokens: number
  /** How many, spread evenly over the first words. */
  readonly count: number
}

/** Samples prefixes from a model; the first is empty. */
export async function samplePrefixes(
  model: LanguageModel,
  lengths: readonly PrefixLength[],
  ctx: Context,
): Promise<string[]> {
  const random = ctx.random.stream('context templates')
  const prefixes = ['']
  for (const { tokens, count } of lengths) {
    const seeds = Array.from({ length: count }, (_, i) => SEEDS[i % SEEDS.length] ?? '')
    if (count === 0) continue
    const written = await model.generate(seeds, {
      maxNewTokens: tokens - 1,
      topK: TOP_K,
      uniform: random.stream(String(tokens)).uniform,
      signal: ctx.signal,
    })
    prefixes.push(...written.map(({ text }, i) => `${cleanText(`${seeds[i]}${text}`)}. `))
  }
  return prefixes
}

/** As the reference does: compatibility characters taken apart, blank lines to a space. */
function cleanText(text: string): string {
  return text.normalize('NFKD').replaceAll('\n\n', ' ')
}
