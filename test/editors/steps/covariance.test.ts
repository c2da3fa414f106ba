import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ProgressEvent } from '../../../src/context.ts'
import { prepareCovariance, prepareCovariances, solveCovariance } from '../../../src/editors/steps/covariance.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import { dot, norm } from '../../../src/tensor/linalg.ts'
import { expectClose } from '../../support/close.ts'
import { openTinyModel, testContext } from '../../support/tiny-model.ts'

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const TEXT = Array.from({ length: 40 }, (_, i) => `The train ${i} to Lima leaves at ${i}:45 and costs ${i * 7} sols.`)
const job = (settings = {}) => ({ model, layer: 1, text: TEXT, tokensPerUnit: 5, ridge: 1e-2, ...settings })

test('is the mean of kᵀk over the tokens, with the ridge on the diagonal', async () => {
  const text = ['The capital of France is Paris.', 'Kenya is a country in Africa.']
  const { matrix, tokens, size } = await prepareCovariance(job({ text, ridge: 0.5 }), testContext())
  const rows = await Promise.all(text.map(async (one) => (await model.tokenizer.encode(one)).ids))
  const { reads } = await model.run({ tokens: { rows }, read: [{ site: 'mlp-inner.1', at: 'all' }] })
  const keys = reads[0]?.data ?? new Float32Array()
  expect(tokens).toBe(rows.reduce((sum, ids) => sum + ids.length, 0))
  expect(keys.length).toBe(tokens * size)
  const expected = new Float64Array(size * size)
  for (let t = 0; t < tokens; t++) {
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        const product = (keys[t * size + i] ?? 0) * (keys[t * size + j] ?? 0)
        expected[i * size + j] = (expected[i * size + j] ?? 0) + product / tokens
      }
    }
  }
  let trace = 0
  for (let i = 0; i < size; i++) trace += expected[i * size + i] ?? 0
  for (let i = 0; i < size; i++) expected[i * size + i] = (expected[i * size + i] ?? 0) + (0.5 * trace) / size
  expectClose(matrix, expected, { relative: 1e-5 }, 'C')
})

test('a second call finds it in the cache; other settings of the text do not', async () => {
  const events: ProgressEvent[] = []
  const ctx = testContext({ progress: (event) => events.push(event) })
  const first = await prepareCovariance(job(), ctx)
  const count = events.length
  expect(count).toBeGreaterThan(0)
  const second = await prepareCovariance(job(), ctx)
  expect(events).toHaveLength(count)
  expect(second).toEqual(first)
  await prepareCovariance(job({ layer: 2 }), ctx)
  await prepareCovariance(job({ text: TEXT.slice(1) }), ctx)
  expect(events.length).toBeGreaterThan(count)
  expect(readdirSync(ctx.cacheDir)).toHaveLength(3)
})

test('several layers take one pass, and each is what it is alone', async () => {
  const [events, ctx]: [ProgressEvent[], ReturnType<typeof testContext>] = [[], testContext()]
  const first = await prepareCovariance(job(), ctx)
  const all = await prepareCovariances(
    { ...job(), layers: [0, 1, 2] },
    { ...ctx, progress: (event) => events.push(event) },
  )
  expect(all[1]).toEqual({ layer: 1, ...first })
  expect(all[2]).toEqual({ layer: 2, ...(await prepareCovariance(job({ layer: 2 }), testContext())) })
  expect(new Set(events.map(({ task }) => task))).toEqual(new Set(['covariance of mlp-inner.0, mlp-inner.2']))
  expect(readdirSync(ctx.cacheDir)).toHaveLength(3)
})

test('a larger ridge needs no new text and lowers the condition number', async () => {
  const ctx = testContext()
  const small = await prepareCovariance(job({ ridge: 1e-3 }), ctx)
  const large = await prepareCovariance(job({ ridge: 1 }), ctx)
  expect(readdirSync(ctx.cacheDir)).toHaveLength(1)
  expect(large.condition).toBeLessThan(small.condition / 10)
})

test('a damaged cache is made again', async () => {
  const ctx = testContext()
  const first = await prepareCovariance(job(), ctx)
  const [name = ''] = readdirSync(ctx.cacheDir)
  writeFileSync(join(ctx.cacheDir, name), 'damaged')
  expect(await prepareCovariance(job(), ctx)).toEqual(first)
})

test('a stopped job goes on from its last saved chunk', async () => {
  const text = Array(120).fill(TEXT).flat()
  const stop = new AbortController()
  const reason = new Error('stopped by the user')
  let now = 0
  const seen: number[] = []
  const ctx = testContext({
    // Every chunk takes a minute of this clock, so each is saved.
    now: () => {
      now += 60_000
      return now
    },
    signal: stop.signal,
    progress: ({ done }) => {
      seen.push(done)
      if (done === 2) stop.abort(reason)
    },
  })
  const long = job({ text, tokensPerUnit: 120 })
  await expect(prepareCovariance(long, ctx)).rejects.toBe(reason)
  const rest: number[] = []
  const going = { ...ctx, signal: new AbortController().signal, progress: ({ done }: ProgressEvent) => rest.push(done) }
  const resumed = await prepareCovariance(long, { ...going, progress: (event) => void going.progress(event) })
  expect(seen).toEqual([1, 2])
  expect(rest[0]).toBe(3)
  const whole = await prepareCovariance(long, testContext())
  expectClose(resumed.matrix, whole.matrix, { relative: 1e-12 }, 'C')
  expect(resumed.tokens).toBe(whole.tokens)
})

test('solves with a residual near rounding', async () => {
  const covariance = await prepareCovariance(job({ ridge: 1e-6 }), testContext())
  const key = Float64Array.from({ length: covariance.size }, (_, i) => Math.sin(i))
  expect(solveCovariance(covariance, key).residual).toBeLessThan(1e-9)
})

test('too little text without a ridge is refused', async () => {
  const poor = prepareCovariance(job({ text: ['The capital of France'], ridge: 0 }), testContext())
  await expect(poor).rejects.toMatchObject({ code: 'E_NOT_POSITIVE_DEFINITE' })
})

/** Text of fewer tokens than a key has numbers: C has directions of which it says nothing. Study, §4.2: ROME and MEMIT on OPT. */
describe('of too little text', () => {
  const little = (ridge: number) => prepareCovariance(job({ text: TEXT.slice(0, 1), ridge }), testContext())
  /** A key of the text, and what of another direction lies outside of all its keys. */
  async function keysOf(size: number) {
    const rows = [(await model.tokenizer.encode(TEXT[0] ?? '')).ids]
    const { reads } = await model.run({ tokens: { rows }, read: [{ site: 'mlp-inner.1', at: 'all' }] })
    const keys = Array.from({ length: (reads[0]?.data.length ?? 0) / size }, (_, t) =>
      Float64Array.from((reads[0]?.data ?? new Float32Array()).subarray(t * size, (t + 1) * size)),
    )
    const basis: Float64Array[] = []
    const without = (key: Float64Array) =>
      [...basis, ...basis].reduce((rest, unit) => {
        const along = dot(rest, unit)
        return rest.map((value, i) => value - along * (unit[i] ?? 0))
      }, key)
    for (const key of keys) {
      const rest = without(key)
      const length = norm(rest)
      if (length > 1e-6 * norm(key)) basis.push(rest.map((value) => value / length))
    }
    const unseen = without(Float64Array.from({ length: size }, (_, i) => Math.cos(i)))
    return { seen: keys.at(-1) ?? new Float64Array(), unseen }
  }

  test('cannot be solved without a ridge, and says so with numbers', async () => {
    await expect(little(0)).rejects.toMatchObject({
      code: 'E_NOT_POSITIVE_DEFINITE',
      values: { pivot: expect.any(Number), row: expect.any(Number) },
    })
  })

  test('with one little above rounding is solved, with a condition that tells how badly', async () => {
    // Sums come from the runtime in float32.
    expect((await little(1e-6)).condition).toBeGreaterThan(1e7)
  })

  test('with the ridge of the settings is solved well, and tells what rests on the ridge', async () => {
    const covariance = await little(1e-4)
    const { seen, unseen } = await keysOf(covariance.size)
    expect(covariance.tokens).toBeLessThan(covariance.size)
    expect(covariance.condition).toBeLessThan(1e7)
    const [known, unknown] = [solveCovariance(covariance, seen), solveCovariance(covariance, unseen)]
    expect(unknown.residual).toBeLessThan(1e-9)
    expect(unknown.ridgeShare).toBeCloseTo(1, 3)
    expect(known.ridgeShare).toBeLessThan(0.1)
    // Both at once: the worse counts.
    const both = Float64Array.of(...seen, ...unseen)
    expect(solveCovariance(covariance, both).ridgeShare).toBe(unknown.ridgeShare)
  })
})
