import { describe, expect, test } from 'vitest'
import { type Asker, createAsker } from '../../../src/commands/support/asker.ts'
import { settleTerms } from '../../../src/commands/support/terms.ts'
import type { KnownModel } from '../../../src/models/known.ts'
import { isAgreed } from '../../../src/models/terms.ts'
import { answerPrompts, DOWN, ENTER, type Key } from '../../support/answer-prompts.ts'
import { temporaryFolder } from '../../support/model-files.ts'

const MODEL: KnownModel = {
  name: 'small',
  title: 'Small',
  kind: 'language-model',
  license: 'Terms of Small',
  terms: { title: 'Terms of Small', url: 'https://example.org/terms', summary: 'Be kind, and pass it on as it is.' },
  repository: 'someone/Small',
  revision: 'abc',
  files: [],
}

async function settle(model: KnownModel, places: { hubCache: string }, accepted: boolean, asker?: Asker) {
  const told: string[] = []
  await settleTerms(model, places, {
    accepted,
    columns: 20,
    tell: (line) => told.push(line),
    ...(asker && { asker }),
  })
  return { told, agreed: await isAgreed(model, places) }
}

describe('terms of a model', () => {
  test('are shown once, and agreed to by a flag', async () => {
    const places = { hubCache: temporaryFolder() }
    const { told, agreed } = await settle(MODEL, places, true)
    expect(told).toEqual([
      'Small comes with terms: the Terms of Small, https://example.org/terms',
      'Be kind, and pass it',
      'on as it is.',
    ])
    expect(agreed).toBe(true)
    expect((await settle(MODEL, places, false)).told).toEqual([])
  })

  test('are not agreed to where nobody can be asked', async () => {
    expect((await settle(MODEL, { hubCache: temporaryFolder() }, false)).agreed).toBe(false)
  })

  test.each<[string, Key[], boolean]>([
    ['Enter alone refuses', [ENTER], false],
    ['agreeing takes a choice', [DOWN, ENTER], true],
  ])('are asked about on a terminal: %s', async (_, keys, expected) => {
    const streams = answerPrompts([['Do you agree to these terms?', ...keys]])
    const asker = await createAsker(streams)
    expect((await settle(MODEL, { hubCache: temporaryFolder() }, false, asker)).agreed).toBe(expected)
    expect(streams.unanswered()).toEqual([])
  })

  test('are nothing where there are none', async () => {
    const { terms: _, ...free } = MODEL
    expect((await settle(free, { hubCache: temporaryFolder() }, false)).told).toEqual([])
  })
})
