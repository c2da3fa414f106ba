import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { alphaedit } from '../../src/editors/alphaedit.ts'
import { loadHparams } from '../../src/editors/hparams.ts'
import { addToGrams, averageGram } from '../../src/editors/steps/covariance.ts'
import { cutNullSpace, type NullSpace, projectToNullSpace } from '../../src/editors/steps/null-space.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { Patch } from '../../src/models/patch.ts'
import { decomposeSymmetric } from '../../src/tensor/eigen.ts'
import { multiplyRow, norm, subtract } from '../../src/tensor/linalg.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { relativeError } from '../support/close.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { FACTS, makeFact, TEXT } from '../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

/** What is made of δ after 11 steps of Adam, which divides by the size of small gradients. */
const F32_DESCENT = 1e-3
/** Keys are summed in float32 over some hundred tokens. */
const F32_SUMS = 4
/** Factors of a change are rounded to float32. */
const F32_FACTORS = 1e-5

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
    threshold: number
    lambda: number
  }
  prefixes: string[]
  rows: number[][]
  facts: { id: string; prompt: string; subject: string; targetNew: string }[]
  spaces: { layer: number; directions: number; share: number; meanSquare: number }[]
  edits: {
    name: string
    facts: string[]
    losses: number[][]
    layers: { layer: number; missing: number; delta: number[] }[]
    missing: number
  }[]
}
const GOLDEN: Golden = JSON.parse(readFileSync(new URL('../golden/alphaedit.json', import.meta.url), 'utf8'))
const { settings, prefixes } = GOLDEN
const HPARAMS = { ...settings, relative: true, prefixes: 3, tokensPerUnit: 1 }

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

/** What a patch makes of a weight, as a difference [F, D]. */
async function changeOf({ parts }: Patch, weight: string): Promise<Float64Array> {
  const changed = await model.withPatch({ parts, report: {} }).weight(weight)
  return subtract(changed.data, (await model.weight(weight)).data)
}

describe('against PyTorch', () => {
  let layers: NullSpace[]
  beforeAll(async () => {
    const size = model.config.mlpWidth
    const sums = [1, 2].map((layer) => ({ layer, gram: { size, sum: new Float64Array(size * size), tokens: 0 } }))
    await addToGrams(
      model,
      GOLDEN.rows.map((row) => Int32Array.from(row)),
      sums,
    )
    layers = []
    for (const { layer, gram } of sums) {
      layers.push(cutNullSpace({ layer, gram }, await decomposeSymmetric(averageGram(gram).matrix, size), HPARAMS))
    }
  })

  test('as many directions remain, with as much of ordinary keys', () => {
    for (const [i, { layer, directions, share, meanSquare }] of GOLDEN.spaces.entries()) {
      expect(layers[i]).toMatchObject({ layer, directions })
      expect(layers[i]?.share).toBeCloseTo(share, F32_SUMS)
      expect((layers[i]?.meanSquare ?? 0) / meanSquare).toBeCloseTo(1, F32_SUMS)
    }
  })

  test.each([
    ['three facts at once', ['three facts at once']],
    ['a stream of two edits', ['the first of a stream', 'the second of a stream']],
  ])('%s: losses, every change, and what is missing before and after', async (_, names) => {
    const history: Patch[] = []
    for (const golden of GOLDEN.edits.filter(({ name }) => names.includes(name))) {
      const facts = GOLDEN.facts.filter(({ id }) => golden.facts.includes(id)).map((fact) => makeFact(fact))
      const edited = history.reduce((on, patch) => on.withPatch(patch), model as ReturnType<OpenModel['withPatch']>)
      const patch = await alphaedit.edit(
        { model: edited, facts, hparams: HPARAMS, prepared: { layers, prefixes }, history },
        testContext(),
      )
      history.push(patch)
      for (const [i, { layer, delta }] of golden.layers.entries()) {
        const weight = `model.layers.${layer}.mlp.down_proj.weight`
        expect(patch.parts[i]).toMatchObject({ kind: 'low-rank', weight, left: { shape: [64, facts.length] } })
        expect(relativeError(await changeOf(patch, weight), delta)).toBeLessThan(F32_DESCENT)
      }
      expect(patch.report.missingFirst).toBeCloseTo(golden.layers[0]?.missing ?? 0, 3)
      expect(patch.report.missingLast).toBeCloseTo(golden.missing, 3)
      const mean = (at: number) => golden.losses.reduce((sum, row) => sum + (row.at(at) ?? 0), 0) / facts.length
      expect(patch.report.lossFirst).toBeCloseTo(mean(0), 3)
      expect(patch.report.lossLast).toBeCloseTo(mean(-1), 3)
    }
  })
})

describe('on its own preparation', () => {
  const prepare = async (set: Record<string, number>) => {
    const overrides = { firstLayer: 1, lastLayer: 2, prefixes: 0, steps: 5, ...set }
    const hparams = await loadHparams(alphaedit, model.config, overrides)
    const material = { text: TEXT, facts: [] }
    const prepared = await alphaedit.prepare?.({ model, hparams, material }, testContext())
    if (prepared === undefined) throw new Error('no preparation')
    const edit = (facts = [...FACTS], history: Patch[] = []) =>
      alphaedit.edit({ model, facts, hparams, prepared, history }, testContext())
    return { edit, prepared }
  }

  test('does nothing to a key of ordinary text outside the null space, and next to nothing to any', async () => {
    const { edit, prepared } = await prepare({ threshold: 0.3 })
    const patch = await edit()
    const [space] = prepared.layers
    if (space === undefined) throw new Error('no layer')
    const weight = model.weightName('mlp-down', space.layer)
    const change = tensor(new Float32Array(await changeOf(patch, weight)), [space.size, model.config.width])
    const rows = await Promise.all(TEXT.map(async (text) => (await model.tokenizer.encode(text)).ids))
    const { reads } = await model.run({ tokens: { rows }, read: [{ site: `mlp-inner.${space.layer}`, at: 'all' }] })
    const keys = Float64Array.from(reads[0]?.data ?? [])
    const within = projectToNullSpace(space, keys)
    const outside = keys.map((value, i) => value - (within[i] ?? 0))
    const moved = (of: Float64Array) => {
      const lengths: number[] = []
      for (let row = 0; row < of.length; row += space.size)
        lengths.push(norm(multiplyRow(of.subarray(row, row + space.size), change)))
      return norm(lengths)
    }
    expect(moved(outside)).toBeLessThan(F32_FACTORS * norm(outside) * norm(change.data))
    expect(moved(keys)).toBeLessThan(0.2 * norm(keys) * norm(change.data))
    expect(patch.report).toMatchObject({
      nullDirections: Math.min(...prepared.layers.map(({ directions }) => directions)),
    })
  })

  test('a smaller λ writes more', async () => {
    const missing: number[] = []
    for (const lambda of [100, 0.1, 1e-6])
      missing.push((await (await prepare({ lambda })).edit()).report.missingLast ?? 0)
    expect(missing[1]).toBeLessThan(0.95 * (missing[0] ?? 0))
    expect(missing[2]).toBeLessThan(0.5 * (missing[1] ?? 0))
  })

  test('what a later edit does to the keys of an earlier one is less than it would be', async () => {
    const { edit, prepared } = await prepare({ lambda: 1e-3 })
    const [one, two] = FACTS
    const first = await edit([one])
    const weight = model.weightName('mlp-down', prepared.layers[0]?.layer ?? 0)
    const key = first.state?.[`keys ${weight}`]
    if (key === undefined) throw new Error('no keys')
    expect(key.shape).toEqual([1, model.config.mlpWidth])
    const movedBy = async (patch: Patch) => {
      const change = await changeOf(patch, weight)
      return norm(multiplyRow(key.data, tensor(new Float32Array(change), [model.config.mlpWidth, model.config.width])))
    }
    expect(await movedBy(await edit([two], [first]))).toBeLessThan(0.3 * (await movedBy(await edit([two]))))
  })
})

// As with MEMIT.
describeEditor(alphaedit, {
  hparams: { firstLayer: 1, lastLayer: 1, prefixes: 0, klFactor: 0, clamp: 0.7, threshold: 3, lambda: 0.01 },
})
describeMemory(alphaedit, 712)
