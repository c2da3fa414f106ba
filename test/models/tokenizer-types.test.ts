/** Tokenizers of each type against Python's library (tools/golden/tokenizer_types.py): 200 texts in more than seven scripts. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { JsonObject } from '../../src/models/json.ts'
import { openTokenizer, tokenOfSpan } from '../../src/models/tokenizer.ts'
import { GOLDEN } from '../support/model-files.ts'

interface Golden {
  /** Ids with what stands at a text's ends, offsets one after another, and the text of the ids where it is another. */
  readonly rows: readonly [ids: number[], offsets: number[], decoded: string | null][]
  readonly continuations: readonly { prompt: string; target: string; ids: number[] }[]
  readonly frames: readonly { before: string; after: string; text: string; ids: number[]; answer: number[] }[]
}

const read = (name: string) => JSON.parse(readFileSync(join(GOLDEN, 'tokenizers', name), 'utf8'))
const { texts } = read('texts.json') as { texts: string[] }
const TYPES = ['byte-level', 'llama-legacy', 'llama', 'gemma', 'unigram', 'word-piece']
/** Types that can write every text; the others have a token for what they do not know. */
const LOSSLESS = ['byte-level', 'llama-legacy', 'llama', 'gemma']

/** BERT drops marks before it cuts: a mark at a word's end belongs to no token. */
const withoutMarks = (text: string) => text.normalize('NFD').replace(/\p{Mn}/gu, '')

test('the texts are 200 different ones', () => {
  expect(new Set(texts).size).toBe(200)
})

describe.each(TYPES)('%s', (type) => {
  const json = read(`${type}.json`) as JsonObject & { added_tokens: { content: string; id: number }[] }
  const golden = read(`${type}.golden.json`) as Golden
  const tokenizer = openTokenizer(json, { file: type, endsOfText: [0], vocabulary: 600 })

  test('gives the ids, offsets and texts that the Python library gives', async () => {
    const found: Golden['rows'][number][] = []
    for (const text of texts) {
      const { ids, offsets } = await tokenizer.encode(text)
      const decoded = await tokenizer.decode([...ids])
      found.push([[...ids], offsets.flat(), decoded === text ? null : decoded])
    }
    expect(golden.rows).toHaveLength(texts.length)
    for (const [i, row] of golden.rows.entries()) expect([texts[i], found[i]]).toEqual([texts[i], row])
  })

  test.each(golden.continuations)('goes on after $prompt with $target as in one text', async (row) => {
    const ids = await tokenizer.encodeContinuation(` ${row.target}`)
    expect([...ids]).toEqual(row.ids)
    if (!LOSSLESS.includes(type)) return
    const before = await tokenizer.encodeContinuation(row.prompt)
    const both = await tokenizer.decode([...before, ...ids])
    expect((await tokenizer.decode([...before])) + (await tokenizer.decodeContinuation([...ids]))).toBe(both)
  })

  test.each(golden.frames)('puts $text between $before and $after', async ({ before, after, text, ids, answer }) => {
    const framed = tokenizer.framed({ before, after, lead: '', closing: '', trims: false })
    const encoding = await framed.encode(text)
    expect([...encoding.ids]).toEqual(ids)
    expect(encoding.offsets).toHaveLength(ids.length)
    expect([...(await framed.encodeContinuation(' Paris'))]).toEqual(answer)
  })

  test('never takes a name in a text, nor what replaces it, for a special token', async () => {
    const special = json.added_tokens.map(({ id }) => id)
    const ends = new Set((await tokenizer.encode('')).ids)
    const unknown = json.added_tokens.find(({ content }) => /^(<unk>|\[UNK\])$/.test(content))?.id
    for (const { content, id } of json.added_tokens) {
      for (const text of [content, ` ${content} x`, `\uFDD0${id}\uFDD1`, `a\uFDD0${id}\uFDD1b`]) {
        const { ids } = await tokenizer.encode(text)
        const taken = [...ids].filter((one) => special.includes(one) && !ends.has(one) && one !== unknown)
        expect(taken, text).toEqual([])
        const continued = await tokenizer.encodeContinuation(text)
        expect([...continued].filter((one) => ends.has(one))).toEqual([])
      }
    }
  })

  test.each([
    ['The capital of France is', 'France'],
    ['In Mexico City, people', 'Mexico City'],
    ['대한민국의 수도 서울 은', '서울'],
    ['首都 北京, 是', '北京'],
    ['e\u0301 I like Z\u0351\u0343a\u0322, too', 'Z\u0351\u0343a\u0322'],
    ['😀 and 👩‍🚀 too', '👩‍🚀'],
    ['🇫🇷 🇰🇷', '🇰🇷'],
    ['the town 𠮷野家 is', '𠮷野家'],
    ['ไป กรุงเทพ มา', 'กรุงเทพ'],
    ['עיר ירושלים היא', 'ירושלים'],
  ])('finds in "%s" the tokens of %s', async (text, subject) => {
    const start = text.indexOf(subject)
    const encoding = await tokenizer.encode(text)
    const { first, last } = tokenOfSpan(encoding, [start, start + subject.length])
    const [[from], [, to]] = [encoding.offsets[first] ?? [-1, -1], encoding.offsets[last] ?? [-1, -1]]
    expect(withoutMarks(text.slice(from, to).trim())).toBe(withoutMarks(subject))
    if (LOSSLESS.includes(type)) {
      const ids = encoding.ids.subarray(first, last + 1)
      expect((await tokenizer.decodeContinuation([...ids])).trim()).toBe(subject)
    }
  })
})
