/**
 * The rotary embedding of a model in a GGUF file, as Hugging Face's `rope_parameters`. Linear and YaRN stretching are named in the
 * metadata. Where llama.cpp's converter worked out a divisor for each frequency itself (Llama 3's rule, LongRoPE), only the
 * divisors are left, as a tensor. They are given as LongRoPE's factors: any rule can be written so, and none has to be guessed.
 */
import { damaged } from './gguf.ts'
import type { GgufReader } from './gguf-metadata.ts'
import { type JsonObject, shownJson } from './json.ts'

/** llama.cpp's default where a file does not say. */
const DEFAULT_BASE = 10_000
const NO_STRETCHING = 'none'
const LINEAR = 'linear'

/**
 * `rope_parameters`: `rope_type`, `rope_theta`, what the type needs, and `partial_rotary_factor` where only a part of a head turns.
 * @throws E_GGUF for a kind of stretching that is unknown or not described fully.
 */
export function ropeParameters(read: GgufReader, headWidth: number): JsonObject {
  const width = read.size('rope.dimension_count', headWidth)
  return {
    rope_theta: read.number('rope.freq_base', DEFAULT_BASE),
    ...(width === headWidth ? {} : { partial_rotary_factor: width / headWidth }),
    ...stretching(read),
  }
}

function stretching(read: GgufReader): JsonObject {
  const [freqs, long, short] = ['rope_freqs', 'rope_factors_long', 'rope_factors_short'].map((n) => read.factors.get(n))
  if (freqs !== undefined) return perFrequency(read, { long: freqs, short: freqs })
  if (long !== undefined && short !== undefined) return perFrequency(read, { long, short })
  read.only('rope.scale_linear', 1) // as files of 2023 had it
  const kind = read.text('rope.scaling.type', read.has('rope.scaling.factor') ? LINEAR : NO_STRETCHING)
  if (kind === NO_STRETCHING) return { rope_type: 'default' }
  if (kind === LINEAR) return { rope_type: LINEAR, factor: read.number('rope.scaling.factor') }
  if (kind === 'yarn') return yarn(read)
  const expected = 'rotary embeddings stretched in a way that the file describes fully'
  throw damaged(read.gguf.file, expected, shownJson(kind))
}

/** One divisor for each frequency: `short` up to the context length of training, `long` beyond. */
function perFrequency(
  read: GgufReader,
  { long, short }: { readonly long: readonly number[]; readonly short: readonly number[] },
): JsonObject {
  const longest = read.size('context_length')
  const original = read.size('rope.scaling.original_context_length', longest)
  return {
    rope_type: 'longrope',
    factor: longest / original,
    original_max_position_embeddings: original,
    ...optional(read, 'rope.scaling.attn_factor', 'attention_factor'),
    long_factor: long,
    short_factor: short,
  }
}

function yarn(read: GgufReader): JsonObject {
  read.only('rope.scaling.yarn_ext_factor', 1)
  return {
    rope_type: 'yarn',
    factor: read.number('rope.scaling.factor'),
    original_max_position_embeddings: read.size('rope.scaling.original_context_length'),
    ...optional(read, 'rope.scaling.yarn_attn_factor', 'attention_factor'),
    ...optional(read, 'rope.scaling.yarn_beta_fast', 'beta_fast'),
    ...optional(read, 'rope.scaling.yarn_beta_slow', 'beta_slow'),
  }
}

function optional(read: GgufReader, key: string, name: string): JsonObject {
  return read.has(key) ? { [name]: read.number(key) } : {}
}
