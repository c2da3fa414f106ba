import { afterAll, beforeAll, expect, test } from 'vitest'
import { adapterBytes, openAdapters } from '../../../src/editors/steps/adapters.ts'
import type { OpenModel } from '../../../src/models/index.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { openTinyModel } from '../../support/tiny-model.ts'

let model: OpenModel
beforeAll(async () => {
  model = await openTinyModel()
})
afterAll(() => model.close())

test.each([
  ['up', ['mlp.up_proj']],
  ['feed-forward', ['mlp.up_proj', 'mlp.down_proj']],
  ['attention', ['self_attn.q_proj', 'self_attn.v_proj']],
])('are for the matrices and layers chosen: %s', (modules, names) => {
  const at = (layers: readonly number[]) =>
    layers.flatMap((layer) => names.map((name) => `model.layers.${layer}.${name}.weight`))
  const some = openAdapters(model, { modules, rank: 1, layers: [1, 3] }, createRandom(1))
  expect(Object.keys(some)).toEqual(at([1, 3]))
  expect(Object.keys(openAdapters(model, { modules, rank: 1 }, createRandom(1)))).toEqual(at([0, 1, 2, 3]))
})

test('start within their reach on the left and at 0 on the right', () => {
  const largest = (data: Float32Array) => Math.max(...data.map(Math.abs))
  for (const [reach, expected] of [
    [undefined, 1 / Math.sqrt(model.config.width)],
    [0.01, 0.01],
  ] as const) {
    const settings = { modules: 'up', rank: 4, ...(reach === undefined ? {} : { reach }) }
    for (const { left, right } of Object.values(openAdapters(model, settings, createRandom(1)))) {
      expect(largest(left.data)).toBeLessThanOrEqual(expected)
      expect(largest(left.data)).toBeGreaterThan(0.9 * expected)
      expect(largest(right.data)).toBe(0)
    }
  }
})

test('take no more than is said', () => {
  const footprint = { config: model.config, parameters: 0, weightsBytes: 0, widenedBytes: 0 }
  for (const settings of [
    { modules: 'feed-forward', rank: 2, layers: [2] },
    { modules: 'attention', rank: 3 },
  ]) {
    const factors = Object.values(openAdapters(model, settings, createRandom(1)))
    const bytes = factors.reduce((sum, { left, right }) => sum + left.data.byteLength + right.data.byteLength, 0)
    expect(bytes).toBeLessThanOrEqual(adapterBytes(footprint, settings))
  }
})
