import { afterAll, beforeAll, expect, test } from 'vitest'
import { samplePrefixes } from '../../../src/editors/steps/context-templates.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { openTinyModel, testContext } from '../../support/tiny-model.ts'

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

const LENGTHS = [
  { tokens: 3, count: 10 },
  { tokens: 6, count: 5 },
]

test('the bare prompt first, then what the model writes after each first word, twice and once', async () => {
  const prefixes = await samplePrefixes(model, LENGTHS, testContext())
  expect(prefixes).toHaveLength(16)
  expect(prefixes[0]).toBe('')
  const firstWords = ['The', 'Therefore', 'Because', 'I', 'You']
  for (const [i, prefix] of prefixes.slice(1).entries()) {
    expect(prefix.startsWith(firstWords[i % 5] ?? '?')).toBe(true)
    expect(prefix.endsWith('. ')).toBe(true)
    expect(prefix).toBe(prefix.normalize('NFKD'))
    expect(prefix).not.toContain('\n\n')
    expect(prefix).not.toContain('<|endoftext|>')
  }
})

test('the same seed gives the same prefixes, another seed others, whatever was drawn before', async () => {
  const one = await samplePrefixes(model, LENGTHS, testContext({ random: createRandom(5) }))
  const used = createRandom(5)
  used.uniform()
  expect(await samplePrefixes(model, LENGTHS, testContext({ random: used }))).toEqual(one)
  expect(await samplePrefixes(model, LENGTHS, testContext({ random: createRandom(6) }))).not.toEqual(one)
})

test('with no lengths, the bare prompt alone', async () => {
  expect(await samplePrefixes(model, [{ tokens: 5, count: 0 }], testContext())).toEqual([''])
})
