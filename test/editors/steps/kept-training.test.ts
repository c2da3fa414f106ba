import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Context } from '../../../src/context.ts'
import { openAdapters } from '../../../src/editors/steps/adapters.ts'
import { type KeptTraining, trainKept } from '../../../src/editors/steps/kept-training.ts'
import { batchFacts, trainOnFacts } from '../../../src/editors/steps/train-on-facts.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { FACTS, SHORT_FACTS } from '../../support/tiny-facts.ts'
import { openTinyModel, testContext } from '../../support/tiny-model.ts'

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

/** A training of two adapters over four batches. */
async function openTraining(ctx: Context, rank = 1): Promise<KeptTraining & { steps: number; stopLoss: number }> {
  const lowRank = openAdapters(model, { modules: 'attention', rank }, createRandom(3))
  const parameters = Object.entries(lowRank).flatMap(([name, { left, right }]) => [
    { name: `left ${name}`, values: left.data, learningRate: 0.01 },
    { name: `right ${name}`, values: right.data, learningRate: 0.02 },
  ])
  const facts = [...FACTS, ...SHORT_FACTS]
  const batches = await batchFacts({ model, facts, objective: 'target-new', batchSize: 1 }, ctx)
  const file = join(ctx.cacheDir, 'training.bin')
  return { model, batches, parameters, given: { lowRank }, task: 'test', file, key: 'k', steps: 1, stopLoss: 0 }
}

const valuesOf = ({ parameters }: KeptTraining) => parameters.map(({ values }) => values)

test('takes the steps of one epoch, and tells its loss after each', async () => {
  const losses: (number | undefined)[] = []
  const ctx = testContext({ progress: ({ loss }) => losses.push(loss) })
  const [kept, plain] = [await openTraining(ctx), await openTraining(ctx)]
  const found = await trainKept(kept, ctx)
  const [mean] = await trainOnFacts(plain, testContext())
  expect(valuesOf(kept)).toEqual(valuesOf(plain))
  expect(found.reduce((sum, loss) => sum + loss, 0) / found.length).toBeCloseTo(mean ?? 0, 6)
  expect(losses).toEqual(found)
})

test('goes on where it stopped, moments included, and is read back when it is finished', async () => {
  const whole = await openTraining(testContext())
  const losses = await trainKept(whole, testContext())
  const ctx = testContext()
  const half = await openTraining(ctx)
  await trainKept({ ...half, batches: half.batches.slice(0, 2) }, ctx)
  const steps: number[] = []
  const rest = await openTraining(ctx)
  expect(await trainKept(rest, { ...ctx, progress: ({ done }) => steps.push(done) })).toEqual(losses)
  expect(steps).toEqual([3, 4])
  expect(valuesOf(rest)).toEqual(valuesOf(whole))
  const again = await openTraining(ctx)
  expect(await trainKept(again, { ...ctx, progress: () => steps.push(0) })).toEqual(losses)
  expect(valuesOf(again)).toEqual(valuesOf(whole))
  expect(steps).toEqual([3, 4])
})

test.each<[string, (file: string) => Promise<void>, Partial<{ key: string; rank: number }>]>([
  ['damaged', async (file) => writeFile(file, (await readFile(file)).subarray(0, -1)), {}],
  ['of something else', async () => {}, { key: 'other' }],
  ['of other sizes', async () => {}, { rank: 2 }],
])('starts over where the file is %s', async (_, change, { key = 'k', rank = 1 }) => {
  const ctx = testContext()
  const first = await openTraining(ctx)
  await trainKept(first, ctx)
  await change(first.file)
  const steps: number[] = []
  const next = { ...(await openTraining(ctx, rank)), key }
  await trainKept(next, { ...ctx, progress: ({ done }) => steps.push(done) })
  expect(steps).toEqual([1, 2, 3, 4])
})
