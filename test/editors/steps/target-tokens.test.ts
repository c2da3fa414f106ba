import { expect, test } from 'vitest'
import { forceTarget, tokenizeTarget } from '../../../src/editors/steps/target-tokens.ts'
import type { Tokenizer } from '../../../src/models/tokenizer.ts'

/** A token a character, with a begin-of-text token (1) before a text: the shape of tokenizer that public code trips over. */
const characters: Tokenizer = {
  endsOfText: [0],
  encode: async (text) => ({ ids: Int32Array.of(1, ...codes(text)), offsets: [] }),
  encodeContinuation: async (text) => Int32Array.from(codes(text)),
  decode: async (ids) => String.fromCharCode(...ids),
  decodeContinuation: async (ids) => String.fromCharCode(...ids),
}
const codes = (text: string) => Array.from(text, (character) => character.charCodeAt(0))

test('puts one space before the target and no begin-of-text token into it', async () => {
  const tokens = await tokenizeTarget(characters, 'ab', 'xyz')
  expect(Array.from(tokens.prompt)).toEqual([1, 97, 98])
  expect(Array.from(tokens.target)).toEqual([32, 120, 121, 122])
  expect(Array.from(tokens.row)).toEqual([1, 97, 98, 32, 120, 121])
})

test('predicts each target token from the position before it, all with the same share of the weight', async () => {
  const tokens = await tokenizeTarget(characters, 'ab', 'xyz')
  expect(forceTarget(tokens, 7, 2)).toEqual([
    { row: 7, token: 2, target: 32, weight: 0.5 },
    { row: 7, token: 3, target: 120, weight: 0.5 },
    { row: 7, token: 4, target: 121, weight: 0.5 },
    { row: 7, token: 5, target: 122, weight: 0.5 },
  ])
})
