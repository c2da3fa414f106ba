/** Typed reading of what a GGUF file says of its model: what is missing, of another type or impossible is refused by its key. */
import { damaged, type GgufFile, type GgufValue } from './gguf.ts'
import { shownJson } from './json.ts'

/** The metadata of one architecture: keys are given without its name (`block_count`, not `llama.block_count`). */
export interface GgufReader {
  readonly gguf: GgufFile
  /** Numbers that the converter worked out and stored as tensors (`rope_freqs`), by their names without `.weight`. */
  readonly factors: ReadonlyMap<string, readonly number[]>
  has(key: string): boolean
  /** The value itself; undefined where there is none. */
  value(key: string): GgufValue | undefined
  /** A finite number. @throws E_GGUF */
  number(key: string, fallback?: number): number
  /** A number of things: whole and positive. @throws E_GGUF */
  size(key: string, fallback?: number): number
  /** A word. @throws E_GGUF for a value of another type. */
  text(key: string, fallback: string): string
  /** Whether the file holds a tensor. */
  hasTensor(name: string): boolean
  /** Rows of a tensor. @throws E_GGUF where there is none. */
  rows(tensor: string): number
  /** A token's id, null where the file names none: `bos` is `tokenizer.ggml.bos_token_id`. @throws E_GGUF */
  token(role: string): number | null
  /** Refuses any value but one that changes nothing. */
  only(key: string, neutral: number | boolean): void
}

/** Wraps a file's metadata. */
export function readMetadata(
  gguf: GgufFile,
  architecture: string,
  factors: ReadonlyMap<string, readonly number[]> = new Map(),
): GgufReader {
  const { file, metadata, tensors } = gguf
  const full = (key: string): string => `${architecture}.${key}`
  const numberAt = (key: string, fallback?: number): number => {
    const value = metadata.get(key) ?? fallback
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw damaged(file, `a number for ${key}`, shownJson(value))
    }
    return value
  }
  return {
    gguf,
    factors,
    has: (key) => metadata.has(full(key)),
    value: (key) => metadata.get(full(key)),
    number: (key, fallback) => numberAt(full(key), fallback),
    size(key, fallback) {
      const value = numberAt(full(key), fallback)
      if (!Number.isSafeInteger(value) || value < 1) throw damaged(file, `a whole, positive ${full(key)}`, `${value}`)
      return value
    },
    text(key, fallback) {
      const value = metadata.get(full(key)) ?? fallback
      if (typeof value !== 'string') throw damaged(file, `a word for ${full(key)}`, shownJson(value))
      return value
    },
    hasTensor: (name) => tensors.has(name),
    rows(name) {
      const rows = tensors.get(name)?.shape[0]
      if (rows === undefined) throw damaged(file, `the tensor ${name}`, 'none')
      return rows
    },
    token(role) {
      const key = `tokenizer.ggml.${role}_token_id`
      return metadata.has(key) ? numberAt(key) : null
    },
    only(key, neutral) {
      const value = metadata.get(full(key)) ?? neutral
      if (value !== neutral) throw damaged(file, `${full(key)} ${neutral} or none`, shownJson(value))
    },
  }
}
