import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type GgufFile, type GgufValue, readGguf } from '../../src/models/gguf.ts'
import { tokenizerJsonOf } from '../../src/models/gguf-tokenizer.ts'
import { openTokenizer } from '../../src/models/tokenizer.ts'
import { GOLDEN } from '../support/model-files.ts'

interface Row {
  readonly text: string
  readonly ids: readonly number[]
  readonly offsets: readonly (readonly [number, number])[]
}
const golden = JSON.parse(readFileSync(join(GOLDEN, 'gguf-llama.json'), 'utf8')) as {
  tokenizers: readonly { kind: string; rows: readonly Row[] }[]
}

async function changed(metadata: Readonly<Record<string, GgufValue | undefined>>): Promise<GgufFile> {
  const gguf = await readGguf(join(GOLDEN, 'tiny-llama.gguf'))
  const entries = Object.entries({ ...Object.fromEntries(gguf.metadata), ...metadata })
  return { ...gguf, metadata: new Map(entries.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))) }
}

const open = async (metadata: Readonly<Record<string, GgufValue | undefined>>) =>
  openTokenizer(tokenizerJsonOf(await changed(metadata)), { file: 'tokenizer.json', endsOfText: [0], vocabulary: 448 })

describe('a tokenizer rebuilt from a GGUF file', () => {
  test.each(golden.tokenizers)('cuts and merges as the Python library does: $kind', async ({ kind, rows }) => {
    const tokenizer = await open({ 'tokenizer.ggml.pre': kind, 'tokenizer.ggml.add_bos_token': false })
    const found: Row[] = []
    for (const { text } of rows) {
      const { ids, offsets } = await tokenizer.encode(text)
      found.push({ text, ids: [...ids], offsets })
    }
    expect(rows.length).toBeGreaterThanOrEqual(50)
    expect(found).toEqual(rows)
  })

  test.each<[string, GgufValue | undefined, boolean]>([
    ['smollm', undefined, false],
    ['smollm', true, true],
    ['llama-bpe', undefined, true],
    ['llama-bpe', false, false],
  ])('%s with add_bos_token %s: texts begin with the token: %s', async (pre, addBos, begins) => {
    const tokenizer = await open({ 'tokenizer.ggml.pre': pre, 'tokenizer.ggml.add_bos_token': addBos })
    const { ids, offsets } = await tokenizer.encode('The')
    expect([ids[0] === 0, offsets.at(-1)?.[1]]).toEqual([begins, 3])
    expect((await tokenizer.encodeContinuation('The'))[0]).not.toBe(0)
  })

  test('finds user-defined tokens in a text, control tokens never', async () => {
    const { metadata } = await changed({})
    const tokens = metadata.get('tokenizer.ggml.tokens') as string[]
    const merges = metadata.get('tokenizer.ggml.merges') as string[]
    const tokenizer = await open({
      'tokenizer.ggml.token_type': [3, ...new Array<number>(446).fill(1), 4],
      'tokenizer.ggml.tokens': [...tokens.slice(0, -1), '<think>'],
      'tokenizer.ggml.merges': merges.slice(0, -1),
    })
    expect([...(await tokenizer.encodeContinuation('<think>'))]).toEqual([447])
    expect([...(await tokenizer.encodeContinuation('<|endoftext|>'))]).not.toContain(0)
  })

  test.each<[string, Record<string, GgufValue | undefined>]>([
    ['another kind of vocabulary', { 'tokenizer.ggml.model': 'llama' }],
    ['an unknown way of cutting', { 'tokenizer.ggml.pre': 'brand-new' }],
    ['no tokens', { 'tokenizer.ggml.tokens': undefined }],
    ['tokens that are numbers', { 'tokenizer.ggml.tokens': [1, 2] }],
    ['a token that stands twice', { 'tokenizer.ggml.tokens': ['a', 'b', 'a'], 'tokenizer.ggml.token_type': [1, 1, 1] }],
    ['too few token types', { 'tokenizer.ggml.token_type': [1] }],
    [
      'a begin-of-text token that is not there',
      { 'tokenizer.ggml.add_bos_token': true, 'tokenizer.ggml.bos_token_id': 9999 },
    ],
  ])('is refused with %s', async (_, metadata) => {
    const gguf = await changed(metadata)
    expect(() => tokenizerJsonOf(gguf)).toThrow(expect.objectContaining({ code: 'E_GGUF' }))
  })

  test('is refused with a merge of pieces that are no tokens', async () => {
    await expect(open({ 'tokenizer.ggml.merges': ['zzzz qqqq'] })).rejects.toMatchObject({ code: 'E_TOKENIZER' })
  })
})
