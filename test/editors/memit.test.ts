import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadHparams } from '../../src/editors/hparams.ts'
import { memit } from '../../src/editors/memit.ts'
import type { LayerCovariance } from '../../src/editors/steps/covariance.ts'
import { findTargetValue } from '../../src/editors/steps/target-value.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { Patch } from '../../src/models/patch.ts'
import { norm, subtract } from '../../src/tensor/linalg.ts'
import { expectClose, relativeError } from '../support/close.ts'
import { type CovarianceGolden, covariancesOf, type GoldenFact } from '../support/covariances.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { FACTS, makeFact, TEXT } from '../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

/** Losses: rounding of float32 over four layers. */
const F32_FORWARD = { relative: 1e-4 }
/** δ after 11 steps of Adam, which divides by the size of small gradients, and what is made of it. */
const F32_DESCENT = 1e-3

interface Golden extends CovarianceGolden<{ firstLayer: number; lastLayer: number; lambda: number }> {
  facts: GoldenFact[]
  values: { losses: number[][]; initial: number[]; delta: number[] }[]
  edits: {
    name: string
    facts: number
    layers: { layer: number; missing: number; delta: number[] }[]
    missing: number
  }[]
}
const GOLDEN: Golden = JSON.parse(readFileSync(new URL('../golden/memit.json', import.meta.url), 'utf8'))
const { settings, prefixes } = GOLDEN
const GOLDEN_FACTS = GOLDEN.facts.map((fact) => makeFact(fact))
const HPARAMS = { ...settings, prefixes: 3, tokensPerUnit: 1 }

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

describe('against PyTorch, step by step', () => {
  let layers: LayerCovariance[]
  beforeAll(async () => {
    layers = await covariancesOf(model, GOLDEN, [1, 2])
  })

  test.each(GOLDEN.values.map((golden, i) => ({ golden, i })))(
    'fact $i: every loss, and the value found',
    async ({ golden, i }) => {
      const fact = GOLDEN_FACTS[i] ?? FACTS[0]
      const found = await findTargetValue(
        { model, fact, prefixes, settings: { ...settings, layer: settings.lastLayer, site: 'block-output' } },
        testContext(),
      )
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
    const { parts, report } = await memit.edit(job, testContext())
    expect(parts).toHaveLength(golden.layers.length)
    for (const [i, { layer, delta }] of golden.layers.entries()) {
      const weight = `model.layers.${layer}.mlp.down_proj.weight`
      expect(parts[i]).toMatchObject({ kind: 'low-rank', weight, left: { shape: [64, golden.facts] } })
      expect(relativeError(await changeOf({ parts, report: {} }, weight), delta)).toBeLessThan(F32_DESCENT)
    }
    expect(report.missingFirst).toBeCloseTo(golden.layers[0]?.missing ?? 0, 3)
    expect(report.missingLast).toBeCloseTo(golden.missing, 3)
  })

  test('one golden fact reaches the limit on the length of the change, the others do not', () => {
    const shares = GOLDEN.values.map(({ initial, delta }) => norm(delta) / norm(initial) / settings.clamp)
    expect(shares.map((share) => share > 0.999)).toEqual([false, true, false])
  })
})

/** What a patch makes of a weight, as a difference [F, D]. */
async function changeOf(patch: Patch, weight: string): Promise<Float64Array> {
  return subtract((await model.withPatch(patch).weight(weight)).data, (await model.weight(weight)).data)
}

describe('on its own preparation', () => {
  const overrides = { firstLayer: 1, lastLayer: 2, prefixes: 2, steps: 5 }
  const edit = async (set: Record<string, number> = {}, facts = [FACTS[0], FACTS[1]]) => {
    const hparams = await loadHparams(memit, model.config, { ...overrides, ...set })
    const prepared = await memit.prepare?.({ model, hparams, material: { text: TEXT, facts: [] } }, testContext())
    if (prepared === undefined) throw new Error('no preparation')
    return memit.edit({ model, facts, hparams, prepared, history: [] }, testContext())
  }

  test('a smaller λ writes more, and hardly any writes all', async () => {
    const missing: number[] = []
    for (const lambda of [100, 1, 1e-6]) missing.push((await edit({ lambda, prefixes: 0 })).report.missingLast ?? 0)
    expect(missing[1]).toBeLessThan(0.95 * (missing[0] ?? 0))
    expect(missing[2]).toBeLessThan(1e-3 * (missing[0] ?? 0))
  })

  test('two facts about one key are reported, two others are not', async () => {
    const [fact] = FACTS
    const other = makeFact({ ...fact, id: 'same', targetNew: 'Asia' })
    expect((await edit({}, [fact, other])).report.keyOverlap).toBeCloseTo(1, 9)
    expect((await edit()).report.keyOverlap).toBeLessThan(0.9)
  })

  test('where the factors would be larger than the matrix, the patch holds the matrix', async () => {
    // 64 · 32 / (64 + 32) = 21.3
    const many = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ ...FACTS[i % 2 === 0 ? 0 : 1], id: `${i}` }))
    const kinds = async (count: number) => (await edit({ steps: 1 }, many(count))).parts.map(({ kind }) => kind)
    expect(await kinds(21)).toEqual(['low-rank', 'low-rank'])
    expect(await kinds(22)).toEqual(['dense', 'dense'])
  })

  test('the last layer before the first is refused', async () => {
    await expect(edit({ firstLayer: 3 })).rejects.toMatchObject({ code: 'E_HPARAM', values: { setting: 'lastLayer' } })
  })
})

// As with ROME; and a value may be no longer than what it stands in for, or the change spills over the prompt's other tokens.
describeEditor(memit, { hparams: { firstLayer: 0, lastLayer: 1, prefixes: 0, klFactor: 0, clamp: 1, lambda: 0.1 } })
describeMemory(memit, 710)
