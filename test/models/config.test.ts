import { describe, expect, test } from 'vitest'
import { readConfig } from '../../src/models/config.ts'
import type { Json } from '../../src/models/json.ts'
import { llama } from '../../src/models/llama.ts'
import { qwen2 } from '../../src/models/qwen2.ts'

const SMALL: Record<string, Json> = {
  model_type: 'llama',
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  vocab_size: 100,
  max_position_embeddings: 128,
}

describe('a Llama configuration', () => {
  test('takes the defaults of the format where keys are absent', () => {
    expect(llama.open(SMALL).config).toEqual({
      architecture: 'llama',
      layers: 2,
      width: 32,
      mlpWidth: 64,
      heads: 4,
      kvHeads: 4,
      headWidth: 8,
      vocabulary: 100,
      contextLength: 128,
      tiedHead: false,
      ropeTheta: 10_000,
    })
  })

  test.each([
    ['a missing size', { hidden_size: null }, 'hidden_size: expected a number, found nothing'],
    ['a size of the wrong type', { vocab_size: '100' }, 'vocab_size: expected a number, found "100"'],
    ['no layers', { num_hidden_layers: 0 }, 'num_hidden_layers: expected a whole number of at least 1, found 0'],
    ['half a layer', { num_hidden_layers: 1.5 }, 'expected a whole number'],
    ['heads that do not divide the width', { num_attention_heads: 3 }, 'head_dim: expected a whole number'],
    ['another activation', { hidden_act: 'gelu' }, 'hidden_act: expected silu or swish, found "gelu"'],
    ['biases', { attention_bias: true }, 'attention_bias: expected false, found true'],
    [
      'a scaled rotary embedding',
      { rope_scaling: { rope_type: 'llama3', factor: 8 } },
      'rope_scaling: expected no scaling, found "llama3"',
    ],
    [
      'an older name for the scaling',
      { rope_scaling: { type: 'linear', factor: 2 } },
      'rope_scaling: expected no scaling, found "linear"',
    ],
    ['a flag that is no flag', { tie_word_embeddings: 1 }, 'tie_word_embeddings: expected true or false, found 1'],
  ])('with %s is refused', (_, change, message) => {
    expect(() => llama.open({ ...SMALL, ...change })).toThrow(message)
  })
})

test('Qwen2 is read by the same keys; a sliding window is refused', () => {
  expect(qwen2.open({ ...SMALL, use_sliding_window: false }).config).toEqual({
    ...llama.open(SMALL).config,
    architecture: 'qwen2',
  })
  expect(() => qwen2.open({ ...SMALL, use_sliding_window: true })).toThrow(
    'use_sliding_window: expected false, found true',
  )
})

test.each([
  ['at the top', { rope_theta: 5 }, 5],
  ['beside the kind of scaling', { rope_parameters: { rope_type: 'default', rope_theta: 7 } }, 7],
  ['nowhere', {}, 10_000],
])('the base of the rotary embedding is found %s', (_, raw: Record<string, Json>, theta) => {
  expect(readConfig(raw).ropeTheta()).toBe(theta)
})

test('a key of the prototype is no key', () => {
  expect(() => readConfig({}).positive('constructor')).toThrow('constructor: expected a number, found nothing')
})
