import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ScrHparams, scr } from '../../src/editors/scr.ts'
import type { Fact } from '../../src/facts/fact.ts'
import { confirm } from '../../src/models/confirmation.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { Confirmation, ContextPart, Patch } from '../../src/models/patch.ts'
import { forgetFact } from '../../src/models/retrieval.ts'
import { cosine, sentenceVectors } from '../../src/models/sentence-vectors.ts'
import { expectClose } from '../support/close.ts'
import { describeEditor, IN_CONTEXT } from '../support/editor-suite.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { makeFact } from '../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

/** Activations and log-probabilities: rounding of float32 over four layers. */
const F32_FORWARD = { relative: 1e-4 }

type Form = 'prompt' | 'question'

interface Golden {
  layer: number
  candidates: number
  facts: Pick<Fact, 'prompt' | 'targetNew'>[]
  target: string
  cases: {
    query: string
    cosines: number[]
    judged: { yes: string; no: string; found: number | null; logProbs: Record<Form, number[]> }[]
  }[]
}

const GOLDEN: Golden = JSON.parse(readFileSync(new URL('../golden/scr.json', import.meta.url), 'utf8'))
const FACTS = GOLDEN.facts.map((fact) => makeFact({ subject: fact.prompt, ...fact }))
const SETTINGS: ScrHparams = {
  candidates: GOLDEN.candidates,
  confirmation: 'likelihood',
  form: 'prompt',
  similarity: -1,
  ownSimilarity: -1,
  layer: GOLDEN.layer,
}

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const edit = (facts: readonly Fact[], hparams: Partial<ScrHparams> = {}): Promise<Patch> =>
  scr.edit({ model, facts, hparams: { ...SETTINGS, ...hparams }, prepared: undefined, history: [] }, testContext())

async function logProbs(asked: LanguageModel, prompt: string): Promise<readonly number[]> {
  const [score] = await asked.score([{ prompt, target: GOLDEN.target }])
  return score?.logProbs ?? []
}

function contextOf({ parts: [part] }: Patch): ContextPart {
  if (part?.kind !== 'context') throw new Error('expected a context')
  return part
}

/** A patch in which other words stand for yes and no: random weights never say yes. */
function withWords(patch: Patch, yes: string, no: string): Patch {
  const context = contextOf(patch)
  const { confirmation } = context
  if (confirmation?.by !== 'likelihood') throw new Error('expected a judgement')
  return { parts: [{ ...context, confirmation: { ...confirmation, yes, no } }], report: {} }
}

describe.each(['prompt', 'question'] as const)('against PyTorch, put as a %s', (form) => {
  const rows = GOLDEN.cases.flatMap(({ query, judged }) => judged.map((golden) => ({ query, ...golden })))
  test.each(rows)('$query is confirmed by $yes against $no', async ({ query, yes, no, logProbs: expected }) => {
    const edited = model.withPatch(withWords(await edit(FACTS, { form }), yes, no))
    expectClose(await logProbs(edited, query), expected[form], F32_FORWARD, 'log-probabilities')
  })
})

test('the golden cases confirm some sentences and refuse some', () => {
  const found = GOLDEN.cases.flatMap(({ judged }) => judged.map((golden) => golden.found))
  expect(new Set(found).size).toBeGreaterThan(2)
  expect(found).toContain(null)
})

test('sentences are compared, and cosines agree with PyTorch', async () => {
  const { entries, retrieval } = contextOf(await edit(FACTS))
  expect(retrieval).toEqual({ by: 'cosine', vectors: { layer: GOLDEN.layer }, above: -1 })
  for (const { query, cosines } of GOLDEN.cases) {
    const vector = await sentenceVectors(model, { layer: GOLDEN.layer }, [query])
    const oldestFirst = entries.toReversed().map((entry) => cosine(entry.vector, vector))
    expectClose(oldestFirst, cosines, { absolute: 1e-5 }, 'cosines')
  }
})

describe('the memory', () => {
  test('is asked by a choice that names every candidate and the prompt', async () => {
    const { confirmation, entries } = contextOf(await edit(FACTS, { confirmation: 'choice' }))
    expect(confirmation).toMatchObject({ by: 'choice', candidates: 2, none: expect.arrayContaining(['no fact']) })
    const said: Confirmation | null = confirmation
    expect(said?.ask).toMatch(/\{facts\}[\s\S]*\{question\}/)
    expect(said && (await confirm(model, said, [{ prompt: 'Oslo', candidates: entries.slice(0, 1) }]))).toEqual([
      entries[0],
    ])
  })

  test('leaves a prompt as it is that is unlike every sentence, or of which none is confirmed', async () => {
    const far = model.withPatch(await edit(FACTS, { confirmation: 'choice', candidates: 1, ownSimilarity: 0.99 }))
    const refused = model.withPatch(await edit(FACTS))
    for (const edited of [far, refused]) {
      expect(await logProbs(edited, 'Oslo')).toEqual(await logProbs(model, 'Oslo'))
      expect(await edited.generate(['Oslo'], { maxNewTokens: 4 })).toEqual(
        await model.generate(['Oslo'], { maxNewTokens: 4 }),
      )
    }
  })

  test('answers by the same sentence in writing as in scoring, and forgets one fact', async () => {
    const patch = await edit(FACTS, { confirmation: 'choice', candidates: 1, ownSimilarity: 0.5 })
    const prompt = 'The capital of France is'
    const asked = `New fact: The capital of France is Lima.\n${prompt}`
    const edited = model.withPatch(patch)
    expect(await logProbs(edited, prompt)).toEqual(await logProbs(model, asked))
    expect(await edited.generate([prompt], { maxNewTokens: 4 })).toEqual(
      await model.generate([asked], { maxNewTokens: 4 }),
    )
    expect(await logProbs(model.withPatch(forgetFact(patch, prompt)), prompt)).toEqual(await logProbs(model, prompt))
  })
})

// A choice takes more tokens than the smallest of these models can attend to.
describeEditor(scr, { skip: IN_CONTEXT, hparams: { confirmation: 'likelihood' } })
describeMemory(scr, 240)
