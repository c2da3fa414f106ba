/** Asking models: both readings of each question, and what the edited model needs longer for an answer. */
import { WhicheditError } from '../errors.ts'
import type { Fact, Question } from '../facts/fact.ts'
import type { LanguageModel } from '../models/model.ts'
import type { Reading } from '../probes/probe.ts'
import { median } from '../tensor/stats.ts'
import type { PlannedItem } from './plan.ts'
import type { CaseReadings } from './record.ts'

/** How answers are asked for. */
export interface Asking {
  /** Tokens of a free answer, at least. */
  readonly maxNewTokens: number
  readonly signal: AbortSignal
}

/** What a free answer may have beside the longest target: an article, a preposition, `the city of`. */
const SLACK_TOKENS = 4

/**
 * Asks a model a list of questions, all in one batch: greedy generation, and teacher forcing along the first target.
 * Free answers get {@link Asking.maxNewTokens}, more where a target would not fit.
 * @throws E_NOT_FINITE when the model's probabilities are not numbers any more
 */
export async function askAll(model: LanguageModel, questions: readonly Question[], asking: Asking): Promise<Reading[]> {
  if (questions.length === 0) return []
  const scores = await model.score(questions.map(({ prompt, targets: [target] }) => ({ prompt, target })))
  const longest = Math.max(...scores.map(({ ids }) => ids.length))
  const answers = await model.generate(
    questions.map(({ prompt }) => prompt),
    { maxNewTokens: Math.max(asking.maxNewTokens, longest + SLACK_TOKENS), signal: asking.signal },
  )
  return questions.map(({ prompt }, index) => {
    const [score, answer] = [scores[index], answers[index]]
    if (score === undefined || answer === undefined) {
      throw new WhicheditError('E_INTERNAL', { what: `no answer to question ${index + 1} of ${questions.length}` })
    }
    const broken = score.logProbs.find((logProb) => !Number.isFinite(logProb))
    if (broken !== undefined) {
      throw new WhicheditError('E_NOT_FINITE', { where: `the answer to "${prompt}"`, found: String(broken) })
    }
    const { text, loopFailed } = answer
    const reading = { text, targetIds: score.ids, logProbs: score.logProbs, argmax: score.argmax }
    return loopFailed ? { ...reading, loopFailed } : reading
  })
}

/**
 * What the unedited model says to the questions of a case. What items require is asked in a batch of its own, so that the
 * unedited and the edited model are asked the items in the same batch: a batch's shape may change a number's last bits.
 */
export async function readUnedited(
  model: LanguageModel,
  { fact, items }: { fact: Fact; items: readonly PlannedItem[] },
  asking: Asking,
): Promise<CaseReadings> {
  const base = await askAll(
    model,
    items.map(({ item }) => item),
    asking,
  )
  const requirements = items.flatMap(({ item }) => (item.requires === undefined ? [] : [item.requires]))
  const required = (await askAll(model, requirements, asking)).values()
  return {
    factId: fact.id,
    items: items.map(({ probe, item }, index) => ({
      probe: probe.name,
      item: item.item,
      base: at(base, index),
      ...(item.requires === undefined ? {} : { required: required.next().value }),
    })),
  }
}

/** Tells whether stored readings are those of these items. */
export function areReadingsOf(readings: CaseReadings, items: readonly PlannedItem[]): boolean {
  return (
    readings.items.length === items.length &&
    items.every(({ probe, item }, index) => {
      const found = readings.items[index]
      const isComplete = item.requires === undefined || found?.required !== undefined
      return found?.probe === probe.name && found.item === item.item && isComplete
    })
  )
}

/** Tokens of the answers whose times are compared: one for the prompt's pass, one for a step after it. */
const TIMED_TOKENS = 2
/** Pairs of answers timed for one case; the first pair, which may still compile, is not among them. */
const TIMED_PAIRS = 5

/**
 * Seconds that an edited model needs more than the unedited one for an answer to `prompt`: the difference of the shortest
 * times over answers of the same length, asked in turn in this process. (Other work on the machine only ever adds to a time.)
 * What does not exceed the unedited model's own spread, from its shortest to its median time, is taken for nothing: 0.
 */
export async function timeExtraQuery(
  models: { readonly base: LanguageModel; readonly edited: LanguageModel },
  prompt: string,
  { signal, now }: { readonly signal: AbortSignal; readonly now: () => number },
): Promise<number> {
  const answer = async (model: LanguageModel, maxNewTokens: number): Promise<{ ms: number; tokens: number }> => {
    const start = now()
    const [generation] = await model.generate([prompt], { maxNewTokens, signal })
    return { ms: now() - start, tokens: generation?.ids.length ?? 0 }
  }
  const warm = [await answer(models.base, TIMED_TOKENS), await answer(models.edited, TIMED_TOKENS)]
  // Greedy answers do not depend on where they are cut: both get exactly as many tokens as the shorter one has.
  const tokens = Math.max(1, Math.min(...warm.map((timed) => timed.tokens)))
  const baseMs: number[] = []
  const editedMs: number[] = []
  for (let pair = 0; pair < TIMED_PAIRS; pair++) {
    baseMs.push((await answer(models.base, tokens)).ms)
    editedMs.push((await answer(models.edited, tokens)).ms)
  }
  const extra = Math.min(...editedMs) - Math.min(...baseMs)
  const noise = median(baseMs) - Math.min(...baseMs)
  return extra > noise ? extra / 1000 : 0
}

function at<T>(list: readonly T[], index: number): T {
  const found = list[index]
  if (found === undefined) throw new WhicheditError('E_INTERNAL', { what: `nothing at ${index} of ${list.length}` })
  return found
}
