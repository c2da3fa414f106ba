import { afterAll, beforeAll, expect, test } from 'vitest'
import { type PromptedFact, promptFact, readStates } from '../../../src/editors/steps/fact-states.ts'
import { spreadOverLayers } from '../../../src/editors/steps/spread.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import type { LanguageModel } from '../../../src/models/model.ts'
import type { LowRankPart } from '../../../src/models/patch.ts'
import { dot, norm } from '../../../src/tensor/linalg.ts'
import { tensor } from '../../../src/tensor/tensor.ts'
import { expectClose } from '../../support/close.ts'
import { FACTS } from '../../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../../support/tiny-model.ts'

let model: OpenModel
let facts: PromptedFact[]
beforeAll(async () => {
  model = await openTinyModel()
  facts = [await promptFact(model, FACTS[0], [''])]
})
afterAll(() => model.close())

const LAYERS = [{ layer: 0 }, { layer: 1 }, { layer: 2 }]

/** Gives a key all that it lacks: k rᵀ / ‖k‖². */
function writeAll(weight: string, keys: Float64Array, residuals: Float64Array): LowRankPart {
  const left = Float32Array.from(keys, (value) => value / dot(keys, keys))
  return {
    kind: 'low-rank',
    weight,
    left: tensor(left, [left.length, 1]),
    right: tensor(Float32Array.from(residuals), [1, residuals.length]),
  }
}

test('each layer takes its share of what is missing then, on the model as changed so far, until nothing is', async () => {
  const { signal } = new AbortController()
  const before = await readStates(model, { layer: 0, site: 'block-output.2' }, facts, signal)
  const values = before.states.map((value, i) => value + Math.sin(i))
  const shares: number[] = []
  let edited: LanguageModel = model
  const { changes, missing } = await spreadOverLayers(
    { model, facts, layers: LAYERS, site: 'block-output.2', values, share: (left) => 1 / left },
    async ({ layer }, { weight, keys, residuals }) => {
      const now = await readStates(edited, { layer, site: 'block-output.2' }, facts, signal)
      expectClose(keys, now.keys, { absolute: 1e-6 }, 'keys')
      shares.push(norm(residuals))
      const part = writeAll(weight, keys, residuals)
      edited = edited.withPatch({ parts: [part], report: {} })
      return { part, layer }
    },
    testContext(),
  )
  expect(changes.map(({ layer }) => layer)).toEqual([0, 1, 2])
  const weights = LAYERS.map(({ layer }) => model.weightName('mlp-down', layer))
  expect(changes.map(({ part }) => part.weight)).toEqual(weights)
  expect(missing).toHaveLength(4)
  for (const [i, share] of shares.entries()) expect(share).toBeCloseTo((missing[i] ?? 0) / (3 - i), 5)
  // The last layer is the only one whose change is the state's own.
  expect(missing[3]).toBeLessThan(1e-4 * (missing[0] ?? 0))
  for (const i of [1, 2, 3]) expect(missing[i]).toBeLessThan(missing[i - 1] ?? 0)
})

test('stops between two layers', async () => {
  const stop = new AbortController()
  const values = new Float64Array(model.config.width)
  const spread = spreadOverLayers(
    { model, facts, layers: LAYERS, site: 'block-output.2', values, share: () => 1 },
    async (_, { weight, keys, residuals }) => ({ part: writeAll(weight, keys, residuals) }),
    testContext({ signal: stop.signal, progress: () => stop.abort(new Error('stopped by the user')) }),
  )
  await expect(spread).rejects.toThrow('stopped by the user')
})
