/** Facts that a model knows: only of those can be said where it recalls them, or that an edit replaced something. */
import { chooseCases } from '../facts/cases.ts'
import type { Fact } from '../facts/fact.ts'
import type { LanguageModel } from '../models/model.ts'
import type { Random } from '../tensor/random.ts'

/** A fact with its answer before the edit. */
export type AnsweredFact = Fact & { readonly targetOld: string }

/** Keeps the facts whose old answer the model would say itself, token after token. */
export async function keepKnownFacts(model: LanguageModel, facts: readonly Fact[]): Promise<AnsweredFact[]> {
  const asked = facts.filter(hasAnswer)
  const scores = await model.score(asked.map(({ prompt, targetOld }) => ({ prompt, target: targetOld })))
  return asked.filter((_, i) => scores[i]?.ids.every((id, t) => id === scores[i]?.argmax[t]) === true)
}

/** Facts asked for each one wanted: many models know few. */
const ASKED = 20

/** Draws `count` facts that the model knows, fewer where it knows so few of those it is asked. */
export async function drawKnownFacts(
  model: LanguageModel,
  facts: readonly Fact[],
  { count, random }: { readonly count: number; readonly random: Random },
): Promise<AnsweredFact[]> {
  return (await keepKnownFacts(model, chooseCases(facts, ASKED * count, random))).slice(0, count)
}

function hasAnswer(fact: Fact): fact is AnsweredFact {
  return fact.targetOld !== undefined
}
