import { describe, expect, test } from 'vitest'
import { ARCHITECTURES } from '../../src/models/index.ts'
import { kindOf, readEncoderConfig } from '../../src/models/kind.ts'
import { ENCODERS } from '../../src/models/sentence-encoder.ts'

const typesOf = (architectures: Readonly<Record<string, { readonly modelTypes: readonly string[] }>>): string[] =>
  Object.values(architectures).flatMap(({ modelTypes }) => modelTypes)

describe('kindOf', () => {
  test.each(typesOf(ENCODERS))('knows %s for an encoder', (type) => {
    expect(kindOf({ model_type: type })).toBe('encoder')
  })

  test.each(typesOf(ARCHITECTURES))('knows %s for a language model', (type) => {
    expect(kindOf({ model_type: type })).toBe('language-model')
  })

  test('takes what says nothing of itself for a language model', () => {
    expect([kindOf({}), kindOf({ model_type: ['bert'] })]).toEqual(['language-model', 'language-model'])
  })
})

test.each(['num_hidden_layers', 'hidden_size', 'vocab_size'])('an encoder without %s is refused', (key) => {
  const config = {
    model_type: 'bert',
    num_hidden_layers: 2,
    hidden_size: 4,
    intermediate_size: 8,
    num_attention_heads: 2,
    vocab_size: 3,
    max_position_embeddings: 16,
  }
  expect(readEncoderConfig(config).mlpWidth).toBe(8)
  expect(() => readEncoderConfig({ ...config, [key]: 0 })).toThrow(expect.objectContaining({ code: 'E_CONFIG' }))
})
