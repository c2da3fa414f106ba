/**
 * Byte-level BPE in GGUF files (`tokenizer.ggml.model` = `gpt2`). The file names the way text is cut before merging
 * (`tokenizer.ggml.pre`) without describing it; what each name means was read in llama.cpp (src/llama-vocab.cpp) and in the
 * `tokenizer.json` files of the models concerned.
 */
import { bpeModel } from './bpe.ts'
import { damaged } from './gguf.ts'
import { addedTokens, endsOfTexts, idsByToken, type TokenizerParts, texts, type Vocabulary } from './gguf-vocabulary.ts'
import type { Json } from './json.ts'

const LLAMA3_SPLIT =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
const QWEN2_SPLIT = LLAMA3_SPLIT.replace('\\p{N}{1,3}', '\\p{N}')
/** Words with at most one change from capitals to small letters; `ending` may follow one. */
const caseSplit = (ending: string, digits: string): string =>
  `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+${ending}|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*${ending}|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`
const GPT4O_SPLIT = caseSplit("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", '\\p{N}{1,3}')
const TEKKEN_SPLIT = caseSplit('', '\\p{N}')

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
const DBRX: Cut = { preTokenizer: split(LLAMA3_SPLIT), ignoreMerges: false, addBos: false }
const QWEN2: Cut = { preTokenizer: split(QWEN2_SPLIT), ignoreMerges: false, addBos: false }
const TEKKEN: Cut = { preTokenizer: split(TEKKEN_SPLIT), ignoreMerges: true, addBos: true }
const GPT4O: Cut = { preTokenizer: split(GPT4O_SPLIT), ignoreMerges: false, addBos: false }

const CUTS: ReadonlyMap<string, Cut> = new Map([
  ['gpt-2', GPT2],
  ['phi-2', GPT2],
  ['mpt', GPT2],
  ['olmo', GPT2],
  ['smollm', DIGITS],
  ['starcoder', DIGITS],
  ['refact', DIGITS],
  ['codeshell', DIGITS],
  ['llama3', LLAMA3],
  ['llama-v3', LLAMA3],
  ['llama-bpe', LLAMA3],
  ['dbrx', DBRX],
  ['smaug-bpe', DBRX],
  ['qwen2', QWEN2],
  ['deepseek-r1-qwen', QWEN2],
  ['tekken', TEKKEN],
  ['gpt-4o', GPT4O],
])

/** The parts of `tokenizer.json`. @throws E_GGUF where the vocabulary is cut in an unknown way. */
export function byteLevelParts(vocabulary: Vocabulary): TokenizerParts {
  const { gguf, tokens } = vocabulary
  const name = String(gguf.metadata.get('tokenizer.ggml.pre') ?? 'gpt-2')
  const cut = CUTS.get(name)
  if (cut === undefined) {
    throw damaged(gguf.file, `a way of cutting text (tokenizer.ggml.pre) among ${[...CUTS.keys()].join(', ')}`, name)
  }
  return {
    added_tokens: addedTokens(vocabulary, false),
    normalizer: null,
    pre_tokenizer: cut.preTokenizer,
    post_processor: endsOfTexts(vocabulary, {
      begin: { roles: ['bos'], isAdded: cut.addBos },
      end: { roles: ['eos'], isAdded: false },
    }),
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: bpeModel({
      vocab: idsByToken(tokens),
      merges: texts(gguf, 'tokenizer.ggml.merges'),
      ignoreMerges: cut.ignoreMerges,
    }),
  }
}
