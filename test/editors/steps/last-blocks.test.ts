import { expect, test } from 'vitest'
import { feedForwardWeights, lastLayers } from '../../../src/editors/steps/last-blocks.ts'
import { openTinyModel } from '../../support/tiny-model.ts'

test.each([
  ['a decoder', { layers: 30, encoderLayers: 0 }, 3, [27, 28, 29]],
  ['fewer than asked for', { layers: 2, encoderLayers: 0 }, 3, [0, 1]],
  ['an encoder and a decoder', { layers: 16, encoderLayers: 8 }, 2, [6, 7, 14, 15]],
  ['short stacks of both', { layers: 5, encoderLayers: 3 }, 4, [0, 1, 2, 3, 4]],
] as const)('the last layers of %s', (_, config, blocks, layers) => {
  expect(lastLayers(config, blocks)).toEqual(layers)
})

test.each([
  ['tiny-llama', ['gate', 'up', 'down'].map((name) => `model.layers.3.mlp.${name}_proj.weight`)],
  ['tiny-gpt2', ['h.2.mlp.c_fc.weight', 'h.2.mlp.c_proj.weight'].map((name) => `transformer.${name}`)],
  ['tiny-phi3', ['model.layers.2.mlp.gate_up_proj.weight', 'model.layers.2.mlp.down_proj.weight']],
] as const)('the feed-forward matrices of the last layer of %s', async (name, weights) => {
  const model = await openTinyModel(name)
  const found = feedForwardWeights(model, lastLayers(model.config, 1))
  expect(found.map((weight) => weight.name)).toEqual(weights)
  for (const { name: weight, shape } of found) expect(shape).toEqual((await model.weight(weight)).shape)
  await model.close()
})
