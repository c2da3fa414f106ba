/**
 * Rebuilds `tokenizer.json` from a GGUF file's metadata. There are four kinds of vocabulary: byte-level BPE, SentencePiece's BPE and
 * Unigram, and WordPiece; defaults for what a file leaves out are llama.cpp's (src/llama-vocab.cpp).
 */
import { damaged, type GgufFile } from './gguf.ts'
import { byteLevelParts } from './gguf-byte-level.ts'
import { sentencePieceParts, unigramParts } from './gguf-sentencepiece.ts'
import { readVocabulary, type TokenizerParts, type Vocabulary } from './gguf-vocabulary.ts'
import { wordPieceParts } from './gguf-wordpiece.ts'
import { type JsonObject, shownJson } from './json.ts'

/** By `tokenizer.ggml.model`. */
const KINDS: ReadonlyMap<string, (vocabulary: Vocabulary) => TokenizerParts> = new Map([
  ['gpt2', byteLevelParts],
  ['llama', sentencePieceParts],
  ['t5', unigramParts],
  ['bert', wordPieceParts],
])

/**
 * The content of `tokenizer.json`.
 * @throws E_GGUF where the vocabulary is of another kind, is cut in an unknown way, or contradicts itself.
 */
export function tokenizerJsonOf(gguf: GgufFile): JsonObject {
  const kind = String(gguf.metadata.get('tokenizer.ggml.model'))
  const parts = KINDS.get(kind)
  if (parts === undefined) {
    const known = [...KINDS.keys()].join(', ')
    throw damaged(gguf.file, `a vocabulary of a known kind (tokenizer.ggml.model ${known})`, shownJson(kind))
  }
  return { version: '1.0', truncation: null, padding: null, ...parts(readVocabulary(gguf)) }
}
