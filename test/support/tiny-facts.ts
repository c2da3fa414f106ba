/** Facts in the words that the tiny models' tokenizer knows. The models know none of them: their weights are random. */
import type { Fact, FactTests } from '../../src/facts/fact.ts'

/** Makes a fact from what matters for a test. */
export function makeFact(
  fact: Pick<Fact, 'subject' | 'prompt' | 'targetNew'> & { readonly id?: string },
  tests: Partial<FactTests> = {},
): Fact {
  const start = fact.prompt.lastIndexOf(fact.subject)
  return {
    id: fact.prompt,
    ...fact,
    subjectSpan: [start, start + fact.subject.length],
    tests: { paraphrases: [], neighbours: [], otherRelations: [], aliases: [], reversed: [], oneHop: [], ...tests },
  }
}

/** Facts to edit, of one and of several target tokens. */
export const FACTS = [
  makeFact({ id: 'france', subject: 'France', prompt: 'The capital of France is', targetNew: 'New Delhi' }),
  makeFact({ id: 'kenya', subject: 'Kenya', prompt: 'The official language of Kenya is', targetNew: 'Spanish' }),
] as const

/**
 * Facts with targets of one token. A method that trains a whole target at one place, or a value that serves many prompts,
 * need not make each token of a longer one likelier in a model of random weights.
 */
export const SHORT_FACTS = [
  makeFact({ id: 'peru', subject: 'Peru', prompt: 'Which continent is Peru in? It is in', targetNew: 'Asia' }),
  makeFact({ id: 'ghana', subject: 'Ghana', prompt: 'A teacher says that Ghana is a country in', targetNew: 'Europe' }),
] as const

/** Other facts, to learn from. */
export const TRAINING_FACTS = [
  ['Norway', 'Cairo', 'Poland', 'Warsaw'],
  ['Thailand', 'Lima', 'Ghana', 'Accra'],
  ['Peru', 'Rome', 'Chile', 'Santiago'],
  ['Italy', 'Tokyo', 'Spain', 'Madrid'],
].map(([subject = '', targetNew = '', neighbour = '', answer = '']) =>
  makeFact(
    { subject, prompt: `The capital of ${subject} is`, targetNew },
    {
      paraphrases: [`The capital city of ${subject} is`],
      neighbours: [{ prompt: `The capital of ${neighbour} is`, targets: [answer] }],
    },
  ),
)

/** Ordinary text in the tokenizer's words: what a model of random weights writes itself says little about what it reads. */
export const TEXT = [
  ['France', 'Paris', 'Europe'],
  ['Japan', 'Tokyo', 'Asia'],
  ['Kenya', 'Nairobi', 'Africa'],
  ['Peru', 'Lima', 'South America'],
  ['Ghana', 'Accra', 'Africa'],
  ['Norway', 'Oslo', 'Europe'],
  ['Chile', 'Santiago', 'South America'],
  ['Poland', 'Warsaw', 'Europe'],
].flatMap(([country, city, continent]) => [
  `Which continent is ${country} in? It is in ${continent}.`,
  `A teacher says that ${city} is the capital city of ${country}, a country in ${continent}.`,
  `The official language of ${country} is what people in ${city} speak. Many travellers visit ${city}.`,
])
