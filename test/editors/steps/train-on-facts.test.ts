import { expect, test } from 'vitest'
import { openAdapters } from '../../../src/editors/steps/adapters.ts'
import { batchFacts, trainOnFacts } from '../../../src/editors/steps/train-on-facts.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { FACTS } from '../../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../../support/tiny-model.ts'

test('counts the share of the learning rate that an epoch has', async () => {
  const [model, ctx] = [await openTinyModel(), testContext()]
  const batches = await batchFacts({ model, facts: FACTS, objective: 'target-new', batchSize: 2 }, ctx)
  const train = async (shares: readonly number[] | undefined) => {
    const adapters = openAdapters(model, { modules: 'up', rank: 1, layers: [2] }, createRandom(1))
    const [[name, { right }] = ['', { right: { data: new Float32Array() } }]] = Object.entries(adapters)
    const parameters = [{ name: `right ${name}`, values: right.data, learningRate: 0.01 }]
    const shareAt = shares && { shareAt: (epoch: number) => shares[epoch] ?? Number.NaN }
    const job = { model, batches, parameters, given: { lowRank: adapters }, steps: 2, stopLoss: 0, task: 'x' }
    await trainOnFacts({ ...job, ...shareAt }, ctx)
    return right.data
  }
  const whole = await train(undefined)
  expect(await train([1, 1])).toEqual(whole)
  // Adam's first step is the learning rate, whatever the gradient.
  expect(Math.max(...(await train([0.5, 0])).map(Math.abs))).toBeCloseTo(0.005, 6)
  expect(await train([1, 0.5])).not.toEqual(whole)
  await model.close()
})
