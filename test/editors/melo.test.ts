import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type MeloHparams, melo } from '../../src/editors/melo.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { AdapterClustersPart, Patch } from '../../src/models/patch.ts'
import { decodePatch, encodePatch } from '../../src/models/patch-file.ts'
import { forgetFact } from '../../src/models/retrieval.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { expectClose } from '../support/close.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { givenRandom } from '../support/given-random.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { recordLosses } from '../support/record-losses.ts'
import { FACTS, makeFact, SHORT_FACTS, TRAINING_FACTS } from '../support/tiny-facts.ts'
import { openTinyModel, type TinyModel, testContext } from '../support/tiny-model.ts'

/** Activations: rounding of float32 over four layers. */
const F32_FORWARD = { relative: 1e-4 }
/** Losses after up to 25 steps of Adam, which divides by the size of small gradients; and what is said after them. */
const F32_DESCENT = { relative: 1e-3 }
/** A radius that grew is a little larger than the oracle's, so that rounding cannot push a point outside. */
const GROWN = { relative: 3e-4 }

interface GoldenCall {
  name: string
  facts: Pick<Fact, 'subject' | 'prompt' | 'targetNew'>[]
  uniforms: number[]
  losses: number[]
  branches: string[]
  clusters: { centre: number[]; radius: number; label: number[]; points: { prompt: string; block: number }[] }[]
  asked: { prompt: string; block: number | null; logProbs: number[] }[]
}

const GOLDEN: { settings: MeloHparams; target: string; calls: GoldenCall[] } = JSON.parse(
  readFileSync(new URL('../golden/melo.json', import.meta.url), 'utf8'),
)
const { settings } = GOLDEN
const HPARAMS: MeloHparams = { ...settings, radius: 1, learningRate: 0.05, stopLoss: 0.2, steps: 100 }

let base: OpenModel
beforeAll(async () => {
  base = await openTinyModel()
})
afterAll(() => base.close())

/** One call of a stream: the patch it gives, what is in it, and the losses of its training. */
async function edit(facts: readonly Fact[], history: readonly Patch[] = [], hparams = HPARAMS, ctx = testContext()) {
  const model = history.reduce((edited: LanguageModel, patch) => edited.withPatch(patch), base)
  const recorder = recordLosses(model)
  const prepared = { radius: hparams.radius }
  const patch = await melo.edit({ model: recorder.model, facts, hparams, prepared, history }, ctx)
  return { patch, part: partOf(patch), losses: recorder.losses, edited: model.withPatch(patch) }
}

function partOf(patch: Patch): AdapterClustersPart {
  const [part] = patch.parts
  if (part?.kind !== 'adapter-clusters' || patch.parts.length !== 1) throw new Error('expected clusters alone')
  return part
}

const promptsOf = (part: AdapterClustersPart) => part.clusters.map(({ points }) => points.map(({ prompt }) => prompt))

async function ask(model: LanguageModel, prompt: string) {
  const [score] = await model.score([{ prompt, target: GOLDEN.target }])
  return { score, written: await model.generate([prompt], { maxNewTokens: 4 }) }
}

test('decides, trains and routes as PyTorch does, through every rule of the database', async () => {
  expect(GOLDEN.calls.flatMap(({ branches }) => branches)).toEqual([
    'new',
    'join',
    'new',
    'split, 0 lost',
    'split, 1 lost',
  ])
  const history: Patch[] = []
  // The oracle never takes a block away.
  const blocks: number[] = []
  for (const [call, golden] of GOLDEN.calls.entries()) {
    const { name } = golden
    const facts = golden.facts.map((fact) => makeFact(fact))
    const ctx = testContext({ random: givenRandom(golden.uniforms) })
    const { patch, part, losses, edited } = await edit(facts, history, settings, ctx)
    expectClose(losses.slice(0, 5), golden.losses.slice(0, 5), F32_FORWARD, `${name}: first losses`)
    expectClose(losses, golden.losses, F32_DESCENT, `${name}: losses`)

    blocks.push(call)
    const named = new Set(golden.clusters.flatMap(({ points }) => points.map(({ block }) => block)))
    const kept = blocks.filter((block) => named.has(block))
    blocks.splice(0, blocks.length, ...kept)
    expect(part.blocks).toHaveLength(kept.length)
    expect(part.clusters).toHaveLength(golden.clusters.length)
    for (const [i, cluster] of golden.clusters.entries()) {
      const found = part.clusters[i]
      expectClose(found?.centre.data, cluster.centre, F32_FORWARD, `${name}: centre ${i}`)
      expectClose([found?.radius ?? Number.NaN], [cluster.radius], GROWN, `${name}: radius ${i}`)
      expect(found?.label).toEqual(cluster.label)
      const points = found?.points.map(({ prompt, block }) => ({ prompt, block: kept[block] }))
      expect(points, `${name}: points ${i}`).toEqual(cluster.points)
    }
    for (const { prompt, block, logProbs } of golden.asked) {
      const { score } = await ask(edited, prompt)
      expectClose(score?.logProbs, logProbs, F32_DESCENT, `${name}: ${prompt}`)
      if (block === null) expect(await ask(edited, prompt), prompt).toEqual(await ask(base, prompt))
    }
    history.push(patch)
  }
})

describe('an edited model', () => {
  const [france, kenya] = FACTS

  test('says the target after the prompt, with the loss that the training reached', async () => {
    const { patch, edited, losses } = await edit([france])
    expect(patch.report).toMatchObject({ lossFirst: losses[0], lossLast: losses.at(-1), steps: losses.length })
    expect(losses.at(-1)).toBeLessThan(HPARAMS.stopLoss)
    const [score] = await edited.score([{ prompt: france.prompt, target: france.targetNew }])
    expect(score?.argmax).toEqual(score?.ids)
    const loss = -(score?.logProbs ?? []).reduce((sum, value, _, all) => sum + value / all.length, 0)
    expect(loss).toBeCloseTo(losses.at(-1) ?? Number.NaN, 3)
    const [written] = await edited.generate([france.prompt], { maxNewTokens: score?.ids.length ?? 0 })
    expect(written?.ids).toEqual(score?.ids)
  })

  test('is the unedited one to the bit for other prompts, and for a forgotten fact', async () => {
    const { patch } = await edit([france, kenya], [], { ...HPARAMS, editsPerBlock: 1 })
    expect(partOf(patch).blocks).toHaveLength(2)
    const forgotten = decodePatch(encodePatch(forgetFact(patch, kenya.prompt)))
    expect(partOf(forgotten).blocks).toHaveLength(1)
    const [both, one] = [base.withPatch(patch), base.withPatch(forgotten)]
    expect(await ask(both, 'Oslo')).toEqual(await ask(base, 'Oslo'))
    expect(await ask(one, kenya.prompt)).toEqual(await ask(base, kenya.prompt))
    expect(await ask(both, kenya.prompt)).not.toEqual(await ask(base, kenya.prompt))
    expect(await ask(one, france.prompt)).toEqual(await ask(both, france.prompt))
  })

  test('keeps earlier edits of a stream as they were', async () => {
    const first = await edit([france])
    const second = await edit([kenya], [first.patch])
    expect(promptsOf(second.part)).toEqual([[france.prompt], [kenya.prompt]])
    expect(await ask(second.edited, france.prompt)).toEqual(await ask(first.edited, france.prompt))
  })

  test('answers as many edits a block as it is told', async () => {
    const facts = [...FACTS, ...SHORT_FACTS]
    const { part, losses } = await edit(facts, [], { ...HPARAMS, editsPerBlock: 3, steps: 2, stopLoss: 0 })
    expect(part.clusters.map(({ points }) => points.map(({ block }) => block))).toEqual([[0], [0], [0], [1]])
    expect(losses).toHaveLength(4)
  })
})

test('an edit of a known prompt takes its place', async () => {
  const [france] = FACTS
  const first = await edit([france])
  const again = await edit([{ ...france, targetNew: 'Cairo' }], [first.patch])
  expect(promptsOf(again.part)).toEqual([[france.prompt]])
  expect(again.part.blocks).toHaveLength(1)
  expect(again.part.clusters[0]?.radius).toBe(HPARAMS.radius)
  const [score] = await again.edited.score([{ prompt: france.prompt, target: 'Cairo' }])
  expect(score?.argmax).toEqual(score?.ids)
})

describe('the radius of a new cluster', () => {
  const prepare = async (hparams: Partial<MeloHparams>, facts = TRAINING_FACTS) =>
    melo.prepare?.(
      { model: base, hparams: { ...HPARAMS, ...hparams }, material: { text: null, facts } },
      testContext({ random: createRandom(2) }),
    )

  test("is a distance, or a multiple of the median distance between other prompts' keys", async () => {
    expect(await prepare({ radius: 2 })).toEqual({ radius: 2 })
    const one = await prepare({ radius: 1, radiusUnit: 'median' })
    const half = await prepare({ radius: 0.5, radiusUnit: 'median' })
    expect(half?.radius).toBeCloseTo((one?.radius ?? Number.NaN) / 2, 6)

    const prompts = ['Norway', 'Thailand', 'Peru', 'Italy', 'Poland', 'Ghana', 'Chile', 'Spain']
    const encoded = await Promise.all(prompts.map((name) => base.tokenizer.encode(`The capital of ${name} is`)))
    const rows = encoded.map(({ ids }) => ids)
    const at = rows.map(({ length }, row) => ({ row, token: length - 1 }))
    const { reads } = await base.run({ tokens: { rows }, read: [{ site: `mlp-output.${HPARAMS.layer}`, at }] })
    const [width, data] = [base.config.width, reads[0]?.data ?? new Float32Array()]
    const keys = rows.map((_, i) => data.subarray(i * width, (i + 1) * width))
    const distances = keys
      .flatMap((a, i) => keys.slice(0, i).map((b) => Math.hypot(...a.map((value, j) => value - (b[j] ?? 0)))))
      .sort((a, b) => a - b)
    expect(one?.radius).toBeCloseTo(((distances[13] ?? 0) + (distances[14] ?? 0)) / 2, 3)
  })

  test('is measured on what the model writes where there are no other facts, and refused on a single prompt', async () => {
    const written = await prepare({ radius: 1, radiusUnit: 'median' }, [])
    expect(written?.radius).toBeGreaterThan(0)
    const [fact] = FACTS
    await expect(prepare({ radiusUnit: 'median' }, [fact])).rejects.toMatchObject({ code: 'E_TRAINING_FACTS' })
  })
})

test.each<[TinyModel, number, string[]]>([
  ['tiny-llama', 1, ['model.layers.1.mlp.up_proj.weight', 'model.layers.2.mlp.up_proj.weight']],
  ['tiny-llama', 3, ['model.layers.3.mlp.up_proj.weight']],
  // The same place in both stacks, whichever is named.
  [
    'tiny-t5',
    1,
    ['encoder.block.1.layer.1.DenseReluDense.wi.weight', 'decoder.block.1.layer.2.DenseReluDense.wi.weight'],
  ],
  [
    'tiny-t5',
    3,
    ['encoder.block.1.layer.1.DenseReluDense.wi.weight', 'decoder.block.1.layer.2.DenseReluDense.wi.weight'],
  ],
])('adapts the layers chosen: %s from %i on', async (name, firstAdapted, weights) => {
  const model = await openTinyModel(name)
  const [fact] = FACTS
  const hparams = { ...HPARAMS, firstAdapted, steps: 1 }
  const patch = await melo.edit({ model, facts: [fact], hparams, prepared: { radius: 1 }, history: [] }, testContext())
  expect(partOf(patch).blocks.map((block) => block.map(({ weight }) => weight))).toEqual([weights])
  await model.close()
})

describeEditor(melo)
describeMemory(melo, 224)
