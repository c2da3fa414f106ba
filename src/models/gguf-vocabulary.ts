/** The parts that every kind of tokenizer in a GGUF file shares: its tokens with their types and scores, and what stands at a text's ends. */
import { damaged, type GgufFile, type GgufValue } from './gguf.ts'
import { type Json, type JsonObject, shownJson } from './json.ts'

/** Values of `tokenizer.ggml.token_type`, as in SentencePiece. */
export const TOKEN_TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const

/** A vocabulary: an id is a place in the lists. */
export interface Vocabulary {
  readonly gguf: GgufFile
  /** All different. */
  readonly tokens: readonly string[]
  readonly types: readonly number[]
}

/** Reads the tokens and their types. @throws E_GGUF where a list is missing, repeats itself or has another length. */
export function readVocabulary(gguf: GgufFile): Vocabulary {
  const tokens = texts(gguf, 'tokenizer.ggml.tokens')
  const different = new Set(tokens).size
  if (different !== tokens.length) throw damaged(gguf.file, `${tokens.length} different tokens`, `${different}`)
  return { gguf, tokens, types: numbers(gguf, 'tokenizer.ggml.token_type', tokens.length) }
}

/** The scores: the higher, the rather a token is used. @throws E_GGUF */
export function readScores({ gguf, tokens }: Vocabulary): readonly number[] {
  return numbers(gguf, 'tokenizer.ggml.scores', tokens.length)
}

/** `vocab` of `tokenizer.json`: each token's id. */
export function idsByToken(tokens: readonly string[]): JsonObject {
  return Object.fromEntries(tokens.map((token, id) => [token, id]))
}

/**
 * `added_tokens` of `tokenizer.json`: tokens that are found in a text as a whole, before it is cut. `normalized`: whether ordinary
 * ones are looked for in the text as the normalizer leaves it.
 */
export function addedTokens({ tokens, types }: Vocabulary, normalized: boolean): Json {
  return tokens.flatMap((content, id) => {
    const special = types[id] === TOKEN_TYPE.control || types[id] === TOKEN_TYPE.unknown
    if (!special && types[id] !== TOKEN_TYPE.userDefined) return []
    return {
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: normalized && !special,
      special,
    }
  })
}

/** What tells one kind of tokenizer from another in `tokenizer.json`. */
export interface TokenizerParts {
  readonly added_tokens: Json
  readonly normalizer: Json
  readonly pre_tokenizer: Json
  readonly post_processor: Json
  readonly decoder: Json
  readonly model: JsonObject
}

/** A token that may be added at one end of a text. */
export interface TextEnd {
  /** What the file calls it (`bos`), older names after it. */
  readonly roles: readonly [string, ...string[]]
  /** Whether it is added where the file does not say. */
  readonly isAdded: boolean
  /** Its id where the file names none. */
  readonly id?: number
}

/** `post_processor` of `tokenizer.json`: puts tokens at a text's ends. @throws E_GGUF where such a token is not there. */
export function endsOfTexts(vocabulary: Vocabulary, ends: { readonly begin: TextEnd; readonly end: TextEnd }): Json {
  const begin = tokensAt(vocabulary, ends.begin)
  const end = tokensAt(vocabulary, ends.end)
  if (begin.length + end.length === 0) return null
  return {
    type: 'TemplateProcessing',
    single: [...begin.map(special), text('A'), ...end.map(special)],
    pair: [...begin.map(special), text('A'), ...end.map(special), text('B'), ...end.map(special)],
    special_tokens: Object.fromEntries(
      [...begin, ...end].map(({ id, name }) => [name, { id: name, ids: [id], tokens: [name] }]),
    ),
  }
}

const text = (letter: 'A' | 'B'): Json => ({ Sequence: { id: letter, type_id: 0 } })
const special = ({ name }: NamedToken): Json => ({ SpecialToken: { id: name, type_id: 0 } })

interface NamedToken {
  readonly id: number
  readonly name: string
}

function tokensAt({ gguf, tokens }: Vocabulary, { roles, isAdded, id: otherwise }: TextEnd): NamedToken[] {
  const { file, metadata } = gguf
  // The format's own spelling: seperator_token_id, but add_sep_token.
  const flag = `tokenizer.ggml.add_${roles[0].slice(0, 3)}_token`
  if ((metadata.get(flag) ?? isAdded) !== true) return []
  const named = roles.map((role) => metadata.get(`tokenizer.ggml.${role}_token_id`))
  const id = named.find((found) => found !== undefined) ?? otherwise
  const name = typeof id === 'number' ? tokens[id] : undefined
  if (typeof id === 'number' && name !== undefined) return [{ id, name }]
  throw damaged(file, `a token ${roles[0]}, because texts are to have it at an end`, shownJson(id))
}

/** The token that stands for what the vocabulary cannot spell. @throws E_GGUF where it is not there. */
export function unknownToken({ gguf: { file, metadata }, tokens }: Vocabulary, otherwise: number): string {
  const id = metadata.get('tokenizer.ggml.unknown_token_id') ?? otherwise
  const token = typeof id === 'number' ? tokens[id] : undefined
  if (token === undefined) throw damaged(file, 'an unknown token of the vocabulary', shownJson(id))
  return token
}

/** A list of texts. @throws E_GGUF */
export function texts(gguf: GgufFile, key: string): readonly string[] {
  return list(gguf, key).map((value) => {
    if (typeof value !== 'string') throw damaged(gguf.file, `texts in ${key}`, typeof value)
    return value
  })
}

function numbers(gguf: GgufFile, key: string, length: number): readonly number[] {
  const values = list(gguf, key)
  if (values.length !== length) throw damaged(gguf.file, `${length} numbers in ${key}`, `${values.length}`)
  return values.map((value) => {
    if (typeof value !== 'number' || !Number.isFinite(value)) throw damaged(gguf.file, `numbers in ${key}`, `${value}`)
    return value
  })
}

function list({ file, metadata }: GgufFile, key: string): readonly GgufValue[] {
  const value = metadata.get(key)
  if (!Array.isArray(value)) throw damaged(file, `the list ${key}`, typeof value)
  return value
}
