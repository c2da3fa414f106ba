import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CalinetHparams, calinet } from '../../src/editors/calinet.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { NeuronsPart, Patch } from '../../src/models/patch.ts'
import { expectClose, relativeError } from '../support/close.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { givenRandom } from '../support/given-random.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { recordLosses } from '../support/record-losses.ts'
import { FACTS, makeFact, SHORT_FACTS } from '../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

/** Losses: rounding of float32 over four layers, carried along by up to 20 steps of Adam. */
const F32_LOSS = { relative: 1e-3 }
/** The slots at the end: Adam divides by the size of a gradient, so that the rounding of small ones counts as well. */
const F32_SLOTS = 1e-3

interface Golden {
  shape: number[]
  data: number[]
}

interface GoldenCase {
  name: string
  hparams: CalinetHparams
  facts: Pick<Fact, 'id' | 'subject' | 'prompt' | 'targetNew'>[]
  uniforms: number[]
  losses: number[]
  input: Golden
  output: Golden
}

const GOLDEN: { cases: GoldenCase[] } = JSON.parse(
  readFileSync(new URL('../golden/calinet.json', import.meta.url), 'utf8'),
)
const HPARAMS: CalinetHparams = {
  layer: 3,
  slots: 16,
  activation: 'gelu',
  learningRate: 0.02,
  steps: 500,
  batchSize: 8,
  stopLoss: 0.2,
}

let base: OpenModel
beforeAll(async () => {
  base = await openTinyModel()
})
afterAll(() => base.close())

function edit(model: LanguageModel, facts: readonly Fact[], hparams = HPARAMS, ctx = testContext()): Promise<Patch> {
  return calinet.edit({ model, facts, hparams, prepared: undefined, history: [] }, ctx)
}

function slotsOf({ parts: [part] }: Patch): NeuronsPart {
  if (part?.kind !== 'neurons') throw new Error('expected slots')
  return part
}

async function lossOf(model: LanguageModel, facts: readonly Fact[]): Promise<number> {
  const scores = await model.score(facts.map(({ prompt, targetNew }) => ({ prompt, target: targetNew })))
  const means = scores.map(({ logProbs }) => logProbs.reduce((sum, value) => sum - value, 0) / logProbs.length)
  return means.reduce((sum, mean) => sum + mean, 0) / means.length
}

test.each(GOLDEN.cases)('descends as PyTorch does: $name', async (golden) => {
  const recorder = recordLosses(base)
  const ctx = testContext({ random: givenRandom(golden.uniforms) })
  const facts = golden.facts.map((fact) => makeFact(fact))
  const patch = await edit(recorder.model, facts, golden.hparams, ctx)
  const { input, output, biases, layer } = slotsOf(patch)
  expectClose(recorder.losses, golden.losses, F32_LOSS, 'losses')
  expect(layer).toBe(golden.hparams.layer)
  expect([input.shape, output.shape]).toEqual([golden.input.shape, golden.output.shape])
  expect(relativeError(input.data, golden.input.data)).toBeLessThan(F32_SLOTS)
  expect(relativeError(output.data, golden.output.data)).toBeLessThan(F32_SLOTS)
  expect([biases.data.every((bias) => bias === 0), patch.state]).toEqual([true, undefined])
})

describe('slots', () => {
  test('hold several facts at once, with the loss that their training reached', async () => {
    const facts = [...FACTS, ...SHORT_FACTS]
    const patch = await edit(base, facts)
    expect(patch.parts).toHaveLength(1)
    expect(patch.report.lossLast).toBeLessThan(HPARAMS.stopLoss)
    expect(await lossOf(base.withPatch(patch), facts)).toBeCloseTo(patch.report.lossLast ?? Number.NaN, 3)
  })

  test('of a later set stand beside those of an earlier one', async () => {
    const [one, two] = SHORT_FACTS
    const first = await edit(base, [one])
    const edited = base.withPatch(first)
    const second = await edit(edited, [two])
    expect(slotsOf(second).biases.data.length).toBe(HPARAMS.slots)
    expect(await lossOf(edited.withPatch(second), [two])).toBeLessThan(HPARAMS.stopLoss * 2)
    // The first patch without the second is what it was.
    expect(await lossOf(edited, [one])).toBeCloseTo(first.report.lossLast ?? Number.NaN, 3)
  })
})

describeEditor(calinet)
describeMemory(calinet, 211)
