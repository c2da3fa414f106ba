import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findTargetValue, type TargetValueSettings } from '../../../src/editors/steps/target-value.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import { norm } from '../../../src/tensor/linalg.ts'
import { tensor } from '../../../src/tensor/tensor.ts'
import { FACTS } from '../../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../../support/tiny-model.ts'

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const SETTINGS: TargetValueSettings = {
  layer: 1,
  site: 'mlp-output',
  steps: 6,
  learningRate: 0.3,
  klFactor: 0.0625,
  weightDecay: 0.5,
  clamp: 4,
  stopLoss: 0.05,
}
const PREFIXES = ['', 'The train to Lima. ']
const find = (settings: Partial<TargetValueSettings>, prefixes = PREFIXES) =>
  findTargetValue({ model, fact: FACTS[0], prefixes, settings: { ...SETTINGS, ...settings } }, testContext())

// The golden of test/editors/rome.test.ts pins every number; here is what the settings do.
describe('settings', () => {
  test('the last loss is not followed by a step', async () => {
    const one = await find({ steps: 1 })
    expect(norm(one.delta)).toBe(0)
    expect(one.losses).toHaveLength(1)
    expect(one.losses[0]?.decay).toBe(0)
    expect(one.losses[0]?.kl).toBeCloseTo(0, 5)
  })

  test('stops at the first loss below the limit', async () => {
    const limit = 8.9
    const { losses } = await find({ stopLoss: limit, steps: 40, weightDecay: 0 })
    expect(losses.length).toBeLessThan(40)
    expect(losses.at(-1)?.total).toBeLessThan(limit)
    expect(losses.at(-2)?.total).toBeGreaterThanOrEqual(limit)
  })

  test('the clamp holds in every step', async () => {
    const { initial, delta } = await find({ clamp: 0.1, steps: 4 })
    expect(norm(delta)).toBeCloseTo(0.1 * norm(initial), 5)
  })

  test('a heavier decay keeps the change smaller', async () => {
    const [light, heavy] = [await find({ weightDecay: 0.1, steps: 20 }), await find({ weightDecay: 500, steps: 20 })]
    expect(norm(heavy.delta)).toBeLessThan(0.8 * norm(light.delta))
  })

  test('a heavier KL term keeps the prediction after the subject closer', async () => {
    const [light, heavy] = [await find({ klFactor: 0.01, steps: 20 }), await find({ klFactor: 10, steps: 20 })]
    expect((heavy.losses.at(-1)?.kl ?? 0) / 10).toBeLessThan(0.5 * ((light.losses.at(-1)?.kl ?? 0) / 0.01))
  })

  test('works on the residual stream after the layer too', async () => {
    const { losses, initial } = await find({ site: 'block-output', steps: 15 })
    expect(losses.at(-1)?.target).toBeLessThan((losses[0]?.target ?? 0) - 0.05)
    const mlp = await find({ steps: 1 })
    expect(norm(initial)).not.toBeCloseTo(norm(mlp.initial), 2)
  })
})

test('the last loss is that of the whole model with the change written in', async () => {
  const [fact] = FACTS
  const { delta, losses } = await find({}, [''])
  const { ids } = await model.tokenizer.encode(fact.prompt)
  const target = await model.tokenizer.encodeContinuation(` ${fact.targetNew}`)
  const token = (await model.tokenizer.encode('The capital of France')).ids.length - 1
  const whole = await model.run({
    tokens: { rows: [Int32Array.of(...ids, ...target.subarray(0, -1))] },
    write: [{ site: 'mlp-output.1', mode: 'add', value: tensor(delta, [1, delta.length]), at: [{ row: 0, token }] }],
    loss: [
      {
        kind: 'nll',
        at: Array.from(target, (id, i) => ({
          row: 0,
          token: ids.length - 1 + i,
          target: id,
          weight: 1 / target.length,
        })),
      },
    ],
  })
  expect(whole.loss).toBeCloseTo(losses.at(-1)?.target ?? 0, 4)
})

test('stops between steps', async () => {
  const stop = new AbortController()
  const reason = new Error('stopped by the user')
  const progress = () => stop.abort(reason)
  const job = { model, fact: FACTS[0], prefixes: [''], settings: SETTINGS }
  await expect(findTargetValue(job, testContext({ signal: stop.signal, progress }))).rejects.toBe(reason)
})
