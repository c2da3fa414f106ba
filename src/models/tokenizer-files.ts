/**
 * The tokenizer of a Hugging Face folder: `tokenizer.json`, or, where that is missing, the same built from what models were
 * published with before: `tokenizer.model` or `spiece.model` (SentencePiece), `vocab.json` with `merges.txt` (GPT-2, OPT),
 * `vocab.txt` (BERT). Settings and further tokens come from `tokenizer_config.json`, `special_tokens_map.json` and
 * `added_tokens.json`; what they leave out is as in transformers.
 */

import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { WhicheditError } from '../errors.ts'
import { bpeModel } from './bpe.ts'
import { TOKEN_TYPE } from './gguf-vocabulary.ts'
import { isObject, type Json, type JsonObject, readJsonObject } from './json.ts'
import { parseSentencePiece, type SentencePiece, sentencePieceJson } from './sentencepiece.ts'

/** Every file that may decide how text is cut. */
export const TOKENIZER_FILES = [
  'added_tokens.json',
  'merges.txt',
  'special_tokens_map.json',
  'spiece.model',
  'tokenizer.json',
  'tokenizer.model',
  'tokenizer_config.json',
  'vocab.json',
  'vocab.txt',
] as const

type TokenizerFile = (typeof TOKENIZER_FILES)[number]

/** Ways to say what a tokenizer is, for messages. */
export const TOKENIZER_CHOICE =
  'tokenizer.json (or tokenizer.model, or spiece.model, or vocab.json and merges.txt, or vocab.txt)'

/** The largest files in use have 5 MB. */
const MAX_FILE_BYTES = 64 * 2 ** 20
/** T5's tokens for gaps in a text, which its SentencePiece model does not hold. */
const GAPS = 100
const MOST_GAPS = 1000
/** BERT's: a longer word is unknown as a whole. */
const LONGEST_WORD = 100

/**
 * Reads or builds the content of `tokenizer.json`; undefined where the folder holds no tokenizer.
 * @throws E_JSON, E_TOKENIZER
 */
export async function readTokenizer(folder: string, files: readonly string[]): Promise<JsonObject | undefined> {
  const has = (name: TokenizerFile): boolean => files.includes(name)
  if (has('tokenizer.json')) return readJsonObject(join(folder, 'tokenizer.json'))
  const settings = await readSettings(folder, has)
  for (const name of ['tokenizer.model', 'spiece.model'] as const) {
    if (!has(name)) continue
    const file = join(folder, name)
    return fromSentencePiece(parseSentencePiece(await readBytes(file), file), settings)
  }
  if (has('vocab.json') && has('merges.txt')) return fromMerges(folder, settings)
  if (has('vocab.txt')) return fromWords(join(folder, 'vocab.txt'), settings)
  return undefined
}

/** A token that is found in a text as a whole. */
interface Added {
  readonly id: number
  readonly content: string
  readonly special: boolean
  readonly single_word: boolean
  readonly lstrip: boolean
  readonly rstrip: boolean
  readonly normalized: boolean
}

/** What the small JSON files say. */
interface Settings {
  readonly file: string
  /** `tokenizer_config.json` over `special_tokens_map.json`. */
  readonly raw: JsonObject
  readonly added: readonly Added[]
}

const ROLES = ['bos_token', 'eos_token', 'unk_token', 'pad_token', 'sep_token', 'cls_token', 'mask_token'] as const

async function readSettings(folder: string, has: (name: TokenizerFile) => boolean): Promise<Settings> {
  const read = async (name: TokenizerFile): Promise<JsonObject> => (has(name) ? readJsonObject(join(folder, name)) : {})
  const config = await read('tokenizer_config.json')
  const raw = { ...(await read('special_tokens_map.json')), ...config }
  const names = specialNames(raw)
  const added = new Map<number, Added>()
  for (const [content, id] of Object.entries(await read('added_tokens.json'))) {
    if (isId(id)) added.set(id, { ...PLAIN, id, content, special: names.has(content) })
  }
  for (const [key, token] of Object.entries(isObject(raw.added_tokens_decoder) ? raw.added_tokens_decoder : {})) {
    if (!isObject(token) || typeof token.content !== 'string' || !isId(Number(key))) continue
    const flag = (name: keyof typeof PLAIN): boolean => token[name] === true
    const flags = { single_word: flag('single_word'), lstrip: flag('lstrip'), rstrip: flag('rstrip') }
    const special = token.special === true || names.has(token.content)
    added.set(Number(key), { ...PLAIN, ...flags, id: Number(key), content: token.content, special })
  }
  return { file: join(folder, 'tokenizer_config.json'), raw, added: [...added.values()] }
}

const PLAIN = { single_word: false, lstrip: false, rstrip: false, normalized: false }

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

function specialNames(raw: JsonObject): ReadonlySet<string> {
  const more = Array.isArray(raw.additional_special_tokens) ? raw.additional_special_tokens : []
  return new Set([...ROLES.map((role) => raw[role]), ...more].flatMap((token) => nameOf(token) ?? []))
}

function nameOf(token: Json | undefined): string | undefined {
  const content = isObject(token) ? token.content : token
  return typeof content === 'string' ? content : undefined
}

async function readBytes(file: string): Promise<Uint8Array> {
  const handle = await open(file, 'r')
  try {
    const { size } = await handle.stat()
    if (size > MAX_FILE_BYTES) {
      const found = `${size}`
      throw new WhicheditError('E_TOKENIZER', { file, expected: `at most ${MAX_FILE_BYTES} bytes`, found })
    }
    return await handle.readFile()
  } finally {
    await handle.close()
  }
}

async function readLines(file: string): Promise<string[]> {
  const lines = Buffer.from(await readBytes(file))
    .toString('utf8')
    .split(/\r?\n/)
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines
}

function fromSentencePiece(model: SentencePiece, settings: Settings): JsonObject {
  const { raw } = settings
  const gaps = model.kind === 'unigram' ? gapTokens(model, raw.extra_ids) : []
  const pieces = [...model.pieces, ...gaps.map((name) => ({ name, score: 0, type: TOKEN_TYPE.control }))]
  const names = specialNames(raw)
  const own = pieces.flatMap(({ name: content, type }, id): Added[] => {
    const special = type === TOKEN_TYPE.control || type === TOKEN_TYPE.unknown || names.has(content)
    return special || type === TOKEN_TYPE.userDefined ? [{ ...PLAIN, id, content, special }] : []
  })
  const parts = sentencePieceJson({ ...model, pieces }, raw.legacy === true)
  // T5 marks where a text ends, the others where one begins.
  const { add_bos_token: hasBegin = model.kind === 'bpe', add_eos_token: hasEnd = model.kind === 'unigram' } = raw
  return assemble(settings, parts, own, {
    begin: hasBegin === true ? (nameOf(raw.bos_token) ?? pieces[model.begin]?.name) : undefined,
    end: hasEnd === true ? (nameOf(raw.eos_token) ?? pieces[model.end]?.name) : undefined,
  })
}

/** Counted down, as T5 has them. */
function gapTokens({ pieces }: SentencePiece, count: Json | undefined): string[] {
  const isThere = pieces.some(({ name }) => name === '<extra_id_0>')
  const length = isThere ? 0 : typeof count === 'number' && count >= 0 && count <= MOST_GAPS ? count : GAPS
  return Array.from({ length }, (_, i) => `<extra_id_${length - 1 - i}>`)
}

/** GPT-2's byte-level BPE; OPT's differs in the token it puts before a text. */
async function fromMerges(folder: string, settings: Settings): Promise<JsonObject> {
  const { raw, file } = settings
  const name = raw.tokenizer_class
  if (typeof name === 'string' && !/^(GPT2|CodeGen)Tokenizer(Fast)?$/.test(name)) {
    const expected = 'tokenizer.json, or a tokenizer_class among GPT2Tokenizer, CodeGenTokenizer'
    throw new WhicheditError('E_TOKENIZER', { file, expected, found: JSON.stringify(name) })
  }
  const vocab = await readJsonObject(join(folder, 'vocab.json'))
  const merges = (await readLines(join(folder, 'merges.txt'))).filter((line) => line !== '')
  const cut = {
    type: 'ByteLevel',
    add_prefix_space: raw.add_prefix_space === true,
    trim_offsets: true,
    use_regex: true,
  }
  const parts = {
    normalizer: null,
    pre_tokenizer: cut,
    decoder: cut,
    model: bpeModel({ vocab, merges }),
  }
  const names = [...new Set([END_OF_GPT2, ...specialNames(raw)])]
  const own = names.flatMap((content): Added[] => {
    const id = Object.hasOwn(vocab, content) ? vocab[content] : undefined
    return isId(id) ? [{ ...PLAIN, id, content, special: true }] : []
  })
  return assemble(settings, parts, own, {
    begin: raw.add_bos_token === true ? (nameOf(raw.bos_token) ?? END_OF_GPT2) : undefined,
    end: raw.add_eos_token === true ? (nameOf(raw.eos_token) ?? END_OF_GPT2) : undefined,
  })
}

const END_OF_GPT2 = '<|endoftext|>'

/** BERT's WordPiece: a token a line. */
async function fromWords(file: string, settings: Settings): Promise<JsonObject> {
  const { raw } = settings
  const words = await readLines(file)
  const role = (name: string, otherwise: string): string => nameOf(raw[`${name}_token`]) ?? otherwise
  const [unknown, begin, end] = [role('unk', '[UNK]'), role('cls', '[CLS]'), role('sep', '[SEP]')]
  const special = new Set([unknown, begin, end, role('pad', '[PAD]'), role('mask', '[MASK]'), ...specialNames(raw)])
  const parts = {
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: raw.tokenize_chinese_chars !== false,
      // Left open, accents go where capitals go.
      strip_accents: typeof raw.strip_accents === 'boolean' ? raw.strip_accents : null,
      lowercase: raw.do_lower_case !== false,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: unknown,
      continuing_subword_prefix: '##',
      max_input_chars_per_word: LONGEST_WORD,
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
    },
  }
  const own = words.flatMap((content, id) => (special.has(content) ? [{ ...PLAIN, id, content, special: true }] : []))
  return assemble(settings, parts, own, { begin, end })
}

/** Names of tokens at a text's ends. */
interface Ends {
  readonly begin: string | undefined
  readonly end: string | undefined
}

/** Puts the parts together. @throws E_TOKENIZER where a token that is to stand at a text's end is not there. */
function assemble({ file, added }: Settings, parts: JsonObject, own: readonly Added[], ends: Ends): JsonObject {
  const tokens = [...new Map([...own, ...added].map((token) => [token.id, token])).values()]
  const find = (name: string | undefined): Added[] => {
    if (name === undefined) return []
    const found = tokens.find(({ content }) => content === name)
    if (found !== undefined) return [found]
    const expected = 'a token of the vocabulary for the end of a text'
    throw new WhicheditError('E_TOKENIZER', { file, expected, found: JSON.stringify(name) })
  }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: tokens.toSorted((a, b) => a.id - b.id).map((token) => ({ ...token })),
    ...parts,
    model: withTokens(parts.model, tokens),
    post_processor: template(find(ends.begin), find(ends.end)),
  }
}

/** A model whose vocabulary holds all tokens, so that each keeps its id; a list (Unigram) ends where further tokens begin. */
function withTokens(model: Json | undefined, tokens: readonly Added[]): Json {
  if (!isObject(model) || !isObject(model.vocab)) return model ?? null
  const entries = tokens.map(({ content, id }) => [content, id])
  return { ...model, vocab: { ...model.vocab, ...Object.fromEntries(entries) } }
}

function template(before: readonly Added[], after: readonly Added[]): Json {
  if (before.length + after.length === 0) return null
  const text = (letter: string): Json => ({ Sequence: { id: letter, type_id: 0 } })
  const special = ({ content }: Added): Json => ({ SpecialToken: { id: content, type_id: 0 } })
  const single = [...before.map(special), text('A'), ...after.map(special)]
  const named = [...before, ...after].map(({ id, content }) => [content, { id: content, ids: [id], tokens: [content] }])
  return {
    type: 'TemplateProcessing',
    single,
    pair: [...single, text('B'), ...after.map(special)],
    special_tokens: Object.fromEntries(named),
  }
}
