import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openCalibrationText } from '../../../src/editors/steps/calibration-text.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { openTinyModel, testContext } from '../../support/tiny-model.ts'

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const DOCUMENTS = [
  'The capital of France is Paris.\n\nPeople in Japan speak Japanese.\n',
  'Kenya is a country in Africa.',
]
const open = (text: readonly string[] | null, tokens: number, seed = 1) =>
  openCalibrationText(model, text, tokens, testContext({ random: createRandom(seed) }))

describe('the user’s text', () => {
  test('whole paragraphs, each once, when there is less text than wanted', async () => {
    const text = await open(DOCUMENTS, 1000)
    expect(text.chunks).toBe(1)
    const found = await Promise.all((await text.rows(0)).map((ids) => model.tokenizer.decode([...ids])))
    expect(found.sort()).toEqual([
      'Kenya is a country in Africa.',
      'People in Japan speak Japanese.',
      'The capital of France is Paris.',
    ])
  })

  test('no more tokens than wanted, no row longer than 128, chunks of about 2048', async () => {
    const long = 'The train to Lima leaves at 17:45. '.repeat(20)
    const text = await open(Array(100).fill(long), 5000)
    const chunks = await Promise.all(Array.from({ length: text.chunks }, (_, i) => text.rows(i)))
    const sizes = chunks.map((rows) => rows.reduce((sum, ids) => sum + ids.length, 0))
    expect(sizes.reduce((a, b) => a + b)).toBe(5000)
    expect(Math.max(...sizes)).toBeLessThan(2048 + 128)
    expect(Math.max(...chunks.flat().map((ids) => ids.length))).toBe(128)
  })

  test('is named by what it holds', async () => {
    const [one, same, other] = [await open(DOCUMENTS, 1000), await open(DOCUMENTS, 1000), await open(['The'], 1000)]
    expect(same.id).toBe(one.id)
    expect(other.id).not.toBe(one.id)
  })

  test('blank text gives no rows', async () => {
    expect(await (await open(['\n \n', ''], 1000)).rows(0)).toEqual([])
  })
})

describe('text that the model writes', () => {
  test('every chunk can be made again alone, and begins with words', async () => {
    const text = await open(null, 2048 + 200)
    expect(text.chunks).toBe(2)
    const rows = await text.rows(1)
    expect(rows.length).toBeLessThanOrEqual(2)
    expect(await (await open(null, 2048 + 200)).rows(1)).toEqual(rows)
    for (const ids of rows) {
      expect(ids.length).toBeGreaterThan(1)
      expect(ids.length).toBeLessThanOrEqual(128 + 8) // a first word may be encoded as several tokens
      expect((await model.tokenizer.decode([...ids])).trim()).toMatch(/^\p{L}/u)
    }
  })

  test('another seed gives another text under another name', async () => {
    const [one, other] = [await open(null, 256), await open(null, 256, 2)]
    expect(other.id).not.toBe(one.id)
    expect(await other.rows(0)).not.toEqual(await one.rows(0))
  })
})
