/** One-hop questions of a user's own facts: kept where the unedited model has the second fact that they need. */
import type { Fact } from '../facts/fact.ts'
import type { LanguageModel } from '../models/model.ts'
import { saysTarget } from '../probes/answer.ts'
import { type Asking, askAll } from './readings.ts'

/** Facts with the hops that can be judged, and how many others there were. */
export interface KnownHops {
  readonly facts: readonly Fact[]
  readonly dropped: number
}

/** Questions asked in one batch: more would not be faster. */
const BATCH = 16

/**
 * Asks the unedited model the second facts, and leaves out the hops whose second fact it does not know. Hops of which the
 * data does not say the second fact stay.
 * @throws E_NOT_FINITE when the model's probabilities are not numbers; what the signal aborts with
 */
export async function keepKnownHops(
  model: LanguageModel,
  facts: readonly Fact[],
  asking: Asking,
  onAsked: (done: number, total: number) => void = () => {},
): Promise<KnownHops> {
  const asked = facts.flatMap(({ tests }) => tests.oneHop.flatMap(({ secondFact }) => secondFact ?? []))
  const questions = [...new Map(asked.map((question) => [question.prompt, question])).values()]
  const known = new Set<string>()
  for (let start = 0; start < questions.length; start += BATCH) {
    asking.signal.throwIfAborted()
    const batch = questions.slice(start, start + BATCH)
    const readings = await askAll(model, batch, asking)
    batch.forEach(({ prompt, targets }, at) => {
      if (saysTarget(readings[at]?.text ?? '', prompt, targets)) known.add(prompt)
    })
    onAsked(Math.min(start + BATCH, questions.length), questions.length)
  }
  let dropped = 0
  const kept = facts.map((fact): Fact => {
    const oneHop = fact.tests.oneHop.filter(
      ({ secondFact }) => secondFact === undefined || known.has(secondFact.prompt),
    )
    dropped += fact.tests.oneHop.length - oneHop.length
    const { review, ...rest } = fact
    const left = review?.filter((kind) => kind !== 'oneHop' || oneHop.length > 0)
    return { ...rest, tests: { ...fact.tests, oneHop }, ...(left === undefined ? {} : { review: left }) }
  })
  return { facts: kept, dropped }
}
