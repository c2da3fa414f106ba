/** Facts that a model knows: only of those can be said where it recalls them, or that an edit replaced something. */
import type { Fact } from '../facts/fact.ts'
import type { LanguageModel } from '../models/model.ts'

/** A fact with its answer before the edit. */
export type AnsweredFact = Fact & { readonly targetOld: string }

/** Keeps the facts whose old answer the model would say itself, token after token. */
export async function keepKnownFacts(model: LanguageModel, facts: readonly Fact[]): Promise<AnsweredFact[]> {
  const asked = facts.filter(hasAnswer)
  const scores = await model.score(asked.map(({ prompt, targetOld }) => ({ prompt, target: targetOld })))
  return asked.filter((_, i) => scores[i]?.ids.every((id, t) => id === scores[i]?.argmax[t]) === true)
}

function hasAnswer(fact: Fact): fact is AnsweredFact {
  return fact.targetOld !== undefined
}
