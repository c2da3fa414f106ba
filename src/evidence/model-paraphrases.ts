/**
 * Paraphrases of a user's own facts in a model's words. The model is shown how a prompt is said otherwise and goes on for the
 * fact's; what it writes is kept only where it can serve as a test: it has the subject and none of the answers, it is new, and
 * the old answer, where the fact has one, is about as likely after it as after the prompt: a text that means something else
 * does not lead there. What is kept is marked for review all the same.
 */
import type { Fact } from '../facts/fact.ts'
import type { LanguageModel } from '../models/model.ts'
import { saysTarget, words } from '../probes/answer.ts'
import type { Random } from '../tensor/random.ts'

/** How paraphrases are asked for. */
export interface ParaphraseRequest {
  /** Most of them for a fact. */
  readonly perFact: number
  /** Drawn from its stream `paraphrases`. */
  readonly random: Random
  readonly signal: AbortSignal
}

/** Facts with more paraphrases, and how many were added. */
export interface Paraphrased {
  readonly facts: readonly Fact[]
  readonly added: number
}

/** Pairs that show what is wanted; of relations that many users have. */
const EXAMPLES = [
  ['The capital of Italy is', 'Italy has its capital in the city of'],
  ['Marie Curie was born in', 'The birthplace of Marie Curie is'],
  ['The mother tongue of Goethe is', 'The language that Goethe grew up with is'],
  ['The headquarters of Nokia is in', 'Nokia is run from its offices in'],
  ['Mount Fuji is located in the country of', 'The country where Mount Fuji stands is'],
] as const

/** Drawn for each one wanted: of a small model most are of no use. */
const DRAWS = 4
/** Samples among so many tokens, as the prefixes of ROME do. */
const TOP_K = 5
const MAX_NEW_TOKENS = 24
/** Nats a token that the old answer may lose after a paraphrase, against the prompt. */
const MOST_LOSS = 1

/**
 * Adds paraphrases that the model writes, after those that are there.
 * @throws what the signal aborts with
 */
export async function addParaphrases(
  model: LanguageModel,
  facts: readonly Fact[],
  { perFact, random, signal }: ParaphraseRequest,
  onDone: (done: number, total: number) => void = () => {},
): Promise<Paraphrased> {
  const { uniform } = random.stream('paraphrases')
  const result: Fact[] = []
  let added = 0
  for (const fact of facts) {
    signal.throwIfAborted()
    const written = await model.generate(
      Array.from({ length: perFact * DRAWS }, () => instruct(fact.prompt)),
      { maxNewTokens: MAX_NEW_TOKENS, topK: TOP_K, uniform, stop: ['\n'], signal },
    )
    const usable = takeUsable(
      fact,
      written.map(({ text }) => text.trim()),
    )
    const kept = (await likeliest(model, fact, usable)).slice(0, perFact)
    added += kept.length
    result.push(kept.length === 0 ? fact : withParaphrases(fact, kept))
    onDone(result.length, facts.length)
  }
  return { facts: result, added }
}

function instruct(prompt: string): string {
  const shown = EXAMPLES.map(([sentence, other]) => `Sentence: ${sentence}\nIn other words: ${other}\n\n`)
  return `${shown.join('')}Sentence: ${prompt}\nIn other words:`
}

/** Those that have the subject, no answer and no end of a sentence, and that are not there yet. */
function takeUsable({ subject, prompt, targetNew, targetOld, tests }: Fact, texts: readonly string[]): string[] {
  const fold = (text: string): string => words(text).join(' ')
  const taken = new Set([prompt, ...tests.paraphrases].map(fold))
  const answers = [targetNew, ...(targetOld === undefined ? [] : [targetOld])]
  return texts.filter((text) => {
    const key = fold(text)
    const isNew = key !== '' && !taken.has(key)
    taken.add(key)
    return isNew && text.includes(subject) && !/[.!?:,;]$/.test(text) && !saysTarget(text, '', answers)
  })
}

/** Those after which the old answer is about as likely as after the prompt, the likeliest first; all where there is none. */
async function likeliest(
  model: LanguageModel,
  { prompt, targetOld }: Fact,
  texts: readonly string[],
): Promise<readonly string[]> {
  if (targetOld === undefined || texts.length === 0) return texts
  const scores = await model.score([prompt, ...texts].map((text) => ({ prompt: text, target: targetOld })))
  const [own = 0, ...others] = scores.map(({ logProbs }) => logProbs.reduce((a, b) => a + b, 0) / logProbs.length)
  return texts
    .map((text, i) => ({ text, logProb: others[i] ?? Number.NEGATIVE_INFINITY }))
    .filter(({ logProb }) => logProb >= own - MOST_LOSS)
    .sort((a, b) => b.logProb - a.logProb)
    .map(({ text }) => text)
}

function withParaphrases(fact: Fact, more: readonly string[]): Fact {
  const review = [...new Set([...(fact.review ?? []), 'paraphrases'])]
  return { ...fact, tests: { ...fact.tests, paraphrases: [...fact.tests.paraphrases, ...more] }, review }
}
