/** "Did you mean": the nearest of the words that would have been right. */
import { distance } from 'fastest-levenshtein'

/** At most this share of the longer word may differ; a half still takes two letters in the wrong order in a word of four. */
const MAX_DIFFERENCE = 0.5
const MAX_SUGGESTIONS = 3

/** The words of `known` nearest to `word`, best first; none that differs in most letters. */
export function suggest(word: string, known: readonly string[]): string[] {
  return known
    .map((candidate) => ({
      candidate,
      difference: distance(word, candidate) / Math.max(word.length, candidate.length),
    }))
    .filter(({ difference }) => difference <= MAX_DIFFERENCE)
    .sort((a, b) => a.difference - b.difference)
    .slice(0, MAX_SUGGESTIONS)
    .map(({ candidate }) => candidate)
}
