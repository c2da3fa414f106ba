import { expect, test } from 'vitest'
import {
  cacheBytes,
  forwardBytes,
  gradientBytes,
  measureWeights,
  programBytes,
  sessionBytes,
} from '../../src/models/footprint.ts'

const MIB = 2 ** 20
const MODEL = {
  config: {
    architecture: 'llama',
    layers: 20,
    encoderLayers: 0,
    width: 10,
    mlpWidth: 20,
    heads: 2,
    kvHeads: 1,
    headWidth: 5,
    vocabulary: 50,
    contextLength: 64,
    tiedHead: true,
  },
  parameters: 510,
  weightsBytes: 2040,
  widenedBytes: 0,
}

test('sums up weights, and finds the largest that is widened', () => {
  const f32 = { shape: [50, 10], bytes: 2000 }
  expect(measureWeights(new Map([['a', f32]]))).toEqual({ parameters: 500, weightsBytes: 2000, widenedBytes: 0 })
  const weights = new Map([
    ['a', f32],
    ['b', { shape: [30, 10], bytes: 600 }],
    ['c', { shape: [10], bytes: 20 }],
  ])
  expect(measureWeights(weights)).toEqual({ parameters: 810, weightsBytes: 2620, widenedBytes: 1200 })
})

test('estimates work from shapes', () => {
  const work = { tokens: 7, attended: 11, logits: 3 }
  // A layer: 7 · (10·10 + 5·20 + 2·2·11) · 4 = 6,832; logits: 2 · 3 · 50 · 4 = 1,200.
  expect(forwardBytes(MODEL, work)).toBe(6832 + 1200)
  expect(gradientBytes(MODEL, { ...work, layers: 4 })).toBe(5 * 6832 + 1200)
  expect(cacheBytes(MODEL.config, 7, 4)).toBe(2 * 4 * 7 * 5 * 4)
  expect(programBytes(MODEL)).toBe(65 * MIB + 50 * 1800)
  expect(sessionBytes(MODEL, 2)).toBe(2 * 20 * 0.15 * MIB)
  expect(sessionBytes({ ...MODEL, widenedBytes: 1200 }, 2)).toBe(2 * (20 * 0.15 * MIB + 1.25 * 1200))
})
