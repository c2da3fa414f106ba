/** The unedited model's own word on which of a memory's entries answers a prompt, if any does. */
import type { LanguageModel, TargetScore } from './model.ts'
import type { Confirmation, ContextEntry } from './patch.ts'
import { plainLetters } from './plain-letters.ts'

/** A prompt and the entries that may answer it, nearest first. */
export interface Candidacy {
  readonly prompt: string
  readonly candidates: readonly ContextEntry[]
}

/** The candidate that the model confirms for each prompt, the nearest where it does not tell them apart; null: none. */
export async function confirm(
  model: LanguageModel,
  confirmation: Confirmation,
  asked: readonly Candidacy[],
): Promise<(ContextEntry | null)[]> {
  return confirmation.by === 'choice' ? choose(model, confirmation, asked) : judge(model, confirmation, asked)
}

/** Shows the model all candidates of a prompt; it repeats one. */
async function choose(
  model: LanguageModel,
  { ask, none, maxNewTokens }: Confirmation & { by: 'choice' },
  asked: readonly Candidacy[],
): Promise<(ContextEntry | null)[]> {
  const open = asked.filter(({ candidates }) => candidates.length > 0)
  const shown = open.map(({ prompt, candidates }) =>
    fill(ask, candidates.map(({ sentence }) => sentence).join('\n'), prompt),
  )
  // A sentence is one line: what a small model writes after it is about something else.
  const said = (await model.generate(shown, { maxNewTokens, stop: ['\n'] })).values()
  return asked.map(({ candidates }) =>
    candidates.length === 0 ? null : chosen(said.next().value?.text ?? '', none, candidates),
  )
}

/** Shows the model each candidate of a prompt alone; it says yes or no. */
async function judge(
  model: LanguageModel,
  { ask, yes, no }: Confirmation & { by: 'likelihood' },
  asked: readonly Candidacy[],
): Promise<(ContextEntry | null)[]> {
  const scores = (
    await model.score(
      asked.flatMap(({ prompt, candidates }) =>
        candidates.flatMap(({ sentence }) =>
          [yes, no].map((target) => ({ prompt: fill(ask, sentence, prompt), target })),
        ),
      ),
    )
  ).values()
  return asked.map(({ candidates }) => {
    const odds = candidates.map(() => logProbability(scores.next().value) - logProbability(scores.next().value))
    const best = Math.max(...odds)
    return best > 0 ? (candidates[odds.indexOf(best)] ?? null) : null
  })
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
