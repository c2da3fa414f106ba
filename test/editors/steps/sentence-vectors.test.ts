import { readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cachedSentenceVectors, orderByCosine } from '../../../src/editors/steps/sentence-vectors.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import { sentenceVectors } from '../../../src/models/sentence-vectors.ts'
import { rowsOf, tensor } from '../../../src/tensor/tensor.ts'
import { expectClose } from '../../support/close.ts'
import { openTinyModel, testContext } from '../../support/tiny-model.ts'

const TEXTS = ['The capital of France is Paris', 'People in Japan speak', '']

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

/** Texts run beside others are padded, which changes the last bits of sums. */
const BESIDE_OTHERS = { relative: 1e-5 }

test('are the vectors of the texts, one a row', async () => {
  const vectors = await cachedSentenceVectors(model, { layer: 1 }, TEXTS, testContext())
  expect(vectors.shape).toEqual([3, model.config.width])
  for (const [i, text] of TEXTS.entries()) {
    const row = vectors.data.subarray(i * model.config.width, (i + 1) * model.config.width)
    expectClose(row, (await sentenceVectors(model, { layer: 1 }, [text])).data, BESIDE_OTHERS, text)
  }
})

test.each([
  ['left alone', () => {}, 0],
  ['cut short', (file: string) => truncateSync(file, 7), 1],
  ['filled with numbers that are none', (file: string) => writeFileSync(file, Buffer.alloc(4 * 3 * 32, 0xff)), 1],
])('come from the cache the second time, unless the file is damaged: %s', async (_, damage, computed) => {
  const ctx = testContext()
  const first = await cachedSentenceVectors(model, { layer: 1 }, TEXTS, ctx)
  const folder = join(ctx.cacheDir, 'sentence-vectors')
  for (const name of readdirSync(folder)) damage(join(folder, name))
  let steps = 0
  const again = await cachedSentenceVectors(model, { layer: 1 }, TEXTS, { ...ctx, progress: () => (steps += 1) })
  expect(again).toEqual(first)
  expect(steps).toBe(computed)
})

test('are cached by model, layer and texts', async () => {
  const ctx = testContext()
  await cachedSentenceVectors(model, { layer: 1 }, TEXTS, ctx)
  await cachedSentenceVectors(model, { layer: 2 }, TEXTS, ctx)
  await cachedSentenceVectors(model, { layer: 1 }, TEXTS.slice(1), ctx)
  expect(readdirSync(join(ctx.cacheDir, 'sentence-vectors'))).toHaveLength(3)
})

test('are ordered by the angle between them, not by length', () => {
  const rows = tensor(Float32Array.of(1, 1, 100, 0, 0, 0.1, -1, -1, 0, 0), [5, 2])
  expect(orderByCosine(rowsOf(rows), tensor(Float32Array.of(1, 2), [2]))).toEqual([0, 2, 1, 4, 3])
})
