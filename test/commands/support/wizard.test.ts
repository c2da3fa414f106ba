import { describe, expect, test } from 'vitest'
import { createAsker } from '../../../src/commands/support/asker.ts'
import { type Answers, askMissing, type Offers } from '../../../src/commands/support/wizard.ts'
import { parseProfile } from '../../../src/scoring/profile.ts'
import { answerPrompts, DOWN, ENTER, type Step } from '../../support/answer-prompts.ts'

const BALANCED = await parseProfile(
  'schema: whichedit/profile@1\ntitle: A bit of everything\nweights: {reliability: 30, generalization: 20, locality: 20, portability: 20, efficiency: 10}\n',
  'balanced.yaml',
)

const OFFERS: Offers = {
  models: [{ value: 'smollm2-135m', name: 'smollm2-135m' }],
  facts: [{ value: 'countries', name: 'countries: 60 facts' }],
  presets: [{ name: 'balanced', profile: BALANCED }],
  unicode: true,
}

async function play(
  script: readonly Step[],
  given: Partial<Answers> = {},
): Promise<{ answers: Answers; drawn: string }> {
  const streams = answerPrompts(script)
  const answers = await askMissing(await createAsker(streams), given, OFFERS)
  expect(streams.unanswered()).toEqual([])
  return { answers, drawn: streams.drawn() }
}

const BASICS: Step[] = [
  ['Which model is to be edited?', ENTER],
  ['Which facts are to be tried?', ENTER],
  ['How many facts to try?', ENTER],
  ['Which is nearest to what you need?', ENTER],
]

describe('the wizard', () => {
  test('takes everything as it is offered', async () => {
    const { answers } = await play([
      ...BASICS,
      ['Is this your workload? 1 edits (single)', ENTER],
      ['What matters to you?', ENTER],
    ])
    expect(answers).toEqual({ model: 'smollm2-135m', facts: 'countries', cases: 16, profile: 'balanced' })
  })

  test('asks only for what no flag has given', async () => {
    const { answers, drawn } = await play([['How many facts to try?', '\b\b8', ENTER]], {
      model: 'm',
      facts: 'f',
      weights: 'locality=1',
    })
    expect(answers).toEqual({ model: 'm', facts: 'f', cases: 8, weights: 'locality=1' })
    expect(drawn).not.toContain('Which model')
  })

  test('takes points', async () => {
    const { answers } = await play([
      ...BASICS,
      ['Is this your workload?', ENTER],
      ['What matters to you?', DOWN, ENTER],
      ['2 h … 10 s for your workload', { name: 'left' }, DOWN, { name: 'right' }, ENTER],
      ['Save this as a profile', ENTER],
    ])
    expect(answers).toMatchObject({
      profile: 'balanced',
      weights: 'reliability=25,generalization=25,locality=20,portability=20,efficiency=10',
    })
    expect(answers.save).toBeUndefined()
  })

  test('takes an order, and saves', async () => {
    const { answers } = await play([
      ...BASICS,
      ['Is this your workload?', ENTER],
      ['What matters to you?', DOWN, DOWN, ENTER],
      ['What matters most?', DOWN, DOWN, ENTER],
      ['And then?', ENTER],
      ['And then?', ENTER],
      ['And then?', ENTER],
      ['Save this as a profile', 'y', ENTER],
      ['Under which name?', ENTER],
    ])
    expect(answers).toMatchObject({
      order: 'locality,reliability,generalization,portability,efficiency',
      save: 'whichedit.yaml',
    })
  })

  test('takes a workload and limits, and refuses what is none', async () => {
    const { answers, drawn } = await play([
      ...BASICS,
      ['Is this your workload?', 'n', ENTER],
      ['How many edits', '\b1000', ENTER],
      ['How do they arrive?', DOWN, ENTER],
      ['Must related knowledge follow?', DOWN, ENTER],
      ['How many questions', ENTER],
      ['Most memory', 'lots', ENTER],
      ['Expected a size', '\b\b\b\b16 GiB', ENTER],
      ['Longest preparation?', ENTER],
      ['What matters to you?', ENTER],
      ['Save this as a profile', ENTER],
    ])
    expect(answers).toMatchObject({
      edits: 1000,
      arrival: 'batch',
      related: 'high',
      queries: 1000,
      'max-memory': '16 GiB',
    })
    expect(answers['max-prepare']).toBeUndefined()
    expect(drawn).toContain('Expected a size')
  })

  test('takes a path where nothing offered fits, and refuses one that leads nowhere', async () => {
    const { answers } = await play(
      [
        ['Which facts are to be tried?', DOWN, ENTER],
        ['Which file?', 'no/such/file', ENTER],
        ['There is nothing of that name', '\b'.repeat('no/such/file'.length), 'package.json', ENTER],
      ],
      { model: 'm', cases: 4, profile: 'p' },
    )
    expect(answers).toEqual({ model: 'm', facts: 'package.json', cases: 4, profile: 'p' })
  })

  test('Ctrl-C ends it in the way the commands know', async () => {
    const streams = answerPrompts([['Which model', { name: 'c', ctrl: true }]])
    const answering = askMissing(await createAsker(streams), {}, OFFERS)
    await expect(answering).rejects.toMatchObject({ name: 'ExitPromptError' })
  })
})
