import { expect, test } from 'vitest'
import { listLayers } from '../../../src/editors/steps/layer-range.ts'

test.each([
  { firstLayer: 4, lastLayer: 8, layers: [4, 5, 6, 7, 8] },
  { firstLayer: 0, lastLayer: 0, layers: [0] },
])('from $firstLayer to $lastLayer: $layers', ({ layers, ...range }) => {
  expect(listLayers({ name: 'any' }, range)).toEqual(layers)
})

test('refuses a last layer before the first', () => {
  expect(() => listLayers({ name: 'any' }, { firstLayer: 5, lastLayer: 4 })).toThrow(
    'any: lastLayer: expected layer 5, the first, or one after it, found 4',
  )
})
