import { describe, expect, test } from 'vitest'
import { ARCHITECTURES } from '../../src/models/index.ts'
import { kindOf } from '../../src/models/kind.ts'
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
