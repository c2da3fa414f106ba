/**
 * Text to token ids and back, with the place of each token in the text. The only importer of `tokenizers`, the official
 * Rust library's binding for Node. Two things are changed on the way in:
 * its offsets count code points, ours UTF-16 units; and it would read a special token's name inside a text (`<|im_end|>` in
 * somebody's data) as that token. Texts here are data, so special tokens get names that no text holds: they come in
 * through the model's own template and through a {@link PromptFrame} only. Ordinary added tokens are still found in texts.
 */
import { Tokenizer as NativeTokenizer } from 'tokenizers'
import { WhicheditError } from '../errors.ts'
import { isObject, type Json, type JsonObject } from './json.ts'

/** A text's tokens. */
export interface Encoding {
  readonly ids: Int32Array
  /**
   * [start, end) of each token in the text, in UTF-16 units. The span of a word may hold the space before it, a character
   * of several tokens has as many equal spans, and what the text does not hold (a begin-of-text token) has an empty one.
   */
  readonly offsets: readonly (readonly [number, number])[]
}

/** Tokens that end a text, at least one. */
export type EndsOfText = readonly [number, ...number[]]

/** A model's tokenizer. Its calls are promises because the library underneath works off the event loop. */
export interface Tokenizer {
  /** Tokens that end a text: generation stops at any of them. An empty prompt is the first of them. */
  readonly endsOfText: EndsOfText
  /** Encodes a prompt, or any text, with the tokens the model expects at its ends. */
  encode(text: string): Promise<Encoding>
  /** Encodes what goes on after a prompt: its tokens as they would be there, nothing before or after them. */
  encodeContinuation(text: string): Promise<Int32Array>
  /** The text of tokens; special tokens have none. */
  decode(ids: readonly number[]): Promise<string>
  /** The text of tokens that go on after others: with the space it begins with, which {@link decode} may drop. */
  decodeContinuation(ids: readonly number[]): Promise<string>
}

/** What stands around a prompt and its answer. Names of special tokens in it are those tokens; a prompt stays data. */
export interface PromptFrame {
  readonly before: string
  readonly after: string
  /** What stands between the frame and the answer. */
  readonly lead: string
  /** What follows an answer; the first special token in it ends one. */
  readonly closing: string
  /** Whether blanks at a prompt's ends are dropped. */
  readonly trims: boolean
}

/** The tokenizer of a model's files. */
export interface ModelTokenizer extends Tokenizer {
  /** The same tokenizer for prompts inside a frame. Offsets stay those of the prompt. */
  framed(frame: PromptFrame): ModelTokenizer
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
export function openTokenizer(json: JsonObject, { file, endsOfText, vocabulary }: TokenizerFrame): ModelTokenizer {
  const largest = Math.max(largestId(json), ...endsOfText)
  if (largest >= vocabulary) {
    const found = `${largest}`
    throw new WhicheditError('E_TOKENIZER', { file, expected: `token ids below ${vocabulary}, the model's own`, found })
  }
  const special = specialTokens(json)
  const native = load(withSecretNames(json, special), file)
  const codec = makeCodec(native, new Set(special.values()))
  return {
    endsOfText,
    async encode(text) {
      const encoding = await native.encode(shield(text), null, { addSpecialTokens: true })
      return { ids: Int32Array.from(encoding.getIds()), offsets: inUtf16(text, encoding.getOffsets()) }
    },
    encodeContinuation: (text) => codec.encodeAfter(/^\s/.test(text) ? A_WORD : A_LINE, text),
    decode: codec.decode,
    decodeContinuation: codec.decodeAfter,
    framed: (frame) => openFramed(frame, { codec, special, endsOfText }),
  }
}

/** What a continuation is put after to be encoded: a text that ends, whatever follows, where it ends alone. */
const A_WORD = 'x'
const A_LINE = '\n'

interface Codec {
  /** The tokens of `text` where it follows `anchor`. */
  encodeAfter(anchor: string, text: string): Promise<Int32Array>
  /** A text's tokens, nothing added. */
  encodeBare(text: string): Promise<Encoding>
  decode(ids: readonly number[]): Promise<string>
  decodeAfter(ids: readonly number[]): Promise<string>
}

/** The library's calls. Texts of `encodeAfter` and `encodeBare` may hold secret names; what is data in them was shielded. */
function makeCodec(native: NativeTokenizer, special: ReadonlySet<number>): Codec {
  const encodeBare = async (text: string): Promise<Encoding> => {
    const encoding = await native.encode(text, null, { addSpecialTokens: false })
    return { ids: Int32Array.from(encoding.getIds()), offsets: inUtf16(text, encoding.getOffsets()) }
  }
  const decode = (ids: readonly number[]): Promise<string> =>
    native.decode(
      ids.filter((id) => !special.has(id)),
      false,
    )
  return {
    encodeBare,
    decode,
    async encodeAfter(anchor, text) {
      // Some tokenizers put a space before whatever they are given, others drop blanks at a text's ends.
      const { ids, offsets } = await encodeBare(anchor + shield(text))
      const first = offsets.findIndex(([start]) => start >= anchor.length)
      const isCut = offsets.every(([start, end]) => start >= anchor.length || end <= anchor.length)
      if (isCut) return first < 0 ? new Int32Array(0) : ids.slice(first)
      return (await encodeBare(shield(text))).ids
    },
    async decodeAfter(ids) {
      const anchor = (await encodeBare(A_WORD)).ids
      const [start, whole] = await Promise.all([decode([...anchor]), decode([...anchor, ...ids])])
      return whole.startsWith(start) ? whole.slice(start.length) : decode(ids)
    },
  }
}

interface Framing {
  readonly codec: Codec
  readonly special: ReadonlyMap<string, number>
  readonly endsOfText: EndsOfText
}

function openFramed(frame: PromptFrame, framing: Framing): ModelTokenizer {
  const { codec, special, endsOfText } = framing
  const anyName = nameFinder([...special.keys()])
  const withTokens = (text: string): string =>
    text.replace(anyName, (name) => secretName(special.get(name) ?? Number.NaN))
  const [before, after] = [withTokens(frame.before), withTokens(frame.after)]
  const closing = special.get(frame.closing.match(anyName)?.[0] ?? '')
  return {
    endsOfText: closing === undefined || endsOfText.includes(closing) ? endsOfText : [...endsOfText, closing],
    async encode(text) {
      const shown = frame.trims ? text.trim() : text
      const { ids, offsets } = await codec.encodeBare(before + shield(shown) + after)
      const end = before.length + shown.length
      // A token that reaches into the frame keeps its end there: what it stands for is not the prompt alone.
      const shift = (frame.trims ? text.length - text.trimStart().length : 0) - before.length
      const place = ([from, to]: readonly [number, number]): readonly [number, number] => {
        if (to <= before.length) return [0, 0]
        return from >= end ? [text.length, text.length] : [Math.max(0, from + shift), to + shift]
      }
      return { ids, offsets: offsets.map(place) }
    },
    encodeContinuation: (text) => codec.encodeAfter(after, frame.lead + text.replace(/^ /, '')),
    decode: codec.decode,
    decodeContinuation: codec.decodeAfter,
    framed: (other) => openFramed(other, framing),
  }
}

/** Finds names in a text, of two that begin at one place the longer. */
function nameFinder(names: readonly string[]): RegExp {
  const longestFirst = names.filter((name) => name !== '').sort((a, b) => b.length - a.length)
  const escaped = longestFirst.map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  return new RegExp(escaped.join('|') || '(?!)', 'g')
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

/** Special tokens' ids by their names. */
function specialTokens(json: JsonObject): ReadonlyMap<string, number> {
  const special = addedTokens(json).filter((token) => token.special === true)
  return new Map(special.map((token) => [String(token.content), Number(token.id)]))
}

function addedTokens(json: JsonObject): readonly JsonObject[] {
  return (Array.isArray(json.added_tokens) ? json.added_tokens : []).filter(isObject)
}

function largestId(json: JsonObject): number {
  const vocab = isObject(json.model) ? json.model.vocab : undefined
  let largest = addedTokens(json).reduce((max, token) => Math.max(max, Number(token.id)), 0)
  if (isObject(vocab)) for (const name in vocab) largest = Math.max(largest, Number(vocab[name]))
  if (Array.isArray(vocab)) largest = Math.max(largest, vocab.length - 1)
  return largest
}

/** The name under which a special token is looked for: between two code points that Unicode keeps out of texts. */
function secretName(id: number): string {
  return `\uFDD0${id}\uFDD1`
}

/** A text in which nothing is a secret name. As long as before. */
function shield(text: string): string {
  return text.replace(/\uFDD0(?=\d+\uFDD1)/g, '\uFFFD')
}

/**
 * The same tokenizer with secret names for special tokens, and without the cutting and padding that some files were saved
 * with. The vocabulary is renamed, too: a vocabulary that is a list (Unigram) finds its pieces in texts by itself, and merges
 * might make one.
 */
function withSecretNames(json: JsonObject, special: ReadonlyMap<string, number>): JsonObject {
  const rename = (name: string): string => {
    const id = special.get(name)
    return id === undefined ? name : secretName(id)
  }
  const added = addedTokens(json).map((token) =>
    token.special === true ? { ...token, content: rename(String(token.content)), normalized: false } : token,
  )
  const { model } = json
  const renamed = isObject(model) ? { ...model, ...renameModel(model, special, rename) } : (model ?? null)
  return { ...json, truncation: null, padding: null, added_tokens: added, model: renamed }
}

function renameModel(
  { vocab, merges, unk_token }: JsonObject,
  special: ReadonlyMap<string, number>,
  rename: (name: string) => string,
): JsonObject {
  const renamed: Record<string, Json> = {}
  if (isObject(vocab)) renamed.vocab = renameKeys(vocab, special, rename)
  if (Array.isArray(vocab)) renamed.vocab = vocab.map((piece) => renamePiece(piece, rename))
  if (typeof unk_token === 'string') renamed.unk_token = rename(unk_token)
  if (Array.isArray(merges)) {
    const isKept = (merge: Json): boolean => {
      const [left = '', right = ''] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : []
      return ![`${left}`, `${right}`, `${left}${right}`].some((piece) => special.has(piece))
    }
    renamed.merges = merges.filter(isKept)
  }
  return renamed
}

/** Vocabularies are large and have few special tokens: copied whole, then changed where needed. */
function renameKeys(
  vocab: JsonObject,
  special: ReadonlyMap<string, number>,
  rename: (name: string) => string,
): JsonObject {
  const renamed: Record<string, Json> = { ...vocab }
  for (const name of special.keys()) {
    const id = Object.hasOwn(vocab, name) ? vocab[name] : undefined
    if (id === undefined) continue
    delete renamed[name]
    renamed[rename(name)] = id
  }
  return renamed
}

/** A piece of a Unigram vocabulary: its name and its score. */
function renamePiece(piece: Json, rename: (name: string) => string): Json {
  if (!Array.isArray(piece)) return piece
  const [name, ...score] = piece
  return typeof name === 'string' ? [rename(name), ...score] : piece
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
