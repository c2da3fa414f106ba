import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { pmet } from '../../src/editors/pmet.ts'
import { addToGrams, factorGram, type LayerCovariance } from '../../src/editors/steps/covariance.ts'
import { findTargetValue, type TargetValueSettings } from '../../src/editors/steps/target-value.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { Patch } from '../../src/models/patch.ts'
import { subtract } from '../../src/tensor/linalg.ts'
import { expectClose, relativeError } from '../support/close.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { FACTS, makeFact } from '../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

/** Losses: rounding of float32 over four layers. */
const F32_FORWARD = { relative: 1e-4 }
/** δ after 11 steps of Adam, which divides by the size of small gradients, and what is made of it. */
const F32_DESCENT = 1e-3

interface Golden {
  settings: {
    firstLayer: number
    lastLayer: number
    steps: number
    learningRate: number
    klFactor: number
    weightDecay: number
    clamp: number
    stopLoss: number
    saidWeight: number
    stopKl: number
    lambda: number
    ridge: number
  }
  prefixes: string[]
  rows: number[][]
  facts: { id: string; prompt: string; subject: string; targetNew: string }[]
  values: { losses: number[][]; weights: number[]; initial: number[]; delta: number[] }[]
  edits: {
    name: string
    facts: number
    layers: { layer: number; missing: number; delta: number[] }[]
    missing: number
  }[]
}
const GOLDEN: Golden = JSON.parse(readFileSync(new URL('../golden/pmet.json', import.meta.url), 'utf8'))
const { settings, prefixes } = GOLDEN
const GOLDEN_FACTS = GOLDEN.facts.map((fact) => makeFact(fact))
const HPARAMS = { ...settings, prefixes: 3, tokensPerUnit: 1 }
const SOUGHT: TargetValueSettings = {
  ...settings,
  layer: settings.lastLayer,
  site: 'mlp-output',
  beside: 'attention-output',
  onceSaid: { weight: settings.saidWeight, stopKl: settings.stopKl },
}

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

describe('against PyTorch, step by step', () => {
  let layers: LayerCovariance[]
  beforeAll(async () => {
    const size = model.config.mlpWidth
    const sums = [1, 2].map((layer) => ({ layer, gram: { size, sum: new Float64Array(size * size), tokens: 0 } }))
    const rows = GOLDEN.rows.map((row) => Int32Array.from(row))
    await addToGrams(model, rows, sums)
    layers = await Promise.all(
      sums.map(async ({ layer, gram }) => ({ layer, ...(await factorGram(gram, settings.ridge)) })),
    )
  })

  test.each(GOLDEN.values.map((golden, i) => ({ golden, i })))(
    'fact $i: every loss, and the value found',
    async ({ golden, i }) => {
      const fact = GOLDEN_FACTS[i] ?? FACTS[0]
      const found = await findTargetValue({ model, fact, prefixes, settings: SOUGHT }, testContext())
      const terms = found.losses.map(({ total, target, kl, decay }) => [total, target, kl, decay])
      expect(terms).toHaveLength(golden.losses.length)
      for (const term of [0, 1, 2, 3]) {
        const of = (rows: readonly number[][]) => rows.map((row) => row[term] ?? 0)
        expectClose(of(terms), of(golden.losses), F32_FORWARD, `term ${term}`)
      }
      expectClose(found.initial, golden.initial, F32_FORWARD, 'h')
      expect(relativeError(found.delta, golden.delta)).toBeLessThan(F32_DESCENT)
    },
  )

  test.each(GOLDEN.edits)('$name: the change of every layer, and what is missing before and after', async (golden) => {
    const facts = GOLDEN_FACTS.slice(0, golden.facts)
    const job = { model, facts, hparams: HPARAMS, prepared: { layers, prefixes }, history: [] }
    const { parts, report } = await pmet.edit(job, testContext())
    expect(parts).toHaveLength(golden.layers.length)
    for (const [i, { layer, delta }] of golden.layers.entries()) {
      const weight = `model.layers.${layer}.mlp.down_proj.weight`
      expect(parts[i]).toMatchObject({ kind: 'low-rank', weight, left: { shape: [64, golden.facts] } })
      expect(relativeError(await changeOf({ parts, report: {} }, weight), delta)).toBeLessThan(F32_DESCENT)
    }
    expect(report.missingFirst).toBeCloseTo(golden.layers[0]?.missing ?? 0, 3)
    expect(report.missingLast).toBeCloseTo(golden.missing, 3)
  })

  test('the model is brought to say one golden answer, which weighs less from then on', () => {
    expect(GOLDEN.values.map(({ weights }) => weights.includes(settings.saidWeight))).toEqual([false, true, false])
  })
})

/** What a patch makes of a weight, as a difference [F, D]. */
async function changeOf(patch: Patch, weight: string): Promise<Float64Array> {
  return subtract((await model.withPatch(patch).weight(weight)).data, (await model.weight(weight)).data)
}

describe('the descent', () => {
  const seek = (changes: Partial<TargetValueSettings>, fact = GOLDEN_FACTS[1] ?? FACTS[0]) =>
    findTargetValue({ model, fact, prefixes: [''], settings: { ...SOUGHT, ...changes } }, testContext())

  test('ends once the answer is said and what the subject is has hardly changed', async () => {
    const found = await seek({ klFactor: 0 })
    expect(found.losses.length).toBeLessThan(settings.steps)
    expect(found.losses.at(-1)?.total).toBeGreaterThan(settings.stopLoss)
    const { onceSaid: _, ...plain } = SOUGHT
    const onward = await findTargetValue(
      { model, fact: GOLDEN_FACTS[1] ?? FACTS[0], prefixes: [''], settings: { ...plain, klFactor: 0, stopLoss: 0 } },
      testContext(),
    )
    expect(onward.losses).toHaveLength(settings.steps)
  })

  test('takes less of the feed-forward where attention helps', async () => {
    const { beside: _, ...alone } = SOUGHT
    const job = { model, fact: GOLDEN_FACTS[1] ?? FACTS[0], prefixes: [''] }
    const [both, one] = [await seek({}), await findTargetValue({ ...job, settings: alone }, testContext())]
    expectClose([both.losses[0]?.total ?? 0], [one.losses[0]?.total ?? 0], F32_FORWARD)
    expect(both.losses[3]?.target).toBeLessThan(one.losses[3]?.target ?? 0)
  })

  test('works in the first layer, below which nothing is captured', async () => {
    const found = await seek({ layer: 0 })
    expect(found.losses.at(-1)?.total).toBeLessThan(found.losses[0]?.total ?? 0)
  })
})

// Found by trying: with the defaults, on one of these random models or another, what is left without attention's half is too little.
describeEditor(pmet, {
  hparams: { firstLayer: 0, lastLayer: 0, prefixes: 0, klFactor: 0, clamp: 2, steps: 8, lambda: 0.1 },
})
describeMemory(pmet, 747)
