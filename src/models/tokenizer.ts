/**
 * Text to token ids and back, with the place of each token in the text. The only importer of `tokenizers`, the official
 * Rust library's binding for Node. Two things are changed on the way in:
 * its offsets count code points, ours UTF-16 units; and it would read a special token's name inside a text (`<|im_end|>` in
 * somebody's data) as that token. Texts here are data, so special tokens are taken out of the names it looks for: they
 * come in through the model's own template only. The names of ordinary added tokens are still found in texts.
 */
import { Tokenizer as NativeTokenizer } from 'tokenizers'
import { WhicheditError } from '../errors.ts'
import { isObject, type JsonObject } from './json.ts'

/** A text's tokens. */
export interface Encoding {
  readonly ids: Int32Array
  /** [start, end) of each token in the text, in UTF-16 units; a byte-level token's span may hold a leading space. */
  readonly offsets: readonly (readonly [number, number])[]
}

/** Tokens that end a text, at least one. */
export type EndsOfText = readonly [number, ...number[]]

/** A model's tokenizer. Its calls are promises because the library underneath works off the event loop. */
export interface Tokenizer {
  /** Tokens that end a text: generation stops at any of them. An empty prompt is the first of them. */
  readonly endsOfText: EndsOfText
  /** Encodes as the model expects a text to begin (with its begin-of-text token, if it has one). */
  encode(text: string): Promise<Encoding>
  /** Encodes a continuation: no begin-of-text token. */
  encodeContinuation(text: string): Promise<Int32Array>
  /** The text of tokens; special tokens have none. */
  decode(ids: readonly number[]): Promise<string>
}

/** What a tokenizer must fit. */
export interface TokenizerFrame {
  /** Name for messages: the path of `tokenizer.json`. */
  readonly file: string
  readonly endsOfText: EndsOfText
  /** Rows of the embedding: every id lies below. */
  readonly vocabulary: number
}

/**
 * Makes a tokenizer of the content of `tokenizer.json`.
 * @throws E_TOKENIZER where the library refuses it or it has ids that the model lacks.
 */
export function openTokenizer(json: JsonObject, { file, endsOfText, vocabulary }: TokenizerFrame): Tokenizer {
  const { plain, special, largestId } = withoutSpecialNames(json)
  const largest = Math.max(largestId, ...endsOfText)
  if (largest >= vocabulary) {
    const found = `${largest}`
    throw new WhicheditError('E_TOKENIZER', { file, expected: `token ids below ${vocabulary}, the model's own`, found })
  }
  const native = load(plain, file)
  return {
    endsOfText,
    async encode(text) {
      const encoding = await native.encode(text, null, { addSpecialTokens: true })
      return { ids: Int32Array.from(encoding.getIds()), offsets: inUtf16(text, encoding.getOffsets()) }
    },
    async encodeContinuation(text) {
      const encoding = await native.encode(text, null, { addSpecialTokens: false })
      return Int32Array.from(encoding.getIds())
    },
    decode: (ids) =>
      native.decode(
        ids.filter((id) => !special.has(id)),
        false,
      ),
  }
}

function load(json: JsonObject, file: string): NativeTokenizer {
  try {
    return NativeTokenizer.fromString(JSON.stringify(json))
  } catch (cause) {
    const found = cause instanceof Error ? cause.message : String(cause)
    throw new WhicheditError(
      'E_TOKENIZER',
      { file, expected: 'a description the tokenizers library can load', found },
      { cause },
    )
  }
}

interface Plain {
  readonly plain: JsonObject
  readonly special: ReadonlySet<number>
  readonly largestId: number
}

/**
 * The same tokenizer without special tokens' names, and without the cutting and padding that some files were saved with.
 * All added tokens go into the model's vocabulary, so that those which stay keep their ids: the library counts ids up
 * from the vocabulary's end. Only a vocabulary that is a list (Unigram) cannot take them in and is left as it is.
 */
function withoutSpecialNames(json: JsonObject): Plain {
  const model = isObject(json.model) ? json.model : {}
  const added = (Array.isArray(json.added_tokens) ? json.added_tokens : []).filter(isObject)
  const idOf = (token: JsonObject): number => Number(token.id)
  const vocab = isObject(model.vocab) ? model.vocab : undefined
  const special = new Set(added.filter((token) => token.special === true).map(idOf))
  let largestId = added.reduce((max, token) => Math.max(max, idOf(token)), 0)
  for (const name in vocab) largestId = Math.max(largestId, Number(vocab[name]))
  const whole = { ...json, truncation: null, padding: null }
  if (vocab === undefined) return { plain: whole, special, largestId }
  // Vocabularies are large and most hold all added tokens: copied only where one is missing.
  const missing = added.filter((token) => vocab[String(token.content)] !== token.id)
  const entries = missing.map((token) => [String(token.content), idOf(token)] as const)
  const full = missing.length === 0 ? vocab : { ...vocab, ...Object.fromEntries(entries) }
  const ordinary = added.filter((token) => token.special !== true)
  return { plain: { ...whole, added_tokens: ordinary, model: { ...model, vocab: full } }, special, largestId }
}

/** Turns offsets in code points into offsets in UTF-16 units. */
function inUtf16(text: string, offsets: readonly (readonly number[])[]): (readonly [number, number])[] {
  const starts: number[] = []
  let at = 0
  for (const character of text) {
    starts.push(at)
    at += character.length
  }
  const place = (codePoint: number): number => starts[codePoint] ?? text.length
  return offsets.map(([start = 0, end = 0]) => [place(start), place(end)])
}

/**
 * Finds the tokens that hold a span of the text, [start, end) in UTF-16 units: `last` is the last token whose own span
 * intersects it. A token may begin before the span (with the space before a word), but none may run on after its end: the
 * representation there would be of something else than the span.
 * @throws E_SUBJECT_SPLIT where the span's right edge lies inside a token or no token lies in the span.
 */
export function tokenOfSpan(encoding: Encoding, span: readonly [number, number]): { first: number; last: number } {
  const [start, end] = span
  const intersects = ([from, to]: readonly [number, number]): boolean => from < end && to > start
  const first = encoding.offsets.findIndex(intersects)
  const last = encoding.offsets.findLastIndex(intersects)
  const tokenEnd = encoding.offsets[last]?.[1]
  if (tokenEnd !== undefined && tokenEnd <= end) return { first, last }
  const found = tokenEnd === undefined ? 'no token' : `one that ends at ${tokenEnd}`
  throw new WhicheditError('E_SUBJECT_SPLIT', { start, end, found })
}
