import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type MelloHparams, mello } from '../../src/editors/mello.ts'
import type { Fact } from '../../src/facts/fact.ts'
import { loadModel, type OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { ContextPart, Patch } from '../../src/models/patch.ts'
import { forgetFact, putIntoContext } from '../../src/models/retrieval.ts'
import { cosine, sentenceVectors } from '../../src/models/sentence-vectors.ts'
import { DEFAULT_MODEL } from '../../src/models/shipped.ts'
import { expectClose } from '../support/close.ts'
import { describeEditor, IN_CONTEXT } from '../support/editor-suite.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { makeFact } from '../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

/** Activations and log-probabilities: rounding of float32 over four layers. */
const F32_FORWARD = { relative: 1e-4 }

interface Golden {
  layer: number
  tokens: number
  subquestions: number
  facts: Pick<Fact, 'prompt' | 'targetNew'>[]
  target: string
  cases: {
    examples: string
    query: string
    steps: { subquestion: string; retrieved: number; cosines: number[] }[]
    text: string | null
    logProbs: number[]
  }[]
}

const GOLDEN: Golden = JSON.parse(readFileSync(new URL('../golden/mello.json', import.meta.url), 'utf8'))
const FACTS = GOLDEN.facts.map((fact) => makeFact({ subject: fact.prompt, ...fact }))
const SETTINGS: MelloHparams = {
  format: 'constrained',
  examples: 0,
  subquestions: GOLDEN.subquestions,
  tokens: GOLDEN.tokens,
  layer: GOLDEN.layer,
}

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const edit = (facts: readonly Fact[], hparams: Partial<MelloHparams> = {}, edited: LanguageModel = model) =>
  mello.edit(
    { model: edited, facts, hparams: { ...SETTINGS, ...hparams }, prepared: undefined, history: [] },
    testContext(),
  )

function contextOf({ parts: [part] }: Patch): ContextPart & Required<Pick<ContextPart, 'loop'>> {
  if (part?.kind !== 'context' || part.loop === undefined) throw new Error('expected a context with a loop')
  return { ...part, loop: part.loop }
}

/** The memory with other solved questions. */
function withExamples(patch: Patch, examples: string): ContextPart {
  const context = contextOf(patch)
  return { ...context, loop: { ...context.loop, examples } }
}

describe('against PyTorch', () => {
  test.each(GOLDEN.cases)('the steps of $query after "$examples", and what it then says', async (golden) => {
    const context = withExamples(await edit(FACTS), golden.examples)
    const [asked] = await putIntoContext(model, context, [golden.query])
    expect(asked).toMatchObject({ text: golden.text ?? golden.query, loopFailed: golden.text === null })
    const edited = model.withPatch({ parts: [context], report: {} })
    const [score] = await edited.score([{ prompt: golden.query, target: GOLDEN.target }])
    expectClose(score?.logProbs ?? [], golden.logProbs, F32_FORWARD, 'log-probabilities')
  })

  test('all prompts at once take the steps that each takes alone', async () => {
    const cases = GOLDEN.cases.filter(({ examples }) => examples !== '')
    const context = withExamples(await edit(FACTS), cases[0]?.examples ?? '')
    const asked = await putIntoContext(
      model,
      context,
      cases.map(({ query }) => query),
    )
    expect(asked.map(({ text }) => text)).toEqual(cases.map(({ text, query }) => text ?? query))
  })

  test('the cosines of subquestions and sentences', async () => {
    const { entries, retrieval } = contextOf(await edit(FACTS))
    expect(retrieval).toEqual({ by: 'cosine', vectors: { layer: GOLDEN.layer }, above: null })
    const steps = GOLDEN.cases.flatMap((golden) => golden.steps)
    for (const { subquestion, cosines } of steps) {
      const vector = await sentenceVectors(model, { layer: GOLDEN.layer }, [subquestion])
      const oldestFirst = entries.toReversed().map((entry) => cosine(entry.vector, vector))
      expectClose(oldestFirst, cosines, { absolute: 1e-5 }, 'cosines')
    }
    expect(new Set(steps.map(({ retrieved }) => retrieved)).size).toBeGreaterThan(1)
  })
})

describe('the memory', () => {
  test('holds sentences, and how many of the examples there are', async () => {
    const patch = await edit(FACTS, { examples: 1, format: 'free' })
    const { entries, loop } = contextOf(patch)
    expect(entries.map(({ sentence }) => sentence)).toEqual(
      FACTS.toReversed().map(({ prompt, targetNew }) => `${prompt} ${targetNew}.`),
    )
    expect(loop).toMatchObject({ format: 'free', subquestions: GOLDEN.subquestions, maxNewTokens: GOLDEN.tokens })
    expect(loop.examples.match(/^Final answer:/gm)).toHaveLength(1)
    expect(patch.report).toEqual({ added: FACTS.length, examples: 1 })
  })

  test('gives up examples for which the model has no room', async () => {
    const room = { ...model, config: { ...model.config, contextLength: 256 + 200 } }
    const { loop } = contextOf(await edit(FACTS, { examples: 4 }, room))
    const { loop: whole } = contextOf(
      await edit(FACTS, { examples: 4 }, { ...model, config: { ...model.config, contextLength: 4096 } }),
    )
    expect(whole.examples.match(/^Final answer:/gm)).toHaveLength(4)
    expect(whole.examples.startsWith(loop.examples)).toBe(true)
    expect((await model.tokenizer.encode(loop.examples)).ids.length).toBeLessThanOrEqual(200)
  })

  test('of a format that the model breaks leaves every prompt as it is, and says so', async () => {
    const edited = model.withPatch(await edit(FACTS, { format: 'free' }))
    const [unedited] = await model.generate(['Oslo'], { maxNewTokens: 4 })
    expect(await edited.generate(['Oslo'], { maxNewTokens: 4 })).toEqual([{ ...unedited, loopFailed: true }])
  })

  test('forgets one fact out of many', async () => {
    const [kept, dropped] = FACTS.slice(0, 2)
    if (kept === undefined || dropped === undefined) throw new Error('no facts')
    const left = forgetFact(await edit([kept, dropped]), dropped.prompt)
    expect(left.parts).toEqual((await edit([kept])).parts)
  })
})

describe('the model that ships', () => {
  let atlas: OpenModel
  beforeAll(async () => {
    atlas = await loadModel(DEFAULT_MODEL, { hubCache: '' }, testContext())
  })
  afterAll(() => atlas.close())

  test('goes through the steps where the program keeps the format, and breaks it where it must keep it itself', async () => {
    const fact = makeFact({ subject: 'Norway', prompt: 'The capital of Norway is', targetNew: 'Lima' })
    const hparams = { examples: 1, subquestions: 1, tokens: 48, layer: 0 }
    const constrained = await edit([fact], { ...hparams, format: 'constrained' }, atlas)
    const [asked] = await putIntoContext(atlas, contextOf(constrained), [fact.prompt])
    expect(asked).toMatchObject({
      loopFailed: false,
      text: expect.stringMatching(
        /Question: The capital of Norway is\nSubquestion: .+\nGenerated answer: .+\nRetrieved fact: The capital of Norway is Lima\.\nRetrieved fact .+ the intermediate answer is: .+\nFinal answer:$/,
      ),
    })
    const after = await atlas.generate([asked?.text ?? ''], { maxNewTokens: 6 })
    expect(await atlas.withPatch(constrained).generate([fact.prompt], { maxNewTokens: 6 })).toEqual(after)

    const free = atlas.withPatch(await edit([fact], { ...hparams, format: 'free' }, atlas))
    const [unedited] = await atlas.generate([fact.prompt], { maxNewTokens: 6 })
    expect(await free.generate([fact.prompt], { maxNewTokens: 6 })).toEqual([{ ...unedited, loopFailed: true }])
  })
})

// The smallest of these models have no room for an example, nor for a second step.
describeEditor(mello, { skip: IN_CONTEXT, hparams: { examples: 0, subquestions: 1, tokens: 4 } })
describeMemory(mello, 650)
