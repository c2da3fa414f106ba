import { expect, test } from 'vitest'
import { keepKnownHops } from '../../src/evidence/known-hops.ts'
import type { Fact, HopQuestion } from '../../src/facts/fact.ts'
import { makeStubModel } from '../support/stub-model.ts'

const NO_TESTS = { paraphrases: [], neighbours: [], otherRelations: [], aliases: [], reversed: [], oneHop: [] }

function makeHop(second: string | undefined): HopQuestion {
  const hop: HopQuestion = { prompt: `Hop over ${second} is`, targets: ['Asia'] }
  return second === undefined
    ? hop
    : { ...hop, secondFact: { prompt: `${second} lies in`, targets: ['Asia', 'Eurasia'] } }
}

function makeFact(id: string, oneHop: readonly HopQuestion[]): Fact {
  const review = ['paraphrases', 'oneHop']
  return {
    id,
    subject: 'a',
    prompt: 'a is',
    subjectSpan: [0, 1],
    targetNew: 'b',
    tests: { ...NO_TESTS, oneHop },
    review,
  }
}

const asking = { maxNewTokens: 4, signal: new AbortController().signal }

test('keeps hops whose second fact the model knows, and those that name none', async () => {
  const asked: string[] = []
  const model = makeStubModel({
    answers: { 'Osaka lies in': ' Asia.', 'Kobe lies in': ' Eurasia.', 'Lyon lies in': ' Europe.' },
    asked,
  })
  const first = makeFact('1', [makeHop('Osaka'), makeHop('Lyon'), makeHop(undefined)])
  const second = makeFact('2', [makeHop('Lyon')])
  const third = makeFact('3', [makeHop('Kobe'), makeHop('Osaka')])
  const steps: [number, number][] = []
  const { facts, dropped } = await keepKnownHops(model, [first, second, third], asking, (done, total) => {
    steps.push([done, total])
  })
  expect(facts.map(({ tests }) => tests.oneHop.map(({ prompt }) => prompt))).toEqual([
    ['Hop over Osaka is', 'Hop over undefined is'],
    [],
    ['Hop over Kobe is', 'Hop over Osaka is'],
  ])
  expect(dropped).toBe(2)
  // What is not there need not be reviewed; the given facts stay as they were.
  expect(facts.map(({ review }) => review)).toEqual([
    ['paraphrases', 'oneHop'],
    ['paraphrases'],
    ['paraphrases', 'oneHop'],
  ])
  expect(second.tests.oneHop).toHaveLength(1)
  // Each second fact is asked once.
  expect(steps).toEqual([[3, 3]])
})

test('asks nothing where nothing needs it, and stops when told', async () => {
  const { review: _, ...bare } = makeFact('1', [])
  expect(await keepKnownHops(makeStubModel({ answers: {} }), [bare], asking)).toEqual({ facts: [bare], dropped: 0 })
  const stopped = { ...asking, signal: AbortSignal.abort(new Error('stop')) }
  await expect(keepKnownHops(makeStubModel({ answers: {} }), [makeFact('1', [makeHop('x')])], stopped)).rejects.toThrow(
    'stop',
  )
})
