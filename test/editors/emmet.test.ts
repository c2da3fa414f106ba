import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { emmet } from '../../src/editors/emmet.ts'
import { loadHparams } from '../../src/editors/hparams.ts'
import type { LayerCovariance } from '../../src/editors/steps/covariance.ts'
import type { OpenModel } from '../../src/models/index.ts'
import { subtract } from '../../src/tensor/linalg.ts'
import { relativeError } from '../support/close.ts'
import { type CovarianceGolden, covarianceOf, type GoldenFact } from '../support/covariances.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { FACTS, makeFact, TEXT } from '../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

/** What is made of δ after 11 steps of Adam, which divides by the size of small gradients. */
const F32_DESCENT = 1e-3

interface Golden extends CovarianceGolden<{ layer: number; slack: number }> {
  facts: GoldenFact[]
  losses: number[][]
  edits: { name: string; facts: number; layers: { missing: number; delta: number[] }[]; missing: number }[]
}
const GOLDEN: Golden = JSON.parse(readFileSync(new URL('../golden/emmet.json', import.meta.url), 'utf8'))
const { settings, prefixes } = GOLDEN

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

describe('against PyTorch', () => {
  let layers: LayerCovariance[]
  beforeAll(async () => {
    layers = [await covarianceOf(model, GOLDEN)]
  })

  test.each(GOLDEN.edits)('$name: losses, the change, and what is missing before and after', async (golden) => {
    const facts = GOLDEN.facts.slice(0, golden.facts).map((fact) => makeFact(fact))
    const hparams = { ...settings, prefixes: 3, tokensPerUnit: 1 }
    const { parts, report } = await emmet.edit(
      { model, facts, hparams, prepared: { layers, prefixes }, history: [] },
      testContext(),
    )
    const weight = model.weightName('mlp-down', settings.layer)
    expect(parts).toMatchObject([{ kind: 'low-rank', weight, left: { shape: [64, golden.facts] } }])
    const edited = await model.withPatch({ parts, report: {} }).weight(weight)
    const change = subtract(edited.data, (await model.weight(weight)).data)
    expect(relativeError(change, golden.layers[0]?.delta ?? [])).toBeLessThan(F32_DESCENT)
    expect(report.missingFirst).toBeCloseTo(golden.layers[0]?.missing ?? 0, 3)
    expect(report.missingLast).toBeCloseTo(golden.missing, 3)
    const losses = GOLDEN.losses.slice(0, golden.facts)
    const mean = (at: number) => losses.reduce((sum, row) => sum + (row.at(at) ?? 0), 0) / losses.length
    expect(report.lossFirst).toBeCloseTo(mean(0), 3)
    expect(report.lossLast).toBeCloseTo(mean(-1), 3)
  })
})

describe('on its own preparation', () => {
  const edit = async (set: Record<string, number>, facts = [FACTS[0], FACTS[1]]) => {
    const hparams = await loadHparams(emmet, model.config, { layer: 1, prefixes: 0, steps: 5, ...set })
    const prepared = await emmet.prepare?.({ model, hparams, material: { text: TEXT, facts: [] } }, testContext())
    if (prepared === undefined) throw new Error('no preparation')
    return emmet.edit({ model, facts, hparams, prepared, history: [] }, testContext())
  }

  test('every fact gets its value in full, where its key is that of the bare prompt', async () => {
    const { report } = await edit({ slack: 0 })
    expect(report.missingLast).toBeLessThan(1e-4 * (report.missingFirst ?? 0))
  })

  test('with the published slack hardly less', async () => {
    const { report } = await edit({})
    expect(report.missingLast).toBeLessThan(1e-3 * (report.missingFirst ?? 0))
  })

  test('two values for one key need slack', async () => {
    const facts = [FACTS[0], makeFact({ ...FACTS[0], id: 'same', targetNew: 'Asia' })] as const
    await expect(edit({}, [...facts])).resolves.toMatchObject({ parts: [{ kind: 'low-rank' }] })
  })
})

// As with MEMIT.
describeEditor(emmet, { hparams: { prefixes: 0, klFactor: 0, clamp: 0.5 } })
describeMemory(emmet, 586)
