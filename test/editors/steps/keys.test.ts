import { afterAll, beforeAll, expect, test } from 'vitest'
import { averageRows, readKeys } from '../../../src/editors/steps/keys.ts'
import { tokenizeSubject } from '../../../src/editors/steps/subject.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import { multiplyRow } from '../../../src/tensor/linalg.ts'
import { tensor } from '../../../src/tensor/tensor.ts'
import { expectClose } from '../../support/close.ts'
import { openTinyModel } from '../../support/tiny-model.ts'

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const TEXTS = [
  { text: 'The capital of France is', span: [15, 21] as const },
  { text: 'I have never been to Oslo, but', span: [21, 25] as const },
]

test('reads what the whole texts have there, and values are keys times the weight', async () => {
  const texts = await Promise.all(TEXTS.map((text) => tokenizeSubject(model.tokenizer, text)))
  const { keys, values } = await readKeys(model, 1, texts)
  expect([keys.shape, values.shape]).toEqual([
    [2, 64],
    [2, 32],
  ])
  const whole = await model.run({
    tokens: { rows: texts.map(({ ids }) => ids) },
    read: [{ site: 'mlp-inner.1', at: texts.map(({ subject }, row) => ({ row, token: subject })) }],
  })
  expectClose(keys.data, whole.reads[0]?.data ?? [], { absolute: 1e-5 }, 'keys')
  const weight = await model.weight(model.weightName('mlp-down', 1))
  for (const row of [0, 1]) {
    const product = multiplyRow(keys.data.subarray(row * 64, (row + 1) * 64), weight)
    expectClose(values.data.subarray(row * 32, (row + 1) * 32), product, { absolute: 1e-5 }, 'values')
  }
})

test('averages rows', () => {
  expect([...averageRows(tensor(Float32Array.of(1, 2, 3, 5, 6, 11), [2, 3]))]).toEqual([3, 4, 7])
})
