import { describe, expect, test } from 'vitest'
import { confirm } from '../../src/models/confirmation.ts'
import type { Confirmation, ContextEntry } from '../../src/models/patch.ts'
import { zeros } from '../../src/tensor/tensor.ts'
import { makeStubModel } from '../support/stub-model.ts'

const entryOf = (sentence: string): ContextEntry => ({
  key: sentence,
  sentence,
  vector: zeros([1]),
  before: '',
  after: '',
})
const FRANCE = entryOf('The capital of France is Lima.')
const JAPAN = entryOf('People in Japan speak Swahili.')

describe('a choice', () => {
  const CHOICE: Confirmation = {
    by: 'choice',
    candidates: 2,
    ask: '{facts}\n{question}',
    none: ['no fact'],
    maxNewTokens: 50,
  }
  const ask = (said: string, candidates: readonly ContextEntry[], prompt = 'Which?') => {
    const asked = `${candidates.map(({ sentence }) => sentence).join('\n')}\n${prompt}`
    return confirm(makeStubModel({ answers: { [asked]: said } }), CHOICE, candidates, prompt)
  }

  test.each([
    ['the sentence that is repeated', ' People in Japan speak Swahili.', JAPAN],
    ['whatever its capitals and marks', ' "people in japan speak swahili"', JAPAN],
    ['the one that is repeated first', ' People in Japan speak Swahili. The capital of France is Lima.', JAPAN],
    ['none where it says so', ' There is no fact about this.', null],
    ['none where it repeats none', ' The capital of France is Paris.', null],
  ])('is of two %s', async (_, said, expected) => {
    expect(await ask(said, [FRANCE, JAPAN])).toBe(expected)
  })

  test.each([
    ['it, unless it is refused', ' Paris.', FRANCE],
    ['none where it is refused', ' No fact.', null],
  ])('of one is %s', async (_, said, expected) => {
    expect(await ask(said, [FRANCE])).toBe(expected)
  })

  test('of nothing is nothing', async () => {
    expect(await ask('', [])).toBeNull()
  })

  test('takes what a prompt or a sentence says as it stands', async () => {
    const odd = entryOf('A fact with {question} in it.')
    expect(await ask(' A fact with {question} in it.', [FRANCE, odd], 'What is {facts}?')).toBe(odd)
  })
})

describe('a judgement', () => {
  const JUDGEMENT: Confirmation = { by: 'likelihood', candidates: 2, ask: '{facts} {question}', yes: 'yes', no: 'no' }
  const ask = (answers: Readonly<Record<string, string>>) =>
    confirm(makeStubModel({ answers }), JUDGEMENT, [FRANCE, JAPAN], 'Which?')

  test.each([
    ['the one for which yes is likelier', { [`${JAPAN.sentence} Which?`]: ' yes' }, JAPAN],
    [
      'the nearer one where both are as likely',
      {
        [`${FRANCE.sentence} Which?`]: ' yes',
        [`${JAPAN.sentence} Which?`]: ' yes',
      },
      FRANCE,
    ],
    ['none where no is likelier', { [`${FRANCE.sentence} Which?`]: ' no', [`${JAPAN.sentence} Which?`]: ' no' }, null],
    ['none where neither is', {}, null],
  ] as const)('is for %s', async (_, answers, expected) => {
    expect(await ask(answers)).toBe(expected)
  })
})
