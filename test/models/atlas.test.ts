/** The model that ships, against transformers (tools/golden/atlas.py): tokens, log-probabilities, greedy text. */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadModel, type OpenModel } from '../../src/models/index.ts'
import { DEFAULT_MODEL, noticeOf, SHIPPED_MODELS } from '../../src/models/shipped.ts'
import { expectClose } from '../support/close.ts'
import { GOLDEN } from '../support/model-files.ts'
import { testContext } from '../support/tiny-model.ts'

// Float32 sums over six layers in another order.
const F32_LOG_PROBS = { absolute: 1e-3 }
const MOST_BYTES = 12 * 2 ** 20

interface Golden {
  asked: { prompt: string; ids: number[]; logProbs: number[]; lastLogits: number[]; written: number[]; text: string }[]
  texts: { text: string; ids: number[]; offsets: [number, number][]; decoded: string }[]
}

const golden: Golden = JSON.parse(readFileSync(join(GOLDEN, 'atlas.json'), 'utf8'))
let model: OpenModel
beforeAll(async () => {
  model = await loadModel(DEFAULT_MODEL, { hubCache: '' }, testContext())
})
afterAll(() => model.close())

test('asks enough', () => {
  expect(golden.asked.length).toBeGreaterThanOrEqual(20)
})

describe.each(golden.asked)('$prompt', ({ prompt, ids, logProbs, lastLogits, written, text }) => {
  test('has the tokens, log-probabilities and logits of transformers', async () => {
    const encoding = await model.tokenizer.encode(prompt)
    expect([...encoding.ids]).toEqual(ids)
    const places = ids.slice(1).map((target, token) => ({ row: 0, token, target }))
    const { reads } = await model.run({
      tokens: { rows: [Int32Array.from(ids)] },
      read: [
        { site: 'logits', at: places, as: 'log-probs', targets: places.map(({ target }) => target) },
        { site: 'logits', at: [{ row: 0, token: ids.length - 1 }] },
      ],
    })
    expectClose(reads[0]?.data ?? [], logProbs, F32_LOG_PROBS, 'log-probabilities')
    const step = model.config.vocabulary / 32
    const chosen = (reads[1]?.data ?? new Float32Array()).filter((_, id) => id % step === 0)
    expectClose(chosen, lastLogits, F32_LOG_PROBS, 'logits')
  })

  test('is continued as transformers continues it', async () => {
    const [generation] = await model.generate([prompt], { maxNewTokens: 12 })
    expect([...(generation?.ids ?? [])]).toEqual(written)
    expect(generation?.text).toBe(text)
  })
})

test('one batch of all prompts is continued as each alone', async () => {
  const written = await model.generate(
    golden.asked.map(({ prompt }) => prompt),
    { maxNewTokens: 12 },
  )
  expect(written.map(({ text }) => text)).toEqual(golden.asked.map(({ text }) => text))
})

test.each(golden.texts)('tokenises $text', async ({ text, ids, offsets, decoded }) => {
  const encoding = await model.tokenizer.encode(text)
  expect([...encoding.ids]).toEqual(ids)
  expect(encoding.offsets).toEqual(offsets)
  expect(await model.tokenizer.decode([...ids])).toBe(decoded)
})

test('ships in at most 12 MB and says what it is for', async () => {
  const [atlas] = SHIPPED_MODELS
  expect(statSync(join(atlas?.path ?? '', 'model.safetensors')).size).toBeLessThanOrEqual(MOST_BYTES)
  expect(model.notice).toMatch(/^atlas is a demonstration model/)
})

test.each([
  [{ notice: ' Only\n for  tests. ' }, 'Only for tests.'],
  [{ notice: '  ' }, null],
  [{ notice: 5 }, null],
  [{}, null],
])('of a configuration %j the notice is %j', (config, notice) => {
  expect(noticeOf(config)).toBe(notice)
})
