import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { JsonObject } from '../../src/models/json.ts'
import { type Encoding, openTokenizer, type TokenizerFrame, tokenOfSpan } from '../../src/models/tokenizer.ts'
import { GOLDEN } from '../support/model-files.ts'

const json = JSON.parse(readFileSync(join(GOLDEN, 'tiny-llama', 'tokenizer.json'), 'utf8'))
const golden = JSON.parse(readFileSync(join(GOLDEN, 'tiny-llama.json'), 'utf8')) as {
  tokenizer: readonly { text: string; ids: number[]; offsets: [number, number][]; decoded: string }[]
}
const FRAME: TokenizerFrame = { file: 'tokenizer.json', endsOfText: [0], vocabulary: 448 }
const tokenizer = openTokenizer(json, FRAME)
const added = (id: number, content: string, special: boolean): JsonObject => ({
  id,
  content,
  special,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
})

describe('openTokenizer', () => {
  test.each(golden.tokenizer)('encodes $text as the Python library does', async ({ text, ids, offsets, decoded }) => {
    const encoding = await tokenizer.encode(text)
    expect({ ids: [...encoding.ids], offsets: encoding.offsets }).toEqual({ ids, offsets })
    expect([...(await tokenizer.encodeContinuation(text))]).toEqual(ids)
    expect(await tokenizer.decode(ids)).toBe(decoded)
  })

  test('covers any text with its spans, without gaps, and gives it back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), async (text) => {
        const { ids, offsets } = await tokenizer.encode(text)
        let reached = 0
        for (const [start, end] of offsets) {
          expect(start).toBeLessThanOrEqual(reached)
          expect(end).toBeGreaterThan(start)
          reached = Math.max(reached, end)
        }
        expect(reached).toBe(text.length)
        expect(await tokenizer.decode([...ids])).toBe(text)
      }),
    )
  })

  test('reads a lone surrogate as the character for what cannot be read', async () => {
    const { ids, offsets } = await tokenizer.encode('a\ud800b')
    expect(await tokenizer.decode([...ids])).toBe('a\ufffdb')
    expect(offsets.at(-1)).toEqual([2, 3])
  })

  test('reads the name of a special token in a text as text', async () => {
    const ids = await tokenizer.encodeContinuation('<|endoftext|>')
    expect([...ids]).not.toContain(tokenizer.endsOfText[0])
    expect(await tokenizer.decode([...ids])).toBe('<|endoftext|>')
  })

  test('reads a name as text although merges would make it', async () => {
    const model = {
      ...json.model,
      vocab: { ...json.model.vocab, '<|': 448 },
      merges: [['<', '|'], ...json.model.merges],
    }
    const made = openTokenizer(
      { ...json, model, added_tokens: [added(448, '<|', true)], pre_tokenizer: null },
      { ...FRAME, vocabulary: 449 },
    )
    expect([...(await made.encode('<|')).ids]).not.toContain(448)
  })

  test('leaves special tokens out of what it decodes', async () => {
    const [france = -1] = await tokenizer.encodeContinuation('France')
    expect(await tokenizer.decode([0, france, 0])).toBe(await tokenizer.decode([france]))
  })

  test('keeps the ids of ordinary added tokens that stand behind special ones', async () => {
    const more = {
      ...json,
      added_tokens: [...json.added_tokens, added(448, '<|fim|>', true), added(449, '<tool>', false)],
    }
    const both = openTokenizer(more, { ...FRAME, vocabulary: 450 })
    const ids = [...(await both.encodeContinuation('<tool><|fim|>'))]
    expect([ids[0], ids.includes(448)]).toEqual([449, false])
    expect(await both.decode([448, 449])).toBe('<tool>')
  })

  test('ignores cutting and padding that a file was saved with', async () => {
    const truncation = { direction: 'Right', max_length: 2, strategy: 'LongestFirst', stride: 0 }
    const padding = { strategy: { Fixed: 64 }, direction: 'Right', pad_id: 0, pad_type_id: 0, pad_token: 'x' }
    const { ids } = await openTokenizer({ ...json, truncation, padding }, FRAME).encode('The capital of France is')
    expect(ids.length).toBe(9)
  })

  test.each<[string, JsonObject, TokenizerFrame]>([
    ['nothing', {}, FRAME],
    ['a model of an unknown kind', { ...json, model: { type: 'Nonsense', vocab: {}, merges: [] } }, FRAME],
    [
      'a broken pattern',
      { ...json, pre_tokenizer: { type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated', invert: false } },
      FRAME,
    ],
    ['negative ids', { ...json, model: { ...json.model, vocab: { a: -1 } } }, FRAME],
    ['more ids than the model', json, { ...FRAME, vocabulary: 447 }],
    ['an added token beyond the model', { ...json, added_tokens: [added(4_294_967_295, 'x', true)] }, FRAME],
    ['an end of text beyond the model', json, { ...FRAME, endsOfText: [0, 448] }],
  ])('refuses %s', (_, content, frame) => {
    expect(() => openTokenizer(content, frame)).toThrow(expect.objectContaining({ code: 'E_TOKENIZER' }))
  })
})

describe('a framed tokenizer', () => {
  const frame = { before: '<|endoftext|>The ', after: '!<|endoftext|>', lead: '', closing: '', trims: false }
  const rest = async (text: string) => [...(await tokenizer.encodeContinuation(text))]

  test('puts special tokens around a prompt, in which their names are text', async () => {
    const { ids, offsets } = await tokenizer.framed(frame).encode('of <|endoftext|>')
    expect([...ids]).toEqual([0, ...(await rest('The of <|endoftext|>!')), 0])
    expect(ids.filter((id) => id === 0)).toHaveLength(2)
    expect([offsets[0], offsets.at(-1)]).toEqual([
      [0, 0],
      [16, 16],
    ])
    expect(offsets.some(([start, end]) => start === 0 && end === 2)).toBe(true)
  })

  test('keeps offsets those of a prompt whose blanks are dropped', async () => {
    const text = '  of France \n'
    const { ids, offsets } = await tokenizer.framed({ ...frame, trims: true }).encode(text)
    expect([...ids]).toEqual([0, ...(await rest('The of France!')), 0])
    const { last } = tokenOfSpan({ ids, offsets }, [5, 11])
    expect([offsets[last]?.[1], offsets[1]]).toEqual([11, [0, 0]])
  })

  test('refuses a subject whose last token goes on into the frame', async () => {
    const encoding = await tokenizer.framed({ ...frame, after: 'nce is' }).encode('in Fra')
    expect(() => tokenOfSpan(encoding, [3, 6])).toThrow(expect.objectContaining({ code: 'E_SUBJECT_SPLIT' }))
  })

  test.each([
    ['', ' Paris', 'Paris'],
    [' ', ' Paris', ' Paris'],
    ['', 'Paris', 'Paris'],
    ['\n', '  Paris', '\n Paris'],
  ])('after the lead %j answers %j with %j', async (lead, target, text) => {
    expect([...(await tokenizer.framed({ ...frame, lead }).encodeContinuation(target))]).toEqual(await rest(text))
  })

  test('ends a text where an answer is closed, too', () => {
    const more = openTokenizer(
      { ...json, added_tokens: [...json.added_tokens, added(448, '<|end|>', true)] },
      { ...FRAME, vocabulary: 449 },
    )
    const closing = (text: string) => more.framed({ ...frame, closing: text }).endsOfText
    expect(closing(' <|end|><|endoftext|>')).toEqual([0, 448])
    expect(closing('<|endoftext|>')).toEqual([0])
    expect(closing('</answer>')).toEqual([0])
  })

  test('of a tokenizer without special tokens adds the texts alone', async () => {
    const plain = openTokenizer({ ...json, added_tokens: [] }, FRAME).framed(frame)
    expect((await plain.encode('France')).ids).not.toContain(0)
  })
})

describe('tokenOfSpan', () => {
  const spans = (...offsets: [number, number][]): Encoding => ({ ids: new Int32Array(offsets.length), offsets })

  test.each<[string, Encoding, [number, number], number, number]>([
    ['a word with the space before it', spans([0, 3], [3, 11], [11, 14]), [4, 11], 1, 1],
    ['a word of several tokens', spans([0, 3], [3, 6], [6, 9], [9, 11]), [4, 9], 1, 2],
    ['a word at the start, after a begin-of-text token', spans([0, 0], [0, 2], [2, 5], [5, 7]), [0, 5], 1, 2],
    ['a character of several tokens', spans([0, 1], [1, 3], [1, 3], [1, 3], [3, 4]), [1, 3], 1, 3],
    ['the whole text', spans([0, 3], [3, 5]), [0, 5], 0, 1],
  ])('finds %s', (_, encoding, span, first, last) => {
    expect(tokenOfSpan(encoding, span)).toEqual({ first, last })
  })

  test.each<[string, Encoding, [number, number]]>([
    ['the span ends inside a token', spans([0, 3], [3, 12]), [4, 11]],
    ['the span is empty', spans([0, 3], [3, 5]), [3, 3]],
    ['the span lies behind the text', spans([0, 3]), [5, 7]],
    ['there are no tokens', spans(), [0, 1]],
  ])('refuses to choose a token where %s', (_, encoding, span) => {
    expect(() => tokenOfSpan(encoding, span)).toThrow(expect.objectContaining({ code: 'E_SUBJECT_SPLIT', exit: 2 }))
  })

  test('finds a subject in a real encoding, emoji before it', async () => {
    const text = '👩‍🚀 of France is'
    const encoding = await tokenizer.encode(text)
    const { first, last } = tokenOfSpan(encoding, [text.indexOf('France'), text.indexOf('France') + 6])
    expect(await tokenizer.decode([...encoding.ids.subarray(first, last + 1)])).toBe('France')
  })
})
