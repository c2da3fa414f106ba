import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadModel, type OpenModel } from '../../src/models/index.ts'
import { describeModel } from '../../src/models/locate.ts'
import type { LanguageModel } from '../../src/models/model.ts'
import { chooseWeightUse, mainFormat } from '../../src/models/weight-use.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { GOLDEN, temporaryFolder } from '../support/model-files.ts'
import { testContext } from '../support/tiny-model.ts'

const GIB = 2 ** 30
const NOWHERE = { hubCache: '' }
const UNTIED = join(GOLDEN, 'tiny-llama-untied')

test.each([
  ['32 bits, whatever the limit', [['F32', GIB]], 1, true, 'F32', null],
  ['16 bits in memory enough for 32', [['BF16', GIB]], 8 * GIB, false, 'F32', null],
  ['16 bits in less', [['BF16', GIB]], 8 * GIB - 1, true, 'BF16', 'as F32 they would be 4.0 GiB of 8.0 GiB'],
  [
    'both kinds of 16 bits, and 32',
    [
      ['BF16', 10],
      ['F16', GIB],
      ['F32', 10],
    ],
    GIB,
    true,
    'F16',
    'as F32 they would be 4.0 GiB of 1.0 GiB',
  ],
  ['quantised weights, whatever the limit', [['Q4_K', GIB]], 1, false, 'F32', null],
  [
    '16 bits beside 64',
    [
      ['F16', GIB],
      ['F64', 1],
    ],
    1,
    false,
    'F32',
    null,
  ],
] as const)('%s', (_, formats, memory, isAsStored, usedAs, because) => {
  const counts = formats.map(([format, count]) => ({ format, count }))
  expect(chooseWeightUse(counts, memory)).toEqual({ isAsStored, usedAs, because })
})

test('the main format is that of most numbers, not of most tensors', () => {
  const counts = [5, 1, 1, 1, 1].map((count, i) => ({ format: i === 0 ? 'F16' : 'F32', count }))
  expect(mainFormat(counts)).toBe('F16')
  expect(mainFormat([...counts, { format: 'F32', count: 2 }])).toBe('F32')
  expect(mainFormat([])).toBe('F32')
})

describe('a checkpoint of F16, BF16 and F32', () => {
  const ctx = testContext({ cacheDir: temporaryFolder() })
  let converted: OpenModel
  let stored: OpenModel
  beforeAll(async () => {
    stored = await loadModel(UNTIED, NOWHERE, ctx, { threads: 1, memoryBytes: 1 })
    expect(readdirSync(ctx.cacheDir)).not.toContain('models')
    converted = await loadModel(UNTIED, NOWHERE, ctx, { threads: 1 })
  })
  afterAll(async () => {
    await stored.close()
    await converted.close()
  })

  const random = createRandom('16 bits')
  const numbers = (shape: number[]): Tensor =>
    tensor(
      Float32Array.from({ length: shape.reduce((n, size) => n * size, 1) }, () => 0.1 * random.normal()),
      shape,
    )

  /** All that a model can be asked, on the same tokens. */
  async function ask(model: LanguageModel) {
    const { width } = model.config
    const rows = [Int32Array.of(3, 17, 5, 40), Int32Array.of(9, 8, 7)]
    const name = model.weightName('mlp-down', 1)
    const weight = await model.weight(name)
    const { reads, gradients } = await model.run({
      tokens: { rows },
      read: [
        { site: 'logits', at: 'all' },
        { site: 'mlp-inner.1', at: 'all' },
      ],
      loss: [{ kind: 'nll', at: [{ row: 0, token: 2, target: 40, weight: 1 }] }],
      weights: { [name]: weight },
      gradientOf: [name],
    })
    const write = { site: 'mlp-output.0', mode: 'add', value: tensor(new Float32Array(width), [1, width]) } as const
    const atSite = await model.run({
      tokens: { rows },
      write: [{ ...write, at: [{ row: 0, token: 1 }] }],
      loss: [{ kind: 'nll', at: [{ row: 0, token: 2, target: 40, weight: 1 }] }],
      gradientOf: ['mlp-output.0'],
    })
    return {
      id: model.id,
      reads,
      gradients,
      atSite: atSite.gradients,
      weight,
      generated: await model.generate(['The capital of France is', 'Rome'], { maxNewTokens: 12 }),
      scores: await model.score([{ prompt: 'The capital of France is', target: 'Paris' }]),
    }
  }

  test('says the same, bit for bit, in 16 bits as in 32', async () => {
    expect(await ask(stored)).toEqual(await ask(converted))
  })

  test('and with every kind of change to its weights', async () => {
    const weight = stored.weightName('mlp-down', 1)
    const [rows = 0, columns = 0] = (await stored.weight(weight)).shape
    const dense = { kind: 'dense', weight, delta: numbers([rows, columns]) } as const
    const lowRank = { kind: 'low-rank', weight, left: numbers([rows, 2]), right: numbers([2, columns]) } as const
    for (const parts of [[dense], [lowRank], [dense, lowRank]]) {
      const patch = { parts, report: {} }
      expect(await ask(stored.withPatch(patch))).toEqual(await ask(converted.withPatch(patch)))
    }
  })
})

test('describes a model without converting it', async () => {
  const ctx = testContext({ cacheDir: temporaryFolder() })
  for (const name of ['tiny-llama-untied', 'tiny-llama.gguf']) {
    const found = await describeModel(join(GOLDEN, name), ctx, NOWHERE)
    expect(readdirSync(ctx.cacheDir)).toEqual(['hashes'])
    const files = await describeModel(join(GOLDEN, name), testContext({ cacheDir: temporaryFolder() }), NOWHERE)
    const opened = await files.open()
    expect([found.name, found.fingerprint, found.config, found.storedAs]).toEqual([
      opened.name,
      opened.fingerprint,
      opened.config,
      opened.storedAs,
    ])
    const shapes = (weights: ReadonlyMap<string, { shape: readonly number[] }>) =>
      Object.fromEntries([...weights].map(([weight, { shape }]) => [weight, shape]))
    expect(shapes(found.weights)).toEqual(shapes(opened.weights))
  }
})
