import { describe, expect, test } from 'vitest'
import { type Candidacy, confirm } from '../../src/models/confirmation.ts'
import type { LanguageModel } from '../../src/models/model.ts'
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

async function confirmOne(model: LanguageModel, confirmation: Confirmation, asked: Candidacy) {
  const [entry] = await confirm(model, confirmation, [asked])
  return entry
}

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
    return confirmOne(makeStubModel({ answers: { [asked]: said } }), CHOICE, { candidates, prompt })
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
    confirmOne(makeStubModel({ answers }), JUDGEMENT, { candidates: [FRANCE, JAPAN], prompt: 'Which?' })

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

test('prompts asked together find what each finds alone, those without candidates nothing', async () => {
  const confirmation: Confirmation = {
    by: 'likelihood',
    candidates: 2,
    ask: '{facts} {question}',
    yes: 'yes',
    no: 'no',
  }
  const answers = { [`${JAPAN.sentence} Who?`]: ' yes', [`${FRANCE.sentence} Where?`]: ' yes' }
  const asked = [
    { prompt: 'Who?', candidates: [FRANCE, JAPAN] },
    { prompt: 'What?', candidates: [] },
    { prompt: 'When?', candidates: [JAPAN] },
    { prompt: 'Where?', candidates: [FRANCE] },
  ]
  expect(await confirm(makeStubModel({ answers }), confirmation, asked)).toEqual([JAPAN, null, null, FRANCE])
})

test('several choices are asked in one call, and each answer goes to its prompt', async () => {
  const confirmation: Confirmation = {
    by: 'choice',
    candidates: 2,
    ask: '{facts}\n{question}',
    none: ['no'],
    maxNewTokens: 9,
  }
  const both = `${FRANCE.sentence}\n${JAPAN.sentence}`
  const asked: string[] = []
  const answers = { [`${both}\nWho?`]: ` ${JAPAN.sentence}`, [`${both}\nWhere?`]: ` ${FRANCE.sentence}` }
  const found = await confirm(makeStubModel({ answers, asked }), confirmation, [
    { prompt: 'Who?', candidates: [FRANCE, JAPAN] },
    { prompt: 'What?', candidates: [] },
    { prompt: 'Where?', candidates: [FRANCE, JAPAN] },
  ])
  expect(found).toEqual([JAPAN, null, FRANCE])
  expect(asked).toEqual([`${both}\nWho?`, `${both}\nWhere?`])
})
