/**
 * BERT's WordPiece in GGUF files (`tokenizer.ggml.model` = `bert`). The converter writes tokens that begin a word with ▁ and those
 * that go on without `##`; both are put back.
 */
import {
  addedTokens,
  endsOfTexts,
  idsByToken,
  TOKEN_TYPE,
  type TokenizerParts,
  unknownToken,
  type Vocabulary,
} from './gguf-vocabulary.ts'

const BEGINS = '▁'
const GOES_ON = '##'
/** llama.cpp's, and BERT's, where a file does not say. */
const UNKNOWN = 100
/** The reference tokenizer's: a longer word is unknown as a whole. */
const LONGEST_WORD = 100

/** The parts of `tokenizer.json`. @throws E_GGUF */
export function wordPieceParts(vocabulary: Vocabulary): TokenizerParts {
  const { metadata } = vocabulary.gguf
  const lowercase = metadata.get('tokenizer.ggml.normalizer.lowercase') !== false
  return {
    added_tokens: addedTokens(vocabulary, false),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: metadata.get('tokenizer.ggml.normalizer.strip_accents') !== false && lowercase,
      lowercase,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: endsOfTexts(vocabulary, {
      begin: { roles: ['bos', 'cls'], isAdded: true, id: 101 },
      end: { roles: ['seperator', 'eos'], isAdded: true, id: 102 },
    }),
    decoder: { type: 'WordPiece', prefix: GOES_ON, cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: unknownToken(vocabulary, UNKNOWN),
      continuing_subword_prefix: GOES_ON,
      max_input_chars_per_word: LONGEST_WORD,
      vocab: idsByToken(vocabulary.tokens.map((token, id) => spelled(token, vocabulary.types[id]))),
    },
  }
}

function spelled(token: string, type: number | undefined): string {
  if (type === TOKEN_TYPE.control) return token
  return token.startsWith(BEGINS) ? token.slice(BEGINS.length) : GOES_ON + token
}
