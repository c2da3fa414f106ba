/**
 * SentencePiece's vocabularies in GGUF files: BPE (`tokenizer.ggml.model` = `llama`) and Unigram (`t5`). A space is written ▁.
 * SentencePiece's BPE has no list of merges: it joins the two neighbours whose union has the highest score. The list that the
 * tokenizers library asks for is every way of cutting a token into two, tokens in the order of their scores.
 */
import { bpeModel } from './bpe.ts'
import { damaged } from './gguf.ts'
import {
  addedTokens,
  endsOfTexts,
  idsByToken,
  readScores,
  TOKEN_TYPE,
  type TokenizerParts,
  unknownToken,
  type Vocabulary,
} from './gguf-vocabulary.ts'
import type { Json } from './json.ts'
import { mergesOf } from './sentencepiece.ts'

const SPACE = '▁'
/** In UTF-16 units. SentencePiece itself makes none of more than 16; every cut of a token is looked at. */
const LONGEST_TOKEN = 256
/** llama.cpp's unknown tokens where a file names none. */
const UNKNOWN_OF_BPE = 0
const UNKNOWN_OF_UNIGRAM = 2

const replace = (pattern: Json, content: string): Json => ({ type: 'Replace', pattern, content })
const sequence = (...normalizers: Json[]): Json => ({ type: 'Sequence', normalizers })

/** The parts of `tokenizer.json` for SentencePiece's BPE. @throws E_GGUF */
export function sentencePieceParts(vocabulary: Vocabulary): TokenizerParts {
  const { gguf, tokens, types } = vocabulary
  const scores = readScores(vocabulary)
  const long = tokens.find((token, id) => types[id] === TOKEN_TYPE.normal && token.length > LONGEST_TOKEN)
  if (long !== undefined) throw damaged(gguf.file, `tokens of at most ${LONGEST_TOKEN} characters`, `${long.length}`)
  const addsSpace = gguf.metadata.get('tokenizer.ggml.add_space_prefix') !== false
  const toMarks = replace({ String: ' ' }, SPACE)
  const drop: Json[] = addsSpace ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []
  return {
    // A run of spaces may be a token, and a space in a text may be written ▁ by itself. (The prefix would stick to the tokens' names.)
    added_tokens: addedTokens(vocabulary, !addsSpace),
    normalizer: addsSpace ? sequence({ type: 'Prepend', prepend: SPACE }, toMarks) : toMarks,
    pre_tokenizer: null,
    post_processor: endsOfTexts(vocabulary, {
      begin: { roles: ['bos'], isAdded: true, id: 1 },
      end: { roles: ['eos'], isAdded: false, id: 2 },
    }),
    decoder: {
      type: 'Sequence',
      decoders: [replace({ String: SPACE }, ' '), { type: 'ByteFallback' }, { type: 'Fuse' }, ...drop],
    },
    model: bpeModel({
      vocab: idsByToken(tokens),
      merges: mergesOf(tokens.map((name, id) => ({ name, score: scores[id] ?? 0, type: types[id] ?? 0 }))),
      unknown: { token: unknownToken(vocabulary, UNKNOWN_OF_BPE) },
      byteFallback: types.includes(TOKEN_TYPE.byte),
    }),
  }
}

/** The parts of `tokenizer.json` for Unigram. @throws E_GGUF */
export function unigramParts(vocabulary: Vocabulary): TokenizerParts {
  const { metadata, file } = vocabulary.gguf
  const scores = readScores(vocabulary)
  const scheme = metadata.get('tokenizer.ggml.add_space_prefix') === false ? 'never' : 'always'
  const mergesBlanks = metadata.get('tokenizer.ggml.remove_extra_whitespaces') !== false
  const blanks = mergesBlanks ? [replace({ Regex: '^ +| +$' }, ''), replace({ Regex: ' {2,}' }, ' ')] : []
  const marks: Json = { type: 'Metaspace', replacement: SPACE, prepend_scheme: scheme, split: true }
  const unknown = vocabulary.tokens.indexOf(unknownToken(vocabulary, UNKNOWN_OF_UNIGRAM))
  return {
    added_tokens: addedTokens(vocabulary, false),
    normalizer: sequence(...charsMap(metadata.get('tokenizer.ggml.precompiled_charsmap'), file), ...blanks),
    pre_tokenizer: marks,
    post_processor: endsOfTexts(vocabulary, {
      begin: { roles: ['bos'], isAdded: false },
      end: { roles: ['eos'], isAdded: true, id: 1 },
    }),
    decoder: marks,
    model: {
      type: 'Unigram',
      unk_id: unknown,
      vocab: vocabulary.tokens.map((token, id) => [token, scores[id] ?? 0]),
      byte_fallback: vocabulary.types.includes(TOKEN_TYPE.byte),
    },
  }
}

/** SentencePiece's compiled rules of normalization, byte by byte in the file. */
function charsMap(map: unknown, file: string): Json[] {
  if (map === undefined) return []
  const isByte = (value: unknown): value is number =>
    Number.isInteger(value) && Number(value) >= -128 && Number(value) < 256
  if (!Array.isArray(map) || !map.every(isByte)) throw damaged(file, 'bytes in precompiled_charsmap', typeof map)
  return [{ type: 'Precompiled', precompiled_charsmap: Buffer.from(map).toString('base64') }]
}
