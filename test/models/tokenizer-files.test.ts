/** Folders without tokenizer.json against transformers (tools/golden/tokenizer_files.py). */
import { cpSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { JsonObject } from '../../src/models/json.ts'
import { findModel } from '../../src/models/locate.ts'
import { mergesOf, parseSentencePiece } from '../../src/models/sentencepiece.ts'
import { openTokenizer } from '../../src/models/tokenizer.ts'
import { readTokenizer } from '../../src/models/tokenizer-files.ts'
import { GOLDEN, put, temporaryFolder } from '../support/model-files.ts'
import { testContext } from '../support/tiny-model.ts'

/** The bytes of a SentencePiece model of pieces and, after them, any other fields. */
function modelBytes(pieces: readonly string[], rest: readonly number[] = []): Buffer {
  const field = (key: number, bytes: Buffer) => Buffer.concat([Buffer.of(key, ...varint(bytes.length)), bytes])
  return Buffer.concat([...pieces.map((piece) => field(10, field(10, Buffer.from(piece)))), Buffer.from(rest)])
}
const varint = (value: number): number[] => (value < 128 ? [value] : [(value % 128) + 128, ...varint(value >> 7)])

const FOLDER = join(GOLDEN, 'tokenizer-files')
const golden = JSON.parse(readFileSync(join(FOLDER, 'ids.json'), 'utf8'))
const texts = golden.texts as string[]
const NAMES = ['llama', 'gemma', 't5', 'gpt2', 'opt', 'bert', 'bert-cased']

async function readFolder(folder: string): Promise<JsonObject> {
  const json = await readTokenizer(folder, readdirSync(folder))
  if (json === undefined) throw new Error(`no tokenizer in ${folder}`)
  return json
}
const open = async (folder: string) =>
  openTokenizer(await readFolder(folder), { file: folder, endsOfText: [0], vocabulary: 2000 })
function copyOf(name: string): string {
  const folder = join(temporaryFolder(), name)
  cpSync(join(FOLDER, name), folder, { recursive: true })
  return folder
}
function change(folder: string, changes: JsonObject): string {
  const file = join(folder, 'tokenizer_config.json')
  const config = readdirSync(folder).includes('tokenizer_config.json') ? JSON.parse(readFileSync(file, 'utf8')) : {}
  put(folder, 'tokenizer_config.json', JSON.stringify({ ...config, ...changes }))
  return folder
}

describe.each(NAMES)('the files of %s', (name) => {
  test('give the ids that transformers gives', async () => {
    const tokenizer = await open(join(FOLDER, name))
    expect(texts.length).toBeGreaterThan(100)
    for (const [i, text] of texts.entries()) {
      expect([text, ...(await tokenizer.encode(text)).ids]).toEqual([text, ...golden[name][i]])
    }
  })

  test('hold special tokens whose names are text in a text', async () => {
    const { added_tokens: added } = await readFolder(join(FOLDER, name))
    const special = (added as { id: number; content: string; special: boolean }[]).filter((token) => token.special)
    const tokenizer = await open(join(FOLDER, name))
    expect(special.length).toBeGreaterThanOrEqual(name === 'gpt2' ? 1 : 2)
    const [begin, end] = [tokenizer.encode(''), tokenizer.encode('')]
    const around = new Set([...(await begin).ids, ...(await end).ids])
    for (const { content, id } of special.slice(0, 8)) {
      if (/unk/i.test(content) || around.has(id)) continue
      expect([...(await tokenizer.encode(`a ${content} b`)).ids]).not.toContain(id)
    }
  })
})

test('merges of SentencePiece are all cuts of its pieces, those of the highest score first', () => {
  const piece = (name: string, score: number, type = 1) => ({ name, score, type })
  const pieces = [
    piece('a', -5),
    piece('b', -6),
    piece('ab', -2),
    piece('aab', -1),
    piece('aa', -3),
    piece('ba', -4, 3),
  ]
  expect(mergesOf(pieces)).toEqual([
    ['aa', 'b'],
    ['a', 'ab'],
    ['a', 'b'],
    ['a', 'a'],
  ])
})

test('damaged SentencePiece models are refused or read, and nothing else', async () => {
  const bytes = readFileSync(join(FOLDER, 'gemma', 'tokenizer.model'))
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, value, end) => {
      const damaged = Buffer.from(bytes.subarray(0, end))
      if (at < end) damaged[at] = value
      try {
        const model = parseSentencePiece(damaged, 'tokenizer.model')
        expect(model.pieces[model.unknown]).toBeDefined()
      } catch (error) {
        expect(error).toMatchObject({ code: 'E_TOKENIZER' })
      }
    }),
    { numRuns: 500 },
  )
})

describe('a folder', () => {
  test('without tokenizer.json is opened as a model by its other files', async () => {
    const folder = join(temporaryFolder(), 'tiny')
    cpSync(join(GOLDEN, 'tiny-llama'), folder, { recursive: true })
    rmSync(join(folder, 'tokenizer.json'))
    cpSync(join(FOLDER, 'gpt2'), folder, { recursive: true })
    const first = await findModel(folder, testContext(), { hubCache: '' })
    expect((await first.tokenizer.encode(texts[0] ?? '')).ids).toEqual(Int32Array.from(golden.gpt2[0]))
    put(folder, 'merges.txt', '#version: 0.2\n')
    const second = await findModel(folder, testContext(), { hubCache: '' })
    expect(second.fingerprint).not.toBe(first.fingerprint)
  })

  test('with tokenizer.json is read from there', async () => {
    const folder = copyOf('bert')
    put(folder, 'tokenizer.json', '{"version": "1.0"}')
    expect(await readTokenizer(folder, readdirSync(folder))).toEqual({ version: '1.0' })
  })

  test.each<[string, string[]]>([
    ['nothing', []],
    ['words without merges', ['vocab.json']],
    ['settings alone', ['tokenizer_config.json']],
  ])('with %s has no tokenizer', async (_, files) => {
    expect(await readTokenizer(copyOf('opt'), files)).toBeUndefined()
  })

  test.each<[string, JsonObject, string, number[], number[]]>([
    ['llama', {}, 'x', [1], []],
    ['llama', { add_bos_token: false }, 'x', [], []],
    ['llama', { add_eos_token: true }, 'x', [1], [2]],
    ['t5', {}, 'x', [], [1]],
    ['t5', { add_eos_token: false }, 'x', [], []],
    ['gpt2', {}, 'x', [], []],
    ['gpt2', { add_bos_token: true, add_eos_token: true }, 'x', [0], [0]],
    ['opt', {}, 'x', [2], []],
    ['bert', { sep_token: '[MASK]' }, 'x', [2], [4]],
  ])('of %s with %j puts its tokens at the ends of a text', async (name, changes, text, begin, end) => {
    const tokenizer = await open(change(copyOf(name), changes))
    const { ids } = await tokenizer.encode(text)
    const inner = [...ids].slice(begin.length, ids.length - end.length)
    expect([...ids]).toEqual([...begin, ...inner, ...end])
    expect(inner.length).toBeGreaterThan(0)
    expect(inner).not.toContain(begin[0] ?? -1)
  })

  test('names further tokens in its settings, with their flags', async () => {
    const token = {
      content: '<call>',
      special: false,
      single_word: false,
      lstrip: true,
      rstrip: false,
      normalized: true,
    }
    const secret = { content: '<hidden>', special: true }
    const folder = change(copyOf('gpt2'), { added_tokens_decoder: { 400: token, 405: secret, x: secret, 406: 'no' } })
    put(folder, 'added_tokens.json', JSON.stringify({ '<more>': 407, '<bad>': -1 }))
    const tokenizer = await open(folder)
    expect([...(await tokenizer.encodeContinuation('a <call><more>'))].slice(-2)).toEqual([400, 407])
    expect([...(await tokenizer.encodeContinuation('<hidden>'))]).not.toContain(405)
    const { added_tokens: added } = await readFolder(folder)
    expect((added as JsonObject[]).map(({ id }) => id)).toEqual([0, 400, 405, 407])
    expect(await tokenizer.decode([405])).toBe('')
  })

  test('of T5 has the tokens for gaps that its settings count', async () => {
    const gaps = async (changes: JsonObject) => {
      const { added_tokens: added } = await readFolder(change(copyOf('t5'), changes))
      return (added as JsonObject[]).flatMap(({ id, content }) =>
        /extra/.test(String(content)) ? [[id, content]] : [],
      )
    }
    const [first = [], ...more] = await gaps({})
    expect([first[1], more.at(-1)?.[1], more.length]).toEqual(['<extra_id_4>', '<extra_id_0>', 4])
    expect(await gaps({ extra_ids: 0, additional_special_tokens: [] })).toEqual([])
    expect((await gaps({ extra_ids: 'many', additional_special_tokens: [] })).length).toBe(100)
  })

  test('of an older Llama puts a space before every piece of a text', async () => {
    const scheme = async (legacy: boolean) => {
      const { pre_tokenizer: cut } = await readFolder(change(copyOf('llama'), { legacy }))
      return (cut as JsonObject).prepend_scheme
    }
    expect([await scheme(true), await scheme(false)]).toEqual(['always', 'first'])
  })

  test.each<[string, (folder: string) => unknown, string]>([
    ['opt', (folder) => change(folder, { tokenizer_class: 'RobertaTokenizer' }), 'RobertaTokenizer'],
    ['opt', (folder) => change(folder, { bos_token: '<nowhere>' }), '<nowhere>'],
    ['bert', (folder) => put(folder, 'vocab.txt', 'a\nb\n'), '[CLS]'],
    ['llama', (folder) => put(folder, 'tokenizer.model', 'not a model'), 'SentencePiece'],
    ['llama', (folder) => put(folder, 'tokenizer.model', ''), 'unknown'],
    ['llama', (folder) => put(folder, 'tokenizer.model', modelBytes(['a', 'b', 'a'])), '3 different tokens'],
    ['llama', (folder) => put(folder, 'tokenizer.model', modelBytes(['x'.repeat(257)])), '256 characters'],
    ['llama', (folder) => put(folder, 'tokenizer.model', modelBytes(['a'], [18, 3, 192, 2, 7])), 'id 7 of 1'],
    ['llama', (folder) => put(folder, 'tokenizer.model', modelBytes(['a'], [18, 2, 24, 4])), 'kind 4'],
    ['t5', (folder) => put(folder, 'spiece.model', Buffer.alloc(64 * 2 ** 20 + 1)), 'bytes'],
  ])('of %s that is wrong is refused', async (name, spoil, word) => {
    const folder = copyOf(name)
    spoil(folder)
    await expect(readFolder(folder)).rejects.toMatchObject({
      code: 'E_TOKENIZER',
      message: expect.stringContaining(word),
    })
  })
})
