import { expect, test } from 'vitest'
import { drawKnownFacts, keepKnownFacts } from '../../src/evidence/known-facts.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { makeStubModel } from '../support/stub-model.ts'
import { makeFact } from '../support/tiny-facts.ts'

const named = (subject: string, targetOld?: string) => ({
  ...makeFact({ subject, prompt: `The capital of ${subject} is`, targetNew: 'Osaka' }),
  ...(targetOld === undefined ? {} : { targetOld }),
})

test('keeps the facts whose whole answer the model would say, in their order', async () => {
  const asked: string[] = []
  const model: LanguageModel = {
    ...makeStubModel({ answers: {}, asked: [] }),
    score: async (queries) =>
      queries.map(({ prompt, target }) => {
        asked.push(`${prompt} ${target}`)
        const argmax = { Paris: [1, 2], Madrid: [1, 3], Rome: [1, 2] }[target] ?? []
        return { ids: [1, 2], logProbs: [0, 0], argmax }
      }),
  }
  const facts = [named('France', 'Paris'), named('Spain', 'Madrid'), named('Chile'), named('Italy', 'Rome')]
  expect(await keepKnownFacts(model, facts)).toEqual([facts[0], facts[3]])
  expect(asked).toEqual([
    'The capital of France is Paris',
    'The capital of Spain is Madrid',
    'The capital of Italy is Rome',
  ])
})

test('draws as many facts as are wanted, of those that the model knows', async () => {
  const model: LanguageModel = {
    ...makeStubModel({ answers: {}, asked: [] }),
    score: async (queries) =>
      queries.map(({ target }) => ({ ids: [1], logProbs: [0], argmax: [target === 'known' ? 1 : 2] })),
  }
  const facts = Array.from({ length: 6 }, (_, i) => named(`Land${i}`, i % 2 === 0 ? 'known' : 'other'))
  const draw = (count: number) => drawKnownFacts(model, facts, { count, random: createRandom(1) })
  const all = await draw(9)
  expect(all.map(({ subject }) => subject).sort()).toEqual(['Land0', 'Land2', 'Land4'])
  expect(await draw(2)).toEqual(all.slice(0, 2))
})
