import { expect, test } from 'vitest'
import { estimateFootprint } from '../../src/models/footprint.ts'

const CONFIG = {
  architecture: 'llama',
  layers: 3,
  encoderLayers: 0,
  width: 10,
  mlpWidth: 20,
  heads: 2,
  kvHeads: 1,
  headWidth: 5,
  vocabulary: 50,
  contextLength: 64,
  tiedHead: true,
}

test('counts parameters and estimates what a process adds', () => {
  const weights = new Map([
    ['a', { file: 'x', format: 'F32' as const, shape: [50, 10], offset: 0, bytes: 2000 }],
    ['b', { file: 'x', format: 'F32' as const, shape: [10], offset: 2000, bytes: 40 }],
  ])
  // A layer keeps 400 · (10·10 + 5·20) · 4 = 320,000 bytes; logits of 20 prompts 20 · 50 · 4 = 4,000.
  const forward = 25 * 2 ** 20 + 320_000 + 4_000
  expect(estimateFootprint(CONFIG, weights)).toEqual({
    parameters: 510,
    weightsBytes: 2040,
    forwardBytes: forward,
    gradientBytes: forward + 2 * 320_000,
  })
})
