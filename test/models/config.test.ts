import { describe, expect, test } from 'vitest'
import type { Network } from '../../src/models/architecture.ts'
import { readConfig } from '../../src/models/config.ts'
import { gemma2 } from '../../src/models/gemma2.ts'
import { gemma3 } from '../../src/models/gemma3.ts'
import type { Json } from '../../src/models/json.ts'
import { llama } from '../../src/models/llama.ts'
import { mistral } from '../../src/models/mistral.ts'
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
      encoderLayers: 0,
      width: 32,
      mlpWidth: 64,
      heads: 4,
      kvHeads: 4,
      headWidth: 8,
      vocabulary: 100,
      contextLength: 128,
      tiedHead: false,
    })
  })

  test.each([
    ['a missing size', { hidden_size: null }, 'hidden_size: expected a number, found nothing'],
    ['a size of the wrong type', { vocab_size: '100' }, 'vocab_size: expected a number, found "100"'],
    ['no layers', { num_hidden_layers: 0 }, 'num_hidden_layers: expected a whole number of at least 1, found 0'],
    ['half a layer', { num_hidden_layers: 1.5 }, 'expected a whole number'],
    ['heads that do not divide the width', { num_attention_heads: 3 }, 'head_dim: expected a whole number'],
    ['another activation', { hidden_act: 'mish' }, 'hidden_act: expected silu or swish or relu'],
    ['key heads that do not divide the heads', { num_key_value_heads: 3 }, 'expected a divisor of 4, found 3'],
    ['more layers than a model has', { num_hidden_layers: 1e8 }, 'expected at most 10000 layers'],
    ['a rotary embedding scaled in an unknown way', { rope_scaling: { rope_type: 'magic' } }, 'rope_scaling.rope_type'],
    ['a scaling without its factor', { rope_scaling: { type: 'linear' } }, 'rope_scaling.factor: expected a number'],
    ['a flag that is no flag', { tie_word_embeddings: 1 }, 'tie_word_embeddings: expected true or false, found 1'],
  ])('with %s is refused', (_, change, message) => {
    expect(() => llama.open({ ...SMALL, ...change })).toThrow(message)
  })
})

test('Qwen2 is read by the same keys', () => {
  expect(qwen2.open({ ...SMALL, use_sliding_window: false }).config).toEqual({
    ...llama.open(SMALL).config,
    architecture: 'qwen2',
  })
})

const windowsOf = (network: Network) => network.attention.map(({ window }) => window)
const windowed = { ...SMALL, num_hidden_layers: 3, sliding_window: 16 }

test.each<[string, readonly (number | null)[], Network]>([
  ['all layers of Mistral', [16, 16, 16], mistral.open(windowed)],
  ['none, where the file says null', [null, null, null], mistral.open({ ...windowed, sliding_window: null })],
  ['the format’s own, where it says nothing', [4096, 4096], mistral.open(SMALL)],
  ['none of Qwen2, unless turned on', [null, null, null], qwen2.open(windowed)],
  [
    'the upper layers of Qwen2',
    [null, 16, 16],
    qwen2.open({ ...windowed, use_sliding_window: true, max_window_layers: 1 }),
  ],
  ['every other layer of Gemma 2', [16, null, 16], gemma2.open({ ...windowed, head_dim: 8 })],
  [
    'the layers that are listed',
    [null, null, 16],
    gemma3.open({ ...windowed, layer_types: ['full_attention', 'full_attention', 'sliding_attention'] }),
  ],
])('a window is found for %s', (_, windows, network) => {
  expect(windowsOf(network)).toEqual(windows)
})

test.each([
  ['of another length', ['full_attention'], 'layer_types: expected 3 layer types'],
  ['with an unknown one', ['full_attention', 'half_attention', 'full_attention'], 'layer_types[1]: expected'],
])('a list of layer types %s is refused', (_, types, message) => {
  expect(() => gemma3.open({ ...windowed, layer_types: types })).toThrow(message)
})

test('Gemma 2 has its caps unless the file takes them away', () => {
  const caps = (change: Record<string, Json>) =>
    gemma2.open({ ...windowed, head_dim: 8, ...change }).attention.map(({ softcap }) => softcap)
  expect(caps({})).toEqual([50, 50, 50])
  expect(caps({ attn_logit_softcapping: null })).toEqual([null, null, null])
})

test('a key of the prototype is no key', () => {
  expect(() => readConfig({}).positive('constructor')).toThrow('constructor: expected a number, found nothing')
})
