import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type MempromptHparams, memprompt } from '../../src/editors/memprompt.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { ContextPart, Patch } from '../../src/models/patch.ts'
import { cosine, sentenceVectors } from '../../src/models/sentence-vectors.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { expectClose } from '../support/close.ts'
import { describeEditor, IN_CONTEXT } from '../support/editor-suite.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { makeFact, TRAINING_FACTS } from '../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

/** Activations and log-probabilities: rounding of float32 over four layers. */
const F32_FORWARD = { relative: 1e-4 }

type Mode = 'closest' | 'semantic'

interface Golden {
  layer: number
  letters: number
  similarity: number
  facts: Pick<Fact, 'prompt' | 'targetNew'>[]
  target: string
  cases: {
    query: string
    cosines: number[]
    closest: number | null
    semantic: number | null
    logProbs: Record<Mode, number[]>
  }[]
}

const GOLDEN: Golden = JSON.parse(readFileSync(new URL('../golden/memprompt.json', import.meta.url), 'utf8'))
const FACTS = GOLDEN.facts.map((fact) => makeFact({ subject: fact.prompt, ...fact }))
const [FRANCE, JAPAN] = FACTS
const settings = (retrieval: Mode): MempromptHparams => ({
  examples: 0,
  retrieval,
  letters: GOLDEN.letters,
  similarity: -1,
  ownSimilarity: GOLDEN.similarity,
  layer: GOLDEN.layer,
})

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const edit = (facts: readonly Fact[], hparams: MempromptHparams, history: readonly Patch[] = []): Promise<Patch> =>
  memprompt.edit({ model, facts, hparams, prepared: '', history }, testContext())

async function logProbs(asked: LanguageModel, prompt: string, target = GOLDEN.target): Promise<readonly number[]> {
  const [score] = await asked.score([{ prompt, target }])
  return score?.logProbs ?? []
}

function contextOf({ parts: [part] }: Patch): ContextPart {
  if (part?.kind !== 'context') throw new Error('expected a context')
  return part
}

describe.each(['closest', 'semantic'] as const)('against PyTorch, %s', (mode) => {
  test.each(GOLDEN.cases)('what $query finds, and what it then says', async (golden) => {
    const edited = model.withPatch(await edit(FACTS, settings(mode)))
    const found = await logProbs(edited, golden.query)
    expectClose(found, golden.logProbs[mode], F32_FORWARD, 'log-probabilities')
    const unedited = await logProbs(model, golden.query)
    if (golden[mode] === null) expect(found).toEqual(unedited)
    else expect(found).not.toEqual(unedited)
  })
})

test('cosines agree with PyTorch', async () => {
  const { entries, retrieval } = contextOf(await edit(FACTS, settings('semantic')))
  expect(retrieval).toEqual({ by: 'cosine', vectors: { layer: GOLDEN.layer }, above: GOLDEN.similarity })
  for (const { query, cosines } of GOLDEN.cases) {
    const vector = await sentenceVectors(model, { layer: GOLDEN.layer }, [query])
    const oldestFirst = entries.toReversed().map((entry) => cosine(entry.vector, vector))
    expectClose(oldestFirst, cosines, { absolute: 1e-5 }, 'cosines')
  }
})

describe('the memory', () => {
  test('holds the prompt of a fact, and what is said after it', async () => {
    const { entries } = contextOf(await edit(FACTS, settings('closest')))
    expect(entries.at(-1)).toEqual({
      key: 'The capital of France is',
      sentence: 'The capital of France is Lima.',
      vector: tensor(new Float32Array(0), [0]),
      before: 'Question: ',
      after: ' clarification: The capital of France is Lima. Answer:',
    })
  })

  test('says how a question with feedback is answered, by facts that are not among the edited', async () => {
    const hparams = { ...settings('closest'), examples: 2 }
    const prepared = await memprompt.prepare?.(
      { model, hparams, material: { text: null, facts: TRAINING_FACTS } },
      testContext(),
    )
    const examples = TRAINING_FACTS.map(
      ({ subject, targetNew }) =>
        `Question: The capital city of ${subject} is clarification: The capital of ${subject} is ${targetNew}. Answer: ${targetNew}\n\n`,
    )
    const used = examples.filter((example) => prepared?.includes(example))
    expect(used).toHaveLength(2)
    expect([used.join(''), used.toReversed().join('')]).toContain(prepared)
    const patch = await memprompt.edit(
      { model, facts: FACTS, hparams, prepared: prepared ?? '', history: [] },
      testContext(),
    )
    expect(contextOf(patch).entries[0]?.before).toBe(`${prepared}Question: `)
  })

  test('gives up examples for which the model has no room', async () => {
    const room = { ...model, config: { ...model.config, contextLength: 300 } }
    const material = { text: null, facts: TRAINING_FACTS }
    const job = { hparams: { ...settings('closest'), examples: 4 }, material }
    const [whole = '', kept = ''] = [
      await memprompt.prepare?.({ ...job, model }, testContext()),
      await memprompt.prepare?.({ ...job, model: room }, testContext()),
    ]
    expect(whole.startsWith(kept)).toBe(true)
    expect(kept.split('\n\n').length).toBeLessThan(whole.split('\n\n').length)
    expect((await model.tokenizer.encode(kept)).ids.length).toBeLessThanOrEqual(300 - 256)
  })

  test('of a stream gains an entry with every edit, and renewed feedback takes the place of the old', async () => {
    if (FRANCE === undefined || JAPAN === undefined) throw new Error('no facts')
    const hparams = settings('closest')
    const first = await edit([FRANCE, JAPAN], hparams)
    const second = await edit([{ ...FRANCE, targetNew: 'Cairo' }], hparams, [first])
    expect(contextOf(second).entries).toHaveLength(1)
    const both = model.withPatch(first).withPatch(second)
    const byHand = (fact: Fact, answer: string) =>
      logProbs(model, `Question: ${fact.prompt} clarification: ${fact.prompt} ${answer}. Answer:`)
    expect(await logProbs(both, FRANCE.prompt)).toEqual(await byHand(FRANCE, 'Cairo'))
    expect(await logProbs(both, JAPAN.prompt)).toEqual(await byHand(JAPAN, 'Swahili'))
    expect(await logProbs(model.withPatch(first), FRANCE.prompt)).toEqual(await byHand(FRANCE, 'Lima'))
  })
})

describeEditor(memprompt, { skip: IN_CONTEXT })
describeMemory(memprompt, 235)
