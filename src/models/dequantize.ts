/**
 * Turns the number formats of weight files into float32: one row a format. Quantised formats store blocks of numbers as small
 * integers with scales (block-quants.ts, k-quants.ts); results agree bit for bit with ggml's own.
 * This is the hot loop of the first opening of a model: plain loops over bytes, and half precision from a table.
 */
import { WhicheditError } from '../errors.ts'
import { BLOCK, decodeQ4_0, decodeQ4_1, decodeQ5_0, decodeQ5_1, decodeQ8_0 } from './block-quants.ts'
import { HALVES } from './half.ts'
import { decodeQ2_K, decodeQ3_K, decodeQ4_K, decodeQ5_K, decodeQ6_K, K_BLOCK, K_BYTES } from './k-quants.ts'

/** A number format: how many numbers share a block, the block's bytes, and how blocks are decoded. */
interface NumberFormat {
  readonly blockSize: number
  readonly blockBytes: number
  /** Decodes whole blocks; `out` has exactly their numbers. */
  decode(bytes: Uint8Array, out: Float32Array): void
}

const FORMATS: ReadonlyMap<string, NumberFormat> = new Map([
  ['F32', { blockSize: 1, blockBytes: 4, decode: decodeF32 }],
  ['F16', { blockSize: 1, blockBytes: 2, decode: decodeF16 }],
  ['BF16', { blockSize: 1, blockBytes: 2, decode: decodeBF16 }],
  ['Q4_0', { blockSize: BLOCK, blockBytes: 18, decode: decodeQ4_0 }],
  ['Q4_1', { blockSize: BLOCK, blockBytes: 20, decode: decodeQ4_1 }],
  ['Q5_0', { blockSize: BLOCK, blockBytes: 22, decode: decodeQ5_0 }],
  ['Q5_1', { blockSize: BLOCK, blockBytes: 24, decode: decodeQ5_1 }],
  ['Q8_0', { blockSize: BLOCK, blockBytes: 34, decode: decodeQ8_0 }],
  ['Q2_K', { blockSize: K_BLOCK, blockBytes: K_BYTES.Q2_K, decode: decodeQ2_K }],
  ['Q3_K', { blockSize: K_BLOCK, blockBytes: K_BYTES.Q3_K, decode: decodeQ3_K }],
  ['Q4_K', { blockSize: K_BLOCK, blockBytes: K_BYTES.Q4_K, decode: decodeQ4_K }],
  ['Q5_K', { blockSize: K_BLOCK, blockBytes: K_BYTES.Q5_K, decode: decodeQ5_K }],
  ['Q6_K', { blockSize: K_BLOCK, blockBytes: K_BYTES.Q6_K, decode: decodeQ6_K }],
])

/** The formats that can be decoded. */
export const NUMBER_FORMATS: readonly string[] = [...FORMATS.keys()]

/** The bytes that `count` numbers take in a format; undefined where they do not fill whole blocks or the format is unknown. */
export function bytesOfNumbers(format: string, count: number): number | undefined {
  const known = FORMATS.get(format)
  if (known === undefined || count % known.blockSize !== 0) return undefined
  return (count / known.blockSize) * known.blockBytes
}

/**
 * Decodes numbers.
 * @throws E_INTERNAL where the format is unknown or the bytes are no whole number of blocks: callers check both.
 */
export function dequantize(format: string, bytes: Uint8Array): Float32Array {
  const known = FORMATS.get(format)
  if (known === undefined || bytes.length % known.blockBytes !== 0) {
    throw new WhicheditError('E_INTERNAL', { what: `dequantize: ${bytes.length} bytes of ${format}` })
  }
  const out = new Float32Array((bytes.length / known.blockBytes) * known.blockSize)
  known.decode(bytes, out)
  return out
}

/** Files and this machine are both little-endian (the runtime knows no other), so the bytes are the numbers. */
function decodeF32(bytes: Uint8Array, out: Float32Array): void {
  new Uint8Array(out.buffer).set(bytes)
}

function decodeF16(bytes: Uint8Array, out: Float32Array): void {
  const patterns = inPairs(bytes)
  for (let i = 0; i < out.length; i++) out[i] = HALVES[patterns[i] ?? 0] ?? 0
}

/** A bfloat16 is the upper half of a float32. */
function decodeBF16(bytes: Uint8Array, out: Float32Array): void {
  const patterns = inPairs(bytes)
  const bits = new Uint32Array(out.buffer)
  for (let i = 0; i < out.length; i++) bits[i] = (patterns[i] ?? 0) << 16
}

/** The bytes as 16-bit patterns; copied where they do not lie on an even address. */
function inPairs(bytes: Uint8Array): Uint16Array {
  const even = bytes.byteOffset % 2 === 0 ? bytes : Uint8Array.from(bytes)
  return new Uint16Array(even.buffer, even.byteOffset, even.length / 2)
}
