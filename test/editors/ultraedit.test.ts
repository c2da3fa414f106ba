import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadHparams } from '../../src/editors/hparams.ts'
import { ultraedit } from '../../src/editors/ultraedit.ts'
import type { Fact } from '../../src/facts/fact.ts'
import type { OpenModel } from '../../src/models/index.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import type { Patch } from '../../src/models/patch.ts'
import { subtract } from '../../src/tensor/linalg.ts'
import { expectClose, relativeError } from '../support/close.ts'
import { describeEditor } from '../support/editor-suite.ts'
import { describeMemory } from '../support/memory-suite.ts'
import { FACTS, makeFact, SHORT_FACTS } from '../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

/** Gradients are float32, and are divided by what little they vary. */
const F32_NORMALIZED = 1e-3

interface GoldenFact {
  id: string
  prompt: string
  targetNew: string
}
interface Golden {
  settings: { firstLayer: number; lastLayer: number; learningRate: number; passFacts: number }
  batches: {
    facts: GoldenFact[]
    loss: number
    tokens: number
    layers: { layer: number; missing: number; delta: number[] }[]
  }[]
}
const GOLDEN: Golden = JSON.parse(readFileSync(new URL('../golden/ultraedit.json', import.meta.url), 'utf8'))

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const edit = async (
  facts: readonly Fact[],
  set: Record<string, number> = {},
  history: readonly Patch[] = [],
  on: LanguageModel = model,
) => {
  const hparams = await loadHparams(ultraedit, model.config, { ...GOLDEN.settings, ...set })
  return ultraedit.edit({ model: on, facts, hparams, prepared: undefined, history }, testContext())
}

test('against PyTorch: a batch, and a second one on the model and the moments that the first left', async () => {
  const history: Patch[] = []
  let edited: LanguageModel = model
  for (const { facts, loss, tokens, layers } of GOLDEN.batches) {
    const chosen = facts.map((fact) => makeFact({ ...fact, subject: fact.prompt }))
    const patch = await edit(chosen, {}, history, edited)
    const after = edited.withPatch(patch)
    expect(patch.report.tokens).toBe(tokens)
    expect(patch.report.loss).toBeCloseTo(loss, 4)
    expect(patch.report.missing).toBeCloseTo(Math.max(...layers.map(({ missing }) => missing)), 4)
    for (const { layer, delta } of layers) {
      const weight = model.weightName('mlp-down', layer)
      const change = subtract((await after.weight(weight)).data, (await edited.weight(weight)).data)
      expect(relativeError(change, delta)).toBeLessThan(F32_NORMALIZED)
    }
    history.push(patch)
    edited = after
  }
})

describe('what goes on from one edit to the next', () => {
  const first = [FACTS[0], SHORT_FACTS[0]]
  const second = [FACTS[1], SHORT_FACTS[1]]
  // A pass of one fact: its gradients are the same in whatever company.
  const alone = { passFacts: 1 }

  test('is the moments of all tokens, as if they had come at once', async () => {
    // The model stays as it is, so that both see the same tokens.
    const streamed = await edit(second, alone, [await edit(first, alone)])
    const { state = {} } = await edit([...first, ...second], alone)
    expect(Object.keys(state)).toHaveLength(4)
    for (const [name, { shape, data }] of Object.entries(state)) {
      expect(streamed.state?.[name]?.shape).toEqual(shape)
      const width = shape[1] ?? 0
      for (const row of [0, 1, 2]) {
        const pick = (all: Float32Array | undefined) => all?.subarray(row * width, (row + 1) * width)
        expectClose(pick(streamed.state?.[name]?.data), pick(data) ?? [], { relative: 1e-5 }, `${name}, row ${row}`)
      }
    }
  })

  test('changes what is usual, and so the edit', async () => {
    const [fresh, later] = [await edit(second), await edit(second, {}, [await edit(first)])]
    expect(later.parts).not.toEqual(fresh.parts)
  })
})

test('η is a share of the whole change', async () => {
  const read = async (learningRate: number) => {
    const weight = model.weightName('mlp-down', 1)
    const patch = await edit(FACTS, { learningRate })
    return subtract((await model.withPatch(patch).weight(weight)).data, (await model.weight(weight)).data)
  }
  const [one, three] = [await read(0.1), await read(0.3)]
  expect(
    relativeError(
      three,
      one.map((value) => 3 * value),
    ),
  ).toBeLessThan(1e-4)
})

test('layers in the wrong order are refused', async () => {
  await expect(edit(FACTS, { firstLayer: 2, lastLayer: 1 })).rejects.toMatchObject({ code: 'E_HPARAM' })
})

// One step downhill, long enough for so small a model.
describeEditor(ultraedit, { hparams: { firstLayer: 1, lastLayer: 2, learningRate: 0.2 } })
describeMemory(ultraedit, 203)
