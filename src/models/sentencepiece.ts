/**
 * A SentencePiece model (`tokenizer.model`, `spiece.model`) as parts of `tokenizer.json`, as transformers converts it: BPE as for
 * Llama, or as for Gemma where nothing is put before a text, and Unigram as for T5. Read through a protobuf library; the schema is
 * the part of sentencepiece_model.proto (github.com/google/sentencepiece) that decides how text is cut.
 */

import protobuf from 'protobufjs'
import { WhicheditError } from '../errors.ts'
import { bpeModel } from './bpe.ts'
import { TOKEN_TYPE } from './gguf-vocabulary.ts'
import type { Json, JsonObject } from './json.ts'

/** A vocabulary with its way of cutting text. Ids are places in `pieces`. */
export interface SentencePiece {
  readonly kind: 'bpe' | 'unigram'
  readonly pieces: readonly Piece[]
  readonly byteFallback: boolean
  /** Whether a space is put before a text. */
  readonly addsPrefix: boolean
  /** Rules of normalization, compiled; empty where there are none. */
  readonly rules: Uint8Array
  /** Ids; −1 where there is no such token. */
  readonly unknown: number
  readonly begin: number
  readonly end: number
}

/** A token. */
export interface Piece {
  readonly name: string
  readonly score: number
  /** One of {@link TOKEN_TYPE}. */
  readonly type: number
}

// By this edition of the format a field that is there is told from one that is not, whatever its value.
const edition = 'proto2'
const MODEL_PROTO = protobuf.Root.fromJSON({
  nested: {
    Piece: {
      edition,
      fields: { piece: { id: 1, type: 'string' }, score: { id: 2, type: 'float' }, type: { id: 3, type: 'int32' } },
    },
    Trainer: {
      edition,
      fields: {
        modelType: { id: 3, type: 'int32' },
        byteFallback: { id: 35, type: 'bool' },
        unkId: { id: 40, type: 'int32' },
        bosId: { id: 41, type: 'int32' },
        eosId: { id: 42, type: 'int32' },
      },
    },
    Normalizer: {
      edition,
      fields: { precompiledCharsmap: { id: 2, type: 'bytes' }, addDummyPrefix: { id: 3, type: 'bool' } },
    },
    Model: {
      edition,
      fields: {
        pieces: { rule: 'repeated', id: 1, type: 'Piece' },
        trainerSpec: { id: 2, type: 'Trainer' },
        normalizerSpec: { id: 3, type: 'Normalizer' },
      },
    },
  },
}).lookupType('Model')

/** What the library makes of a file: what is not in it is absent. */
interface ModelProto {
  readonly pieces?: readonly { readonly piece?: string; readonly score?: number; readonly type?: number }[]
  readonly trainerSpec?: {
    readonly modelType?: number
    readonly byteFallback?: boolean
    readonly unkId?: number
    readonly bosId?: number
    readonly eosId?: number
  }
  readonly normalizerSpec?: { readonly precompiledCharsmap?: Uint8Array; readonly addDummyPrefix?: boolean }
}

/** SentencePiece itself makes none of more than 16 unless it is told to; every cut of a piece is looked at. */
const LONGEST_PIECE = 256

const KINDS: ReadonlyMap<number, SentencePiece['kind']> = new Map([
  [1, 'unigram'],
  [2, 'bpe'],
])

/**
 * Reads the bytes of a model; `file` is for messages.
 * @throws E_TOKENIZER where they are no such model or one of another kind.
 */
export function parseSentencePiece(bytes: Uint8Array, file: string): SentencePiece {
  const { pieces = [], trainerSpec = {}, normalizerSpec = {} } = decodeModel(bytes, file)
  // The format's own defaults.
  const { modelType = 1, byteFallback = false, unkId = 0, bosId = 1, eosId = 2 } = trainerSpec
  const { precompiledCharsmap = new Uint8Array(0), addDummyPrefix = true } = normalizerSpec
  const kind = KINDS.get(modelType)
  if (kind === undefined) throw refuse(file, 'a model of the kind BPE or Unigram', `kind ${modelType}`)
  const names = new Set(pieces.map(({ piece }) => piece))
  if (names.size !== pieces.length || names.has(undefined)) {
    throw refuse(file, `${pieces.length} different tokens`, `${names.size}`)
  }
  const longest = pieces.reduce((most, { piece = '' }) => Math.max(most, piece.length), 0)
  if (longest > LONGEST_PIECE) throw refuse(file, `tokens of at most ${LONGEST_PIECE} characters`, `${longest}`)
  if (pieces[unkId] === undefined) throw refuse(file, 'a token for what is unknown', `id ${unkId} of ${pieces.length}`)
  return {
    kind,
    byteFallback,
    addsPrefix: addDummyPrefix,
    rules: precompiledCharsmap,
    unknown: unkId,
    begin: bosId,
    end: eosId,
    pieces: pieces.map(({ piece = '', score = 0, type = TOKEN_TYPE.normal }) => ({ name: piece, score, type })),
  }
}

function decodeModel(bytes: Uint8Array, file: string): ModelProto {
  try {
    return MODEL_PROTO.toObject(MODEL_PROTO.decode(bytes)) as ModelProto
  } catch (cause) {
    throw refuse(file, 'a SentencePiece model', cause instanceof Error ? cause.message : String(cause), cause)
  }
}

const SPACE = '▁'

/** The parts of `tokenizer.json` that cut text and put it together again. `legacy`: the setting of Llama's tokenizers. */
export function sentencePieceJson(model: SentencePiece, legacy: boolean): JsonObject {
  return model.kind === 'unigram' ? unigramJson(model) : model.addsPrefix ? llamaJson(model, legacy) : gemmaJson(model)
}

function unigramJson(model: SentencePiece): JsonObject {
  const marks: Json = { type: 'Metaspace', replacement: SPACE, prepend_scheme: 'always', split: true }
  return {
    normalizer: rulesOf(model),
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, marks] },
    decoder: marks,
    model: {
      type: 'Unigram',
      unk_id: model.unknown,
      vocab: model.pieces.map(({ name, score }) => [name, score]),
      byte_fallback: model.byteFallback,
    },
  }
}

function llamaJson(model: SentencePiece, legacy: boolean): JsonObject {
  const scheme = legacy ? 'always' : 'first'
  return {
    normalizer: rulesOf(model),
    pre_tokenizer: { type: 'Metaspace', replacement: SPACE, prepend_scheme: scheme, split: false },
    decoder: decoderOf({ type: 'Strip', content: ' ', start: 1, stop: 0 }),
    model: bpeJson(model),
  }
}

function gemmaJson(model: SentencePiece): JsonObject {
  const marks: Json = { type: 'Replace', pattern: { String: ' ' }, content: SPACE }
  const rules = rulesOf(model)
  return {
    normalizer: rules === null ? marks : { type: 'Sequence', normalizers: [rules, marks] },
    pre_tokenizer: null,
    decoder: decoderOf(),
    model: bpeJson(model),
  }
}

function rulesOf({ rules }: SentencePiece): Json {
  if (rules.length === 0) return null
  return { type: 'Precompiled', precompiled_charsmap: Buffer.from(rules).toString('base64') }
}

function decoderOf(...last: Json[]): Json {
  const spaces: Json = { type: 'Replace', pattern: { String: SPACE }, content: ' ' }
  return { type: 'Sequence', decoders: [spaces, { type: 'ByteFallback' }, { type: 'Fuse' }, ...last] }
}

function bpeJson(model: SentencePiece): JsonObject {
  return bpeModel({
    vocab: Object.fromEntries(model.pieces.map(({ name }, id) => [name, id])),
    merges: mergesOf(model.pieces),
    unknown: { token: model.pieces[model.unknown]?.name ?? null },
    byteFallback: model.byteFallback,
  })
}

/**
 * SentencePiece keeps no merges: it joins the two neighbours whose union has the highest score. So these are all pairs of
 * pieces that make a piece, those of the highest score first. Control tokens and bytes are never made so.
 */
export function mergesOf(pieces: readonly Piece[]): Json {
  const made = pieces.filter(({ type }) => type === TOKEN_TYPE.normal || type === TOKEN_TYPE.userDefined)
  const names = new Set(made.map(({ name }) => name))
  const merges: (readonly [string, string])[] = []
  for (const { name } of made.toSorted((a, b) => b.score - a.score)) {
    for (let cut = name.length - 1; cut > 0; cut--) {
      const left = name.slice(0, cut)
      if (!names.has(left)) continue
      const right = name.slice(cut)
      if (names.has(right)) merges.push([left, right])
    }
  }
  return merges
}

function refuse(file: string, expected: string, found: string, cause?: unknown): WhicheditError {
  return new WhicheditError('E_TOKENIZER', { file, expected, found }, { cause })
}
