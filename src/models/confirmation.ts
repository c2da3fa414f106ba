/** The unedited model's own word on which of a memory's entries answers a prompt, if any does. */
import type { LanguageModel, TargetScore } from './model.ts'
import type { Confirmation, ContextEntry } from './patch.ts'
import { plainLetters } from './plain-letters.ts'

/** The candidate that the model confirms, nearest first where it does not tell them apart; null: none. */
export async function confirm(
  model: LanguageModel,
  confirmation: Confirmation,
  candidates: readonly ContextEntry[],
  prompt: string,
): Promise<ContextEntry | null> {
  if (candidates.length === 0) return null
  const sentences = candidates.map(({ sentence }) => sentence)
  if (confirmation.by === 'choice') {
    const ask = fill(confirmation.ask, sentences.join('\n'), prompt)
    // A sentence is one line: what a small model writes after it is about something else.
    const [said] = await model.generate([ask], { maxNewTokens: confirmation.maxNewTokens, stop: ['\n'] })
    return chosen(said?.text ?? '', confirmation.none, candidates)
  }
  const { ask, yes, no } = confirmation
  const scores = await model.score(
    sentences.flatMap((sentence) => [yes, no].map((target) => ({ prompt: fill(ask, sentence, prompt), target }))),
  )
  const odds = candidates.map((_, i) => logProbability(scores[2 * i]) - logProbability(scores[2 * i + 1]))
  const best = Math.max(...odds)
  return best > 0 ? (candidates[odds.indexOf(best)] ?? null) : null
}

/** Both places at once: what is put into one is not searched for the other. */
function fill(ask: string, facts: string, question: string): string {
  return ask.replaceAll(/\{(facts|question)\}/g, (_, place) => (place === 'facts' ? facts : question))
}

/** The candidate whose sentence a text repeats first; where there is one only, it, unless the text says that it is none. */
function chosen(text: string, none: readonly string[], candidates: readonly ContextEntry[]): ContextEntry | null {
  const said = plainLetters(text)
  if (none.some((word) => said.includes(plainLetters(word)))) return null
  const [only, ...others] = candidates
  if (only !== undefined && others.length === 0) return only
  const places = candidates.map(({ sentence }) => said.indexOf(plainLetters(sentence)))
  const first = Math.min(...places.filter((place) => place >= 0))
  return candidates[places.indexOf(first)] ?? null
}

function logProbability(score: TargetScore | undefined): number {
  return (score?.logProbs ?? [Number.NaN]).reduce((sum, value) => sum + value, 0)
}
