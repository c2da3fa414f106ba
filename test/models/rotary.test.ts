import { describe, expect, test } from 'vitest'
import type { Json } from '../../src/models/json.ts'
import { readRotary } from '../../src/models/rotary.ts'

const frequencies = (raw: Record<string, Json>, headWidth = 8) => readRotary(raw, { headWidth }).rotary.frequencies

describe('the base', () => {
  test.each<[string, Record<string, Json>, number]>([
    ['at the top', { rope_theta: 16 }, 16],
    ['beside the kind of scaling', { rope_parameters: { rope_type: 'default', rope_theta: 81 } }, 81],
    ['nowhere', {}, 10_000],
  ])('is found %s', (_, raw, base) => {
    expect(frequencies(raw)).toEqual([1, base ** -0.25, base ** -0.5, base ** -0.75])
  })

  test('is found for each type of layer', () => {
    const raw = { rope_parameters: { full_attention: { rope_theta: 16 }, sliding_attention: { rope_theta: 81 } } }
    const of = (layerType: string) => readRotary(raw, { headWidth: 8, layerType }).rotary.frequencies[1]
    expect(of('full_attention')).toBe(16 ** -0.25)
    expect(of('sliding_attention')).toBe(81 ** -0.25)
  })
})

test.each<[string, Record<string, Json>, number]>([
  ['the whole head', {}, 8],
  ['its first half', { partial_rotary_factor: 0.5 }, 4],
  ['what the parameters say', { rope_parameters: { partial_rotary_factor: 0.25 } }, 2],
])('turns %s', (_, raw, width) => {
  const { rotary } = readRotary(raw, { headWidth: 8 })
  expect(rotary.width).toBe(width)
  expect(rotary.frequencies).toHaveLength(width / 2)
})

describe('scaling', () => {
  test('linear slows every pair down', () => {
    expect(frequencies({ rope_theta: 16, rope_scaling: { type: 'linear', factor: 4 } })[1]).toBe(16 ** -0.25 / 4)
  })

  test('dynamic leaves all as it is within the context', () => {
    expect(frequencies({ rope_scaling: { type: 'dynamic', factor: 4 } })).toEqual(frequencies({}))
  })

  // Pairs turn 1, 10⁻¹, 10⁻² and 10⁻³ radians a position: 15.9, 1.59, 0.159 and 0.0159 turns in 100 positions.
  test('llama3 keeps fast pairs, slows down slow ones, and blends between', () => {
    const found = frequencies({
      rope_scaling: {
        rope_type: 'llama3',
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 100,
      },
    })
    const kept = (100 * 0.1) / (2 * Math.PI) / 3 - 1 / 3
    expect(found[0]).toBe(1)
    expect(found[1]).toBeCloseTo(0.1 * (kept + (1 - kept) / 8), 12)
    expect(found[2]).toBeCloseTo(0.01 / 8, 12)
    expect(found[3]).toBeCloseTo(0.001 / 8, 12)
  })

  test('yarn stretches slow pairs and makes scores larger', () => {
    const raw = {
      max_position_embeddings: 400,
      rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 100 },
    }
    const { rotary } = readRotary(raw, { headWidth: 8 })
    expect(rotary.magnitude).toBeCloseTo(0.1 * Math.log(4) + 1, 12)
    // 32 turns in 100 positions: below pair 0; one turn: pair 1.2, rounded up to 2.
    expect(rotary.frequencies[0]).toBe(1)
    expect(rotary.frequencies[1]).toBeCloseTo(0.1 * (0.5 + 0.5 / 4), 12)
    expect(rotary.frequencies[2]).toBeCloseTo(0.01 / 4, 12)
    const { rotary: quiet } = readRotary(
      { rope_scaling: { ...raw.rope_scaling, attention_factor: 1 }, max_position_embeddings: 400 },
      { headWidth: 8 },
    )
    expect(quiet.magnitude).toBe(1)
  })

  test('longrope has a factor for each pair, and is right for the first context only', () => {
    const raw = {
      max_position_embeddings: 800,
      original_max_position_embeddings: 100,
      rope_theta: 16,
      rope_scaling: { type: 'longrope', short_factor: [1, 2, 3, 4], long_factor: [5, 6, 7, 8] },
    }
    const { rotary, longest } = readRotary(raw, { headWidth: 8 })
    expect(rotary.frequencies).toEqual([1, 16 ** -0.25 / 2, 16 ** -0.5 / 3, 16 ** -0.75 / 4])
    expect(rotary.magnitude).toBeCloseTo(Math.sqrt(1 + Math.log(8) / Math.log(100)), 12)
    expect(longest).toBe(100)
    expect(() => readRotary(raw, { headWidth: 12 })).toThrow('rope_scaling.short_factor: expected 6 numbers')
  })
})
