import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type OpenModel, openModel } from '../../src/models/index.ts'
import { describeModel } from '../../src/models/locate.ts'
import type { Patch } from '../../src/models/patch.ts'
import { cosine, sentenceVectors, vectorSource } from '../../src/models/sentence-vectors.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

const GOLDEN = fileURLToPath(new URL('../golden/', import.meta.url))
const TEXTS = ['The capital of France is Paris', 'People in Japan speak', 'Oslo']
const findGolden = (name: string) => describeModel(join(GOLDEN, name), testContext(), { hubCache: '' })

let plain: OpenModel
let helped: OpenModel
beforeAll(async () => {
  plain = await openTinyModel()
  helped = openModel(await (await findGolden('tiny-llama')).open(), {
    encoder: await findGolden('tiny-bert'),
    threads: 1,
  })
})
afterAll(() => Promise.all([plain.close(), helped.close()]))

test("without an encoder, a vector is the mean of the model's own hidden states", async () => {
  expect(vectorSource(plain, 2)).toEqual({ layer: 2 })
  const { data } = await sentenceVectors(plain, { layer: 2 }, ['Oslo'])
  const { ids } = await plain.tokenizer.encode('Oslo')
  const { reads } = await plain.run({ tokens: { rows: [ids] }, read: [{ site: 'block-output.2', at: 'all' }] })
  const { width } = plain.config
  data.forEach((value, j) => {
    const states = Array.from(ids, (_, t) => reads[0]?.data[t * width + j] ?? Number.NaN)
    expect(value).toBeCloseTo(states.reduce((sum, state) => sum + state, 0) / ids.length, 5)
  })
})

test('with one, it is the encoder that makes them, and a text finds itself', async () => {
  const source = vectorSource(helped, 2)
  expect(source).toEqual({ encoder: helped.encoder?.id })
  const { data, shape } = await sentenceVectors(helped, source, TEXTS)
  expect(shape).toEqual([3, helped.encoder?.width])
  expect(helped.encoder?.width).not.toBe(helped.config.width)
  const width = shape[1] ?? 0
  const rows = TEXTS.map((_, i) => tensor(data.slice(i * width, (i + 1) * width), [width]))
  const entries = rows.map((vector, i) => ({ key: `${i}`, sentence: '', vector, before: `${TEXTS[i]}: `, after: '' }))
  const retrieval = { by: 'cosine', vectors: source, above: null } as const
  const patch: Patch = { parts: [{ kind: 'context', retrieval, confirmation: null, entries }], report: {} }
  for (const prompt of TEXTS) {
    const [found] = await helped.withPatch(patch).score([{ prompt, target: 'x' }])
    const [byHand] = await helped.score([{ prompt: `${prompt}: ${prompt}`, target: 'x' }])
    expect(found).toEqual(byHand)
  }
})

test('vectors of an encoder that the model lacks are refused, not compared with others', async () => {
  const vector = tensor(Float32Array.of(1), [1])
  const entries = ['a', 'b'].map((key) => ({ key, sentence: '', vector, before: '', after: '' }))
  const retrieval = { by: 'cosine', vectors: { encoder: 'another' }, above: null } as const
  const patch: Patch = { parts: [{ kind: 'context', retrieval, confirmation: null, entries }], report: {} }
  for (const model of [plain, helped]) {
    const asked = model.withPatch(patch).score([{ prompt: 'Oslo', target: 'x' }])
    await expect(asked).rejects.toMatchObject({ code: 'E_ENCODER' })
  }
})

test('a cosine is that of the angle, and 0 where there is none', () => {
  const of = (...values: number[]) => tensor(Float32Array.from(values), [values.length])
  expect(cosine(of(1, 0), of(5, 0))).toBe(1)
  expect(cosine(of(1, 0), of(0, 2))).toBe(0)
  expect(cosine(of(1, 1), of(-2, -2))).toBeCloseTo(-1, 12)
  expect(cosine(of(0, 0), of(1, 1))).toBe(0)
})
