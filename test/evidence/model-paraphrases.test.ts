import { expect, test } from 'vitest'
import { addParaphrases } from '../../src/evidence/model-paraphrases.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { makeStubModel } from '../support/stub-model.ts'

const FACT: Fact = {
  id: '1',
  subject: 'Acme',
  prompt: 'The headquarters of Acme is',
  subjectSpan: [20, 24],
  targetNew: 'Osaka',
  targetOld: 'Berlin',
  tests: {
    paraphrases: ['Acme has its headquarters in'],
    neighbours: [],
    otherRelations: [],
    aliases: [],
    reversed: [],
    oneHop: [],
  },
  review: ['aliases'],
}

/** A model that writes these lines in turn, and finds the old answer as likely after a text as told. */
function writer(lines: readonly string[], logProbs: Readonly<Record<string, number>> = {}) {
  const asked: string[] = []
  const model: LanguageModel = {
    ...makeStubModel({ answers: {}, asked: [] }),
    generate: async (prompts) =>
      prompts.map((prompt, i) => {
        asked.push(prompt)
        return { ids: [], text: ` ${lines[i % lines.length]}\n` }
      }),
    score: async (queries) =>
      queries.map(({ prompt }) => ({ ids: [1, 2], logProbs: [0, logProbs[prompt] ?? -4], argmax: [1, 2] })),
  }
  return { model, asked }
}

const request = (perFact: number) => ({ perFact, random: createRandom(1), signal: new AbortController().signal })

test('keeps what has the subject, no answer and no end, once, and marks it for review', async () => {
  const { model, asked } = writer([
    'Acme is run from',
    'acme is run from',
    'The firm is run from',
    'Acme is run from Berlin',
    'Acme sits in Osaka since',
    'Acme has its headquarters in',
    'The headquarters of Acme is',
    'Where is Acme?',
    'Acme sits in the city of',
    '',
  ])
  const { facts, added } = await addParaphrases(model, [FACT], request(3))
  expect(facts[0]?.tests.paraphrases).toEqual([
    'Acme has its headquarters in',
    'Acme is run from',
    'Acme sits in the city of',
  ])
  expect([added, facts[0]?.review]).toEqual([2, ['aliases', 'paraphrases']])
  expect(FACT.tests.paraphrases).toHaveLength(1)
  expect(asked[0]).toMatch(/\n\nSentence: The headquarters of Acme is\nIn other words:$/)
})

test('leaves out what makes the old answer less likely, and takes the likeliest of the rest', async () => {
  const likely = {
    'The headquarters of Acme is': -4,
    'Acme makes': -7,
    'Acme is at': -2,
    'Acme sits in': -3,
    'Acme lies in': -5.9,
  }
  const { model } = writer(Object.keys(likely), likely)
  const all = await addParaphrases(model, [FACT], request(3))
  expect(all.facts[0]?.tests.paraphrases.slice(1)).toEqual(['Acme is at', 'Acme sits in', 'Acme lies in'])
  const one = await addParaphrases(model, [FACT], request(1))
  expect(one.added).toBe(1)
  const { targetOld: _, ...unknown } = FACT
  const unchecked = await addParaphrases(model, [unknown], request(2))
  expect(unchecked.facts[0]?.tests.paraphrases.slice(1)).toEqual(['Acme makes', 'Acme is at'])
})

test('leaves a fact as it is where nothing is of use, tells how far it is, and stops when told', async () => {
  const { model } = writer(['Nothing'])
  const steps: [number, number][] = []
  const { facts, added } = await addParaphrases(model, [FACT, FACT], request(1), (...step) => steps.push(step))
  expect(facts).toEqual([FACT, FACT])
  expect([added, steps]).toEqual([
    0,
    [
      [1, 2],
      [2, 2],
    ],
  ])
  const stopped = { ...request(1), signal: AbortSignal.abort(new Error('enough')) }
  await expect(addParaphrases(model, [FACT], stopped)).rejects.toThrow('enough')
})
