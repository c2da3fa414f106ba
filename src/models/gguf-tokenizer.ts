/**
 * Rebuilds `tokenizer.json` from a GGUF file's metadata, for byte-level BPE vocabularies (`tokenizer.ggml.model` = `gpt2`).
 * The file names the way text is cut before merging (`tokenizer.ggml.pre`) without describing it; what each name means was
 * read in llama.cpp (src/llama-vocab.cpp) and in the `tokenizer.json` files of the models concerned.
 */
import { damaged, type GgufFile, type GgufValue } from './gguf.ts'
import type { Json, JsonObject } from './json.ts'

/** Values of `tokenizer.ggml.token_type`. */
const CONTROL = 3
const USER_DEFINED = 4

const LLAMA3_SPLIT =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
const QWEN2_SPLIT = LLAMA3_SPLIT.replace('\\p{N}{1,3}', '\\p{N}')

interface Cut {
  readonly preTokenizer: Json
  /** A piece that is a token as a whole is taken as such, whatever the merges say. */
  readonly ignoreMerges: boolean
  /** Whether texts begin with the begin-of-text token where the file does not say. */
  readonly addBos: boolean
}

const byteLevel = (useRegex: boolean): Json => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
})
const sequence = (...pretokenizers: Json[]): Json => ({ type: 'Sequence', pretokenizers })
const split = (pattern: string): Json =>
  sequence({ type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false }, byteLevel(false))

const GPT2: Cut = { preTokenizer: byteLevel(true), ignoreMerges: false, addBos: false }
const DIGITS: Cut = {
  preTokenizer: sequence({ type: 'Digits', individual_digits: true }, byteLevel(true)),
  ignoreMerges: false,
  addBos: false,
}
const LLAMA3: Cut = { preTokenizer: split(LLAMA3_SPLIT), ignoreMerges: true, addBos: true }
const QWEN2: Cut = { preTokenizer: split(QWEN2_SPLIT), ignoreMerges: false, addBos: false }

const CUTS: ReadonlyMap<string, Cut> = new Map([
  ['gpt-2', GPT2],
  ['mpt', GPT2],
  ['olmo', GPT2],
  ['smollm', DIGITS],
  ['starcoder', DIGITS],
  ['refact', DIGITS],
  ['codeshell', DIGITS],
  ['llama3', LLAMA3],
  ['llama-v3', LLAMA3],
  ['llama-bpe', LLAMA3],
  ['qwen2', QWEN2],
  ['deepseek-r1-qwen', QWEN2],
])

/**
 * The content of `tokenizer.json`.
 * @throws E_GGUF where the vocabulary is of another kind, is cut in an unknown way, or contradicts itself.
 */
export function tokenizerJsonOf(gguf: GgufFile): JsonObject {
  const { file, metadata } = gguf
  const kind = metadata.get('tokenizer.ggml.model')
  if (kind !== 'gpt2')
    throw damaged(file, 'a byte-level BPE vocabulary (tokenizer.ggml.model gpt2)', JSON.stringify(kind))
  const cutName = metadata.get('tokenizer.ggml.pre') ?? 'gpt-2'
  const cut = CUTS.get(String(cutName))
  if (cut === undefined) {
    throw damaged(
      file,
      `a way of cutting text (tokenizer.ggml.pre) among ${[...CUTS.keys()].join(', ')}`,
      String(cutName),
    )
  }
  const tokens = texts(gguf, 'tokenizer.ggml.tokens')
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(gguf, tokens),
    normalizer: null,
    pre_tokenizer: cut.preTokenizer,
    post_processor: beginOfText(gguf, tokens, cut),
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: cut.ignoreMerges,
      vocab: vocabulary(gguf, tokens),
      merges: texts(gguf, 'tokenizer.ggml.merges'),
    },
  }
}

function vocabulary({ file }: GgufFile, tokens: readonly string[]): JsonObject {
  const ids = new Map(tokens.map((token, id) => [token, id]))
  if (ids.size !== tokens.length) throw damaged(file, `${tokens.length} different tokens`, `${ids.size}`)
  return Object.fromEntries(ids)
}

/** Tokens that are found in a text as a whole, before it is cut. */
function addedTokens(gguf: GgufFile, tokens: readonly string[]): Json {
  const types = list(gguf, 'tokenizer.ggml.token_type')
  if (types.length !== tokens.length) throw damaged(gguf.file, `${tokens.length} token types`, `${types.length}`)
  return tokens.flatMap((content, id) => {
    const type = types[id]
    if (type !== CONTROL && type !== USER_DEFINED) return []
    return {
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: type === CONTROL,
    }
  })
}

function beginOfText({ file, metadata }: GgufFile, tokens: readonly string[], cut: Cut): Json {
  if (!(metadata.get('tokenizer.ggml.add_bos_token') ?? cut.addBos)) return null
  const id = metadata.get('tokenizer.ggml.bos_token_id')
  const token = typeof id === 'number' ? tokens[id] : undefined
  if (typeof id !== 'number' || token === undefined) {
    throw damaged(file, 'a begin-of-text token, because texts are to begin with it', JSON.stringify(id) ?? 'none')
  }
  const text = (letter: 'A' | 'B'): Json => ({ Sequence: { id: letter, type_id: 0 } })
  const bos: Json = { SpecialToken: { id: token, type_id: 0 } }
  return {
    type: 'TemplateProcessing',
    single: [bos, text('A')],
    pair: [bos, text('A'), text('B')],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  }
}

function list({ file, metadata }: GgufFile, key: string): readonly GgufValue[] {
  const value = metadata.get(key)
  if (!Array.isArray(value)) throw damaged(file, `the list ${key}`, typeof value)
  return value
}

function texts(gguf: GgufFile, key: string): readonly string[] {
  return list(gguf, key).map((value) => {
    if (typeof value !== 'string') throw damaged(gguf.file, `texts in ${key}`, typeof value)
    return value
  })
}
