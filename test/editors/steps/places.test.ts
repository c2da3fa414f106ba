import { expect, test } from 'vitest'
import { listPlaces } from '../../../src/editors/steps/places.ts'
import type { ModelConfig } from '../../../src/models/model.ts'

test.each([
  ['all of a row, without an encoder', 0, 1, [0, 1, 2, 3, 4]],
  ['the prompt, in an encoder', 2, 1, [0, 1, 2]],
  ['from the prompt on, whose end predicts the answer, in a decoder', 2, 2, [2, 3, 4]],
])('a layer sees %s', (_, encoderLayers, layer, tokens) => {
  const config = { encoderLayers } as ModelConfig
  expect(listPlaces({ config }, layer, { prompt: 3, all: 5 }, 7)).toEqual(tokens.map((token) => ({ row: 7, token })))
})
