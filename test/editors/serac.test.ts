import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type SeracHparams, type SeracPrepared, serac } from '../../src/editors/serac.ts'
import { createAdam } from '../../src/editors/steps/adam.ts'
import { measureScope, type Pair, scopeLoss } from '../../src/editors/steps/scope-map.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { ContextPart, Patch } from '../../src/models/patch.ts'
import { forgetFact } from '../../src/models/retrieval.ts'
import { sentenceVectors } from '../../src/models/sentence-vectors.ts'
import { unitRows } from '../../src/tensor/linalg.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { expectClose, relativeError } from '../support/close.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { givenRandom } from '../support/given-random.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { recordLosses } from '../support/record-losses.ts'
import { makeFact, TRAINING_FACTS } from '../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

/** Activations and log-probabilities: rounding of float32 over four layers. */
const F32_FORWARD = { relative: 1e-4 }
/** Gradients pass the same layers twice. */
const F32_GRADIENT = 1e-3
/** Closed forms of vectors of length one. */
const F32_MAP = { absolute: 1e-5 }

interface GoldenTensor {
  shape: number[]
  data: number[]
}
interface Golden {
  layer: number
  similarity: number
  mapLearningRate: number
  learningRate: number
  rank: number
  texts: string[]
  vectors: GoldenTensor
  map: GoldenTensor
  pairs: { inScope: [number, number][]; outOfScope: [number, number][] }
  likeness: number[]
  mapLosses: number[]
  mapGradient: number[]
  trainedMap: GoldenTensor
  facts: Pick<Fact, 'subject' | 'prompt' | 'targetNew'>[]
  uniforms: number[]
  losses: number[]
  gradients: Record<string, number[]>
  adapters: Record<string, { left: GoldenTensor; right: GoldenTensor }>
  target: string
  cases: { query: string; likeness: number[]; found: number | null; logProbs: number[] }[]
}

const GOLDEN: Golden = JSON.parse(readFileSync(new URL('../golden/serac.json', import.meta.url), 'utf8'))
const read = ({ data, shape }: GoldenTensor): Tensor => tensor(Float32Array.from(data), shape)
const FACTS = GOLDEN.facts.map((fact) => makeFact(fact))
const [FRANCE, JAPAN] = FACTS

const HPARAMS: SeracHparams = {
  facts: 100,
  similarity: GOLDEN.similarity,
  mistakenShare: 1,
  layer: GOLDEN.layer,
  dimensions: 64,
  hardNegatives: 2,
  mapLearningRate: 0.05,
  mapSteps: 0,
  mapBatch: 4,
  modules: 'attention',
  rank: GOLDEN.rank,
  learningRate: GOLDEN.learningRate,
  steps: 0,
  batchSize: FACTS.length,
}

/** What PyTorch trained, so that answers can be compared. */
const PREPARED: SeracPrepared = {
  retrieval: {
    by: 'scope',
    vectors: { layer: GOLDEN.layer },
    map: read(GOLDEN.trainedMap),
    above: GOLDEN.similarity,
  },
  adapters: Object.entries(GOLDEN.adapters).map(([weight, { left, right }]) => ({
    kind: 'low-rank',
    weight,
    left: read(left),
    right: read(right),
  })),
  report: {},
}

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const edit = (facts: readonly Fact[], prepared = PREPARED, history: readonly Patch[] = []): Promise<Patch> =>
  serac.edit({ model, facts, hparams: HPARAMS, prepared, history }, testContext())

async function prepare(
  facts: readonly Fact[],
  hparams: Partial<SeracHparams> = {},
  { asked = model, ctx = testContext() }: { asked?: LanguageModel; ctx?: ReturnType<typeof testContext> } = {},
): Promise<SeracPrepared> {
  const job = { model: asked, hparams: { ...HPARAMS, ...hparams }, material: { text: null, facts } }
  const prepared = await serac.prepare?.(job, ctx)
  if (prepared === undefined) throw new Error('nothing prepared')
  return prepared
}

async function logProbs(asked: LanguageModel, prompt: string): Promise<readonly number[]> {
  const [score] = await asked.score([{ prompt, target: GOLDEN.target }])
  return score?.logProbs ?? []
}

function contextOf({ parts: [part] }: Patch): ContextPart {
  if (part?.kind !== 'context') throw new Error('expected a context')
  return part
}

describe('against PyTorch', () => {
  test('the classifier: vectors, likeness, loss, its gradient and five steps of Adam', async () => {
    const vectors = unitRows(await sentenceVectors(model, { layer: GOLDEN.layer }, GOLDEN.texts))
    expectClose([...vectors.data], GOLDEN.vectors.data, F32_MAP, 'vectors')
    const map = read(GOLDEN.map)
    const all: readonly Pair[] = [...GOLDEN.pairs.inScope, ...GOLDEN.pairs.outOfScope]
    const likeness = all.map((pair) => Math.exp(-measureScope(map, vectors, { inScope: [pair], outOfScope: [] }).loss))
    expectClose(likeness, GOLDEN.likeness, F32_MAP, 'likeness')

    const { gradient } = scopeLoss(map, vectors, GOLDEN.pairs)
    expect(relativeError([...gradient], GOLDEN.mapGradient)).toBeLessThan(F32_GRADIENT)
    const adam = createAdam(map.data.length, GOLDEN.mapLearningRate)
    const losses = GOLDEN.mapLosses.map(() => {
      const step = scopeLoss(map, vectors, GOLDEN.pairs)
      expect(measureScope(map, vectors, GOLDEN.pairs).loss).toBeCloseTo(step.loss, 6)
      adam.step(map.data, step.gradient)
      return step.loss
    })
    expectClose(losses, GOLDEN.mapLosses, F32_FORWARD, 'losses')
    expect(relativeError([...map.data], GOLDEN.trainedMap.data)).toBeLessThan(F32_GRADIENT)
  })

  test('the counterfactual model: its first gradient, and the losses of five steps', async () => {
    const recorder = recordLosses(model)
    const first: Record<string, Tensor>[] = []
    const asked: LanguageModel = {
      ...recorder.model,
      async run(request) {
        const result = await recorder.model.run(request)
        first.push(result.gradients)
        return result
      },
    }
    const ctx = testContext({ random: givenRandom(GOLDEN.uniforms) })
    const { adapters } = await prepare(FACTS, { steps: GOLDEN.losses.length }, { asked, ctx })
    expectClose(recorder.losses, GOLDEN.losses, F32_FORWARD, 'losses')
    const [gradients = {}] = first.filter((found) => Object.keys(found).length > 0)
    for (const [name, expected] of Object.entries(GOLDEN.gradients)) {
      expect(relativeError([...(gradients[name]?.data ?? [])], expected), name).toBeLessThan(F32_GRADIENT)
    }
    for (const { weight, left, right } of adapters) {
      const expected = GOLDEN.adapters[weight]
      expect(relativeError([...left.data], expected?.left.data ?? []), `left ${weight}`).toBeLessThan(F32_GRADIENT)
      expect(relativeError([...right.data], expected?.right.data ?? []), `right ${weight}`).toBeLessThan(F32_GRADIENT)
    }
  })

  test.each(GOLDEN.cases)(
    'what $query is routed to, and what is then said',
    async ({ query, found, logProbs: expected }) => {
      const edited = model.withPatch(await edit(FACTS))
      const said = await logProbs(edited, query)
      expectClose([...said], expected, F32_FORWARD, 'log-probabilities')
      if (found === null) expect(said).toEqual(await logProbs(model, query))
    },
  )
})

describe('the routing', () => {
  test('is the same in scoring and in writing, for prompts asked together', async () => {
    const edited = model.withPatch(await edit(FACTS))
    const answering = model.withPatch({ parts: PREPARED.adapters, report: {} })
    const prompts = GOLDEN.cases.map(({ query }) => query)
    const written = await edited.generate(prompts, { maxNewTokens: 4 })
    for (const [i, { query, found }] of GOLDEN.cases.entries()) {
      const fact = found === null ? undefined : FACTS[found]
      const byHand =
        fact === undefined
          ? await model.generate([query], { maxNewTokens: 4 })
          : await answering.generate([`${fact.prompt} ${fact.targetNew}. ${query}`], { maxNewTokens: 4 })
      expect(written[i], query).toEqual(byHand[0])
    }
  })

  test('goes to the newest edit of a prompt, and without the patch to none', async () => {
    if (FRANCE === undefined || JAPAN === undefined) throw new Error('no facts')
    const first = await edit([FRANCE, JAPAN])
    const again = { ...FRANCE, targetNew: 'Cairo' }
    const stream = model.withPatch(first).withPatch(await edit([again], PREPARED, [first]))
    const alone = model.withPatch(await edit([again]))
    expect(await logProbs(stream, FRANCE.prompt)).toEqual(await logProbs(alone, FRANCE.prompt))
    expect(await logProbs(stream, JAPAN.prompt)).toEqual(await logProbs(model.withPatch(first), JAPAN.prompt))
  })

  test('forgets one fact as if it had never been told', async () => {
    if (FRANCE === undefined || JAPAN === undefined) throw new Error('no facts')
    const both = await edit([FRANCE, JAPAN])
    const one = forgetFact(both, FRANCE.prompt)
    expect(one.parts).toEqual((await edit([JAPAN])).parts)
    expect(await logProbs(model.withPatch(one), FRANCE.prompt)).toEqual(await logProbs(model, FRANCE.prompt))
  })
})

describe('the memory', () => {
  test('holds the edit in a sentence, and compares queries with its prompt alone', async () => {
    if (FRANCE === undefined) throw new Error('no facts')
    const [one, other] = [await edit([FRANCE]), await edit([{ ...FRANCE, targetNew: 'Cairo' }])]
    expect(contextOf(one).entries[0]).toMatchObject({
      key: FRANCE.prompt,
      before: `${FRANCE.prompt} New Delhi. `,
      after: '',
    })
    expect(contextOf(other).entries[0]?.vector).toEqual(contextOf(one).entries[0]?.vector)
  })
})

describe('preparing', () => {
  const TRAINING = { mapSteps: 30, steps: 4, batchSize: 2 }

  test('asks the own prompt and other wordings, each after its edit', async () => {
    const rows: string[] = []
    const asked: LanguageModel = {
      ...model,
      async run(request) {
        for (const row of request.loss === undefined ? [] : request.tokens.rows) {
          rows.push(await model.tokenizer.decode([...row]))
        }
        return model.run(request)
      },
    }
    await prepare(TRAINING_FACTS, { steps: 20, batchSize: 4 }, { asked })
    const queries = new Set(rows.map((row) => row.replace(/ (Cairo|Lima|Rome|Tokyo).*/s, '').slice(0, 7)))
    expect(queries).toEqual(new Set(['The cap']))
    const own = rows.filter((row) => /\. The capital of/.test(row)).length
    const other = rows.filter((row) => /\. The capital city of/.test(row)).length
    expect(own + other).toBe(80)
    expect(Math.abs(own - other)).toBeLessThan(30)
    for (const row of rows) {
      const subjects = [...row.matchAll(/The capital (?:city )?of (\w+) is/g)].map(([, subject]) => subject)
      expect(new Set(subjects).size).toBe(1)
    }
  })

  test('is the same from the same seed, from the cache, and after a stop', async () => {
    const whole = await prepare(TRAINING_FACTS, TRAINING)
    expect(await prepare(TRAINING_FACTS, TRAINING)).toEqual(whole)

    const { cacheDir } = testContext()
    const stop = new AbortController()
    // A clock by which every step is worth keeping.
    let clock = 0
    const now = () => {
      clock += 60_000
      return clock
    }
    const progress = ({ task, done }: { task: string; done: number }) => {
      if (task === 'counterfactual model' && done === 3) stop.abort(new Error('stopped'))
    }
    const stopped = prepare(TRAINING_FACTS, TRAINING, {
      ctx: testContext({ cacheDir, signal: stop.signal, progress, now }),
    })
    await expect(stopped).rejects.toThrow('stopped')
    const steps: number[] = []
    const resumed = await prepare(TRAINING_FACTS, TRAINING, {
      ctx: testContext({
        cacheDir,
        progress: ({ task, done }) => steps.push(task === 'counterfactual model' ? done : 0),
      }),
    })
    expect(resumed).toEqual(whole)
    expect(steps).toEqual([4])
    const silent = testContext({
      cacheDir,
      progress: ({ task }) => {
        throw new Error(`again: ${task}`)
      },
    })
    expect(await prepare(TRAINING_FACTS, TRAINING, { ctx: silent })).toEqual(whole)
  })

  test('keeps what other settings and other facts make apart', async () => {
    const ctx = testContext()
    const one = await prepare(TRAINING_FACTS, TRAINING, { ctx })
    const longer = await prepare(TRAINING_FACTS, { ...TRAINING, steps: 5, mapSteps: 31 }, { ctx })
    const fewer = await prepare(TRAINING_FACTS.slice(1), TRAINING, { ctx })
    expect(longer.adapters).not.toEqual(one.adapters)
    expect(fewer.adapters).not.toEqual(one.adapters)
  })

  test('tells what it was trained on, and holds facts out where there are enough', async () => {
    const { report: few } = await prepare(TRAINING_FACTS, TRAINING)
    expect(few).toMatchObject({ trainingFacts: 4 })
    expect(Object.keys(few)).not.toContain('heldInScopeFound')
    const five = [...TRAINING_FACTS, makeFact({ subject: 'Japan', prompt: 'People in Japan speak', targetNew: 'Thai' })]
    const { report } = await prepare(five, { ...TRAINING, facts: 5 })
    expect(report).toMatchObject({ trainingFacts: 5 })
    expect(report.bound).toBe(HPARAMS.similarity)
    const strict = await prepare(five, { ...TRAINING, mistakenShare: 0, similarity: 0.01 })
    expect(strict.report.bound).toBeGreaterThan(0.01)
    expect(strict.retrieval).toMatchObject({ above: strict.report.bound })
    expect((await prepare(five, { ...TRAINING, facts: 3 })).report).toMatchObject({ trainingFacts: 3 })
  })

  test('needs facts to learn from', async () => {
    await expect(prepare(TRAINING_FACTS.slice(0, 1))).rejects.toMatchObject({
      code: 'E_TRAINING_FACTS',
      exit: 2,
      message: expect.stringContaining('expected at least 2, found 1'),
    })
  })
})

/** What a method that trains for it cannot show here. */
const FEW_EXAMPLES = {
  'makes the target likelier': 'random weights do not learn from four facts to copy from a context',
  'goes on from its history': 'random weights do not learn from four facts to copy from a context',
}

describeEditor(serac, { skip: FEW_EXAMPLES, hparams: { mapSteps: 20, steps: 5 } })
describeMemory(serac, 426)
