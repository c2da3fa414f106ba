import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { modelPlaces } from '../../src/commands/support/places.ts'
import { WhicheditError } from '../../src/errors.ts'
import { describeModel, type ModelPlaces } from '../../src/models/locate.ts'
import { type OpenSentenceEncoder, openSentenceEncoder } from '../../src/models/sentence-encoder.ts'
import { expectClose } from '../support/close.ts'
import { testContext } from '../support/tiny-model.ts'

interface Golden {
  pairs: { texts: [string, string]; cosine: number }[]
  vectors: { text: string; ids: number[]; vector: number[] }[]
}

const GOLDEN = fileURLToPath(new URL('../golden/', import.meta.url))
const NOWHERE: ModelPlaces = { hubCache: '' }

describe.each([
  ['tiny-bert', join(GOLDEN, 'tiny-bert'), NOWHERE, 1e-5],
  ['tiny-bert-bare', join(GOLDEN, 'tiny-bert-bare'), NOWHERE, 1e-5],
  ['minilm', 'minilm', modelPlaces(), 1e-5],
] as const)('%s', async (name, reference, places, tolerance) => {
  const golden = JSON.parse(readFileSync(join(GOLDEN, `${name}.json`), 'utf8')) as Golden
  const found = await open(reference, places)
  if (typeof found === 'string') console.warn(`Skipped, ${name} of sentence-encoder.test.ts: ${found}`)
  const encoder = typeof found === 'string' ? undefined : found
  afterAll(() => encoder?.close())

  test.skipIf(encoder === undefined)('gives the vectors that PyTorch gives, of length one', async () => {
    const vectors = await encoder?.vectors(golden.vectors.map(({ text }) => text))
    const expected = golden.vectors.flatMap(({ vector }) => vector)
    expectClose(vectors?.data, expected, { absolute: tolerance }, 'vectors')
    expect(vectors?.shape).toEqual([golden.vectors.length, encoder?.width])
  })

  test.skipIf(encoder === undefined)('finds sentences as alike as PyTorch does, long and empty ones too', async () => {
    const texts = golden.pairs.flatMap(({ texts }) => texts)
    const { data } = (await encoder?.vectors(texts)) ?? { data: new Float32Array() }
    const width = data.length / texts.length
    const cosines = golden.pairs.map((_, i) => {
      let sum = 0
      for (let j = 0; j < width; j++) sum += (data[2 * i * width + j] ?? 0) * (data[(2 * i + 1) * width + j] ?? 0)
      return sum
    })
    expect(golden.pairs).toHaveLength(100)
    expectClose(
      cosines,
      golden.pairs.map(({ cosine }) => cosine),
      { absolute: tolerance },
      'cosines',
    )
  })
})

async function open(reference: string, places: ModelPlaces): Promise<OpenSentenceEncoder | string> {
  try {
    return openSentenceEncoder(await describeModel(reference, testContext(), places), { threads: 1 })
  } catch (error) {
    if (error instanceof WhicheditError && error.code === 'E_MODEL_UNKNOWN') return error.message
    throw error
  }
}

test('a language model is no encoder of sentences', async () => {
  const found = await describeModel(join(GOLDEN, 'tiny-llama'), testContext(), NOWHERE)
  expect(() => openSentenceEncoder(found)).toThrow(/E_ARCHITECTURE|bert/)
})
