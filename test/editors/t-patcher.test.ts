import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type StoredInputs, type TPatcherHparams, tPatcher } from '../../src/editors/t-patcher.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { NeuronsPart, Patch } from '../../src/models/patch.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { expectClose, relativeError } from '../support/close.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { givenRandom } from '../support/given-random.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { recordLosses } from '../support/record-losses.ts'
import { FACTS, makeFact, TEXT, TRAINING_FACTS } from '../support/tiny-facts.ts'
import { openTinyModel, type TinyModel, testContext } from '../support/tiny-model.ts'

/** Losses of the first steps: rounding of float32 over four layers. */
const F32_LOSS = { relative: 1e-3 }
const FIRST_STEPS = 5
/** Inputs of the feed-forward, computed once. */
const F32_FORWARD = { relative: 1e-4 }
/** Units after some seventy to one hundred and fifty steps of Adam, which divides by the size of small gradients. */
const F32_DESCENT = 1e-2

interface Golden {
  shape: number[]
  data: number[]
}

interface GoldenEdit extends Pick<Fact, 'id' | 'subject' | 'prompt' | 'targetNew'> {
  normals: number[]
  losses: number[]
  quietLoss: number
  queries: Golden
  input: Golden
  biases: Golden
  output: Golden
}

const GOLDEN: { settings: TPatcherHparams; stored: { training: Golden; held: Golden }; edits: GoldenEdit[] } =
  JSON.parse(readFileSync(new URL('../golden/t-patcher.json', import.meta.url), 'utf8'))
const fromGolden = ({ shape, data }: Golden) => tensor(Float32Array.from(data), shape)
const STORED: StoredInputs = { training: fromGolden(GOLDEN.stored.training), held: fromGolden(GOLDEN.stored.held) }
const HPARAMS = GOLDEN.settings

let base: OpenModel
beforeAll(async () => {
  base = await openTinyModel()
})
afterAll(() => base.close())

interface Options {
  readonly history?: readonly Patch[]
  readonly hparams?: TPatcherHparams
  readonly prepared?: StoredInputs
  readonly ctx?: ReturnType<typeof testContext>
}

function edit(
  model: LanguageModel,
  fact: Fact,
  { history = [], hparams = HPARAMS, prepared = STORED, ctx }: Options = {},
) {
  const edited = history.reduce((one: LanguageModel, patch) => one.withPatch(patch), model)
  return tPatcher.edit({ model: edited, facts: [fact], hparams, prepared, history }, ctx ?? testContext())
}

function unitsOf({ parts: [part] }: Patch): NeuronsPart {
  if (part?.kind !== 'neurons') throw new Error('expected units')
  return part
}

function queriesOf({ state }: Patch): Tensor {
  const [queries, ...others] = Object.values(state ?? {})
  if (queries === undefined || others.length > 0) throw new Error('expected the queries alone')
  return queries
}

test('descends as PyTorch does, in a stream of two edits', async () => {
  const recorder = recordLosses(base)
  const history: Patch[] = []
  for (const golden of GOLDEN.edits) {
    recorder.losses.length = 0
    const ctx = testContext({ random: givenRandom(golden.normals) })
    const patch = await edit(recorder.model, makeFact(golden), { history, ctx })
    expectClose(recorder.losses.slice(0, FIRST_STEPS), golden.losses.slice(0, FIRST_STEPS), F32_LOSS, 'losses')
    expect(patch.report.steps).toBe(golden.losses.length)
    expect(relativeError([patch.report.lossLast ?? 0], golden.losses.slice(-1))).toBeLessThan(F32_DESCENT)
    expect(relativeError([patch.report.quietLoss ?? 0], [golden.quietLoss])).toBeLessThan(F32_DESCENT)
    const { input, biases, output } = unitsOf(patch)
    expectClose(queriesOf(patch).data, golden.queries.data, F32_FORWARD, 'queries')
    for (const [found, wanted] of [
      [input, golden.input],
      [biases, golden.biases],
      [output, golden.output],
    ] as const) {
      expect(found.shape).toEqual(wanted.shape)
      expect(relativeError(found.data, wanted.data)).toBeLessThan(F32_DESCENT)
    }
    history.push(patch)
  }
})

describe('an edit', () => {
  const [fact] = FACTS

  test('adds one unit for each token that is wrong, at most so many', async () => {
    const { prompt, targetNew } = fact
    const [score] = await base.score([{ prompt, target: targetNew }])
    const wrong = (score?.ids ?? []).filter((id, i) => id !== score?.argmax[i]).length
    expect(wrong).toBeGreaterThan(1)
    const of = async (mostUnits: number) =>
      unitsOf(await edit(base, fact, { hparams: { ...HPARAMS, steps: 1, mostUnits } })).biases.data.length
    expect(await of(9)).toBe(wrong)
    expect(await of(1)).toBe(1)
  })

  test('of what the model says already is empty', async () => {
    const [, other] = FACTS
    const first = await edit(base, other, { hparams: { ...HPARAMS, quietFactor: 0 } })
    const [score] = await base.withPatch(first).score([{ prompt: other.prompt, target: other.targetNew }])
    expect(score?.argmax).toEqual(score?.ids)
    expect(await edit(base, other, { history: [first] })).toEqual({ parts: [], report: { units: 0 } })
  })

  test('begins with units that answer 1 at their own tokens', async () => {
    // Without steps of any size to speak of, the units stay as they start.
    const patch = await edit(base, fact, { hparams: { ...HPARAMS, steps: 1, learningRate: 1e-8, mostUnits: 1 } })
    const { input, biases } = unitsOf(patch)
    const answer = input.data.reduce((sum, k, d) => sum + k * (queriesOf(patch).data[d] ?? 0), biases.data[0] ?? 0)
    expect(answer).toBeCloseTo(1, 4)
  })

  test('leaves what it learned to be silent at as good as it was', async () => {
    const rows = await Promise.all(TEXT.slice(0, 6).map(async (text) => (await base.tokenizer.encode(text)).ids))
    const read = [{ site: 'logits', at: 'all', as: 'argmax' }] as const
    const prepared = await tPatcher.prepare?.(
      { model: base, hparams: { ...HPARAMS, storedTokens: 512 }, material: { text: TEXT, facts: [] } },
      testContext(),
    )
    const loud = await edit(base, fact, { hparams: { ...HPARAMS, quietFactor: 0 } })
    const quiet = await edit(base, fact, { prepared, hparams: { ...HPARAMS, quietTop: 1000, quietFactor: 5 } })
    const before = (await base.run({ tokens: { rows }, read })).reads[0]?.data ?? new Float32Array()
    const kept = async (patch: Patch) => {
      const after = (await base.withPatch(patch).run({ tokens: { rows }, read })).reads[0]?.data
      return before.filter((id, i) => id === after?.[i]).length / before.length
    }
    expect(await kept(quiet)).toBeGreaterThan((await kept(loud)) + 0.1)
  })
})

test('stores the inputs of text once, four fifths to train on and a fifth held back', async () => {
  const ctx = testContext()
  const job = { model: base, hparams: { ...HPARAMS, storedTokens: 100 }, material: { text: TEXT, facts: [] } }
  const stored = await tPatcher.prepare?.(job, ctx)
  const [training = 0, held = 0] = [stored?.training.shape[0], stored?.held.shape[0]]
  expect(training + held).toBeGreaterThanOrEqual(96)
  expect(held).toBe(Math.ceil((training + held) / 5))
  const more = await tPatcher.prepare?.({ ...job, material: { text: TEXT, facts: TRAINING_FACTS } }, ctx)
  expect((more?.training.shape[0] ?? 0) + (more?.held.shape[0] ?? 0)).toBeGreaterThan(training + held + 32)
  const silent: LanguageModel = { ...base, run: () => Promise.reject(new Error('asked again')) }
  expect(await tPatcher.prepare?.({ ...job, model: silent }, ctx)).toEqual(stored)
})

test.each<[TinyModel]>([['tiny-t5'], ['tiny-gpt2']])(
  'writes to the last layer of %s, where the answer is made',
  async (name) => {
    const model = await openTinyModel(name)
    const layer = model.config.layers - 1
    const hparams = { ...HPARAMS, layer, storedTokens: 64, steps: 60 }
    const prepared = await tPatcher.prepare?.({ model, hparams, material: { text: TEXT, facts: [] } }, testContext())
    const { parts, report } = await edit(model, FACTS[0], { hparams, prepared })
    expect(parts.map((part) => part.kind === 'neurons' && part.layer)).toEqual([layer])
    expect(report.lossLast).toBeLessThan(report.lossFirst ?? 0)
    await model.close()
  },
)

// So small a model learns with fewer and longer steps.
describeEditor(tPatcher, {
  hparams: {
    amplify: 1,
    learningRate: 0.1,
    quietFactor: 1,
    steps: 80,
    firstLook: 20,
    lookEvery: 10,
    storedTokens: 128,
  },
})
describeMemory(tPatcher, 581)
