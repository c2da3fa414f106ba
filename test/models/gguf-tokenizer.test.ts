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
    ['another kind of vocabulary', { 'tokenizer.ggml.model': 'rwkv' }],
    ['a kind that is no text', { 'tokenizer.ggml.model': undefined }],
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

const others = JSON.parse(readFileSync(join(GOLDEN, 'gguf-tokenizers.json'), 'utf8')) as {
  texts: readonly string[]
  kinds: readonly { kind: string; metadata: Record<string, GgufValue>; ids: readonly (readonly number[] | null)[] }[]
}

/** A file with nothing but a vocabulary of one of the other kinds. */
function vocabularyOf(kind: string, changes: Readonly<Record<string, GgufValue | undefined>> = {}): GgufFile {
  const { metadata = {} } = others.kinds.find((one) => one.kind === kind) ?? {}
  const entries = Object.entries({ ...metadata, ...changes })
  return {
    file: `${kind}.gguf`,
    metadata: new Map(entries.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
    tensors: new Map(),
  }
}

const openOther = (kind: string, changes: Readonly<Record<string, GgufValue | undefined>> = {}) =>
  openTokenizer(tokenizerJsonOf(vocabularyOf(kind, changes)), { file: kind, endsOfText: [0], vocabulary: 1000 })

describe('a SentencePiece or WordPiece tokenizer rebuilt from a GGUF file', () => {
  test.each(others.kinds)('gives the ids of the original: $kind', async ({ kind, ids }) => {
    const tokenizer = openOther(kind)
    const expected = others.texts.flatMap((text, i) => (ids[i] === null ? [] : [[text, ids[i]]]))
    const found: unknown[] = []
    for (const [text] of expected) found.push([text, [...(await tokenizer.encode(String(text))).ids]])
    expect(expected.length).toBeGreaterThanOrEqual(80)
    expect(found).toEqual(expected)
  })

  test.each([
    ['llama', 'Two  spaces, e\u0301 and 🙂', 'Two  spaces, e\u0301 and 🙂'],
    ['gemma', ' a\n\n  b 🙂', ' a\n\n  b 🙂'],
    ['t5', 'the  currency', 'the currency'],
    ['bert', 'The currency', 'the currency'],
  ])('%s gives a text back: %s', async (kind, text, back) => {
    const tokenizer = openOther(kind)
    expect(await tokenizer.decode([...(await tokenizer.encode(text)).ids])).toBe(back)
  })

  test.each([
    ['llama', { 'tokenizer.ggml.bos_token_id': undefined }, 1, undefined],
    ['llama', { 'tokenizer.ggml.add_bos_token': false, 'tokenizer.ggml.add_eos_token': true }, undefined, 2],
    ['t5', { 'tokenizer.ggml.eos_token_id': undefined }, undefined, 1],
    ['t5', { 'tokenizer.ggml.add_eos_token': false }, undefined, undefined],
    [
      'bert',
      {
        'tokenizer.ggml.add_sep_token': false,
        'tokenizer.ggml.bos_token_id': undefined,
        'tokenizer.ggml.cls_token_id': 3,
      },
      3,
      undefined,
    ],
  ] as const)('%s with %o has tokens at the ends of texts: %s, %s', async (kind, changes, first, last) => {
    const none = { 'tokenizer.ggml.add_bos_token': false, 'tokenizer.ggml.add_eos_token': false }
    const { ids: bare } = await openOther(kind, { ...none, 'tokenizer.ggml.add_sep_token': false }).encode('the')
    const { ids } = await openOther(kind, changes).encode('the')
    expect([...ids].slice(0, 1)).toEqual(first === undefined ? [...bare].slice(0, 1) : [first])
    expect([...ids].at(-1)).toBe(last ?? [...bare].at(-1))
  })

  test('Unigram may keep blanks and put none before a text', async () => {
    const tokenizer = openOther('t5', {
      'tokenizer.ggml.add_space_prefix': false,
      'tokenizer.ggml.remove_extra_whitespaces': false,
    })
    expect(await tokenizer.decode([...(await tokenizer.encode('the  c')).ids])).toBe('the  c')
  })

  test('WordPiece may keep capitals', async () => {
    const json = tokenizerJsonOf(vocabularyOf('bert', { 'tokenizer.ggml.normalizer.lowercase': false }))
    expect(json.normalizer).toMatchObject({ lowercase: false, strip_accents: false })
  })

  test.each<[string, string, Record<string, GgufValue | undefined>]>([
    ['llama', 'no scores', { 'tokenizer.ggml.scores': undefined }],
    ['llama', 'too few scores', { 'tokenizer.ggml.scores': [1, 2] }],
    ['llama', 'scores that are text', { 'tokenizer.ggml.scores': Array(420).fill('1') }],
    [
      'llama',
      'a token that is a book',
      {
        'tokenizer.ggml.tokens': ['<unk>', 'x'.repeat(300)],
        'tokenizer.ggml.scores': [0, 0],
        'tokenizer.ggml.token_type': [2, 1],
        'tokenizer.ggml.bos_token_id': 0,
      },
    ],
    ['llama', 'an unknown token that is not there', { 'tokenizer.ggml.unknown_token_id': 5000 }],
    ['t5', 'rules of normalization that are no bytes', { 'tokenizer.ggml.precompiled_charsmap': [256] }],
    ['bert', 'no token for the end of a text', { 'tokenizer.ggml.seperator_token_id': 5000 }],
    ['bert', 'an unknown token that is text', { 'tokenizer.ggml.unknown_token_id': '[UNK]' }],
  ])('%s is refused with %s', (kind, _, changes) => {
    expect(() => tokenizerJsonOf(vocabularyOf(kind, changes))).toThrow(expect.objectContaining({ code: 'E_GGUF' }))
  })
})
