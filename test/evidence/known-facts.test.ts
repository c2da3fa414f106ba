import { expect, test } from 'vitest'
import { keepKnownFacts } from '../../src/evidence/known-facts.ts'
import type { LanguageModel } from '../../src/models/model.ts'
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
