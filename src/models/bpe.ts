/** The part of `tokenizer.json` that says how pieces are merged. */
import type { Json, JsonObject } from './json.ts'

/** What tells one vocabulary of byte-pair encoding from another. */
export interface Bpe {
  readonly vocab: JsonObject
  readonly merges: Json
  /** The token for what no piece spells, where runs of it become one; absent: there is none. */
  readonly unknown?: { readonly token: string | null }
  /** Characters that no piece spells become their bytes' tokens. */
  readonly byteFallback?: boolean
  /** A piece that is a token as a whole is taken as such, whatever the merges say. */
  readonly ignoreMerges?: boolean
}

/** Byte-pair encoding as the tokenizers library describes it. */
export function bpeModel({ vocab, merges, unknown, byteFallback = false, ignoreMerges = false }: Bpe): JsonObject {
  return {
    type: 'BPE',
    dropout: null,
    unk_token: unknown?.token ?? null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: unknown !== undefined,
    byte_fallback: byteFallback,
    ignore_merges: ignoreMerges,
    vocab,
    merges,
  }
}
