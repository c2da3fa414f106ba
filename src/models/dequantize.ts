/**
 * Turns the number formats of weight files into float32. Quantised formats store blocks of 32 numbers as small integers
 * with a half-precision scale (and, for the `_1` kinds, a minimum): x = scale · q (+ minimum). Layouts as in ggml
 * (ggml-common.h); the arithmetic is done in float32, as there, so results agree bit for bit.
 */
import { WhicheditError } from '../errors.ts'

/** A number format: how many numbers share a block, the block's bytes, and how blocks are decoded. */
interface NumberFormat {
  readonly blockSize: number
  readonly blockBytes: number
  /** Decodes whole blocks; `out` has exactly their numbers. */
  decode(bytes: DataView, out: Float32Array): void
}

const QUANTS = 32
const HALF = QUANTS / 2
/** The zero of Q4_0's unsigned nibbles. */
const Q4_0_ZERO = 8

const FORMATS: ReadonlyMap<string, NumberFormat> = new Map([
  ['F32', { blockSize: 1, blockBytes: 4, decode: decodeF32 }],
  ['F16', { blockSize: 1, blockBytes: 2, decode: decodeF16 }],
  ['BF16', { blockSize: 1, blockBytes: 2, decode: decodeBF16 }],
  ['Q4_0', { blockSize: QUANTS, blockBytes: 2 + HALF, decode: decodeQ4_0 }],
  ['Q4_1', { blockSize: QUANTS, blockBytes: 4 + HALF, decode: decodeQ4_1 }],
  ['Q8_0', { blockSize: QUANTS, blockBytes: 2 + QUANTS, decode: decodeQ8_0 }],
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
  known.decode(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), out)
  return out
}

function decodeF32(bytes: DataView, out: Float32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = bytes.getFloat32(i * 4, true)
}

function decodeF16(bytes: DataView, out: Float32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = half(bytes.getUint16(i * 2, true))
}

/** A bfloat16 is the upper half of a float32. */
function decodeBF16(bytes: DataView, out: Float32Array): void {
  const bits = new Uint32Array(out.buffer)
  for (let i = 0; i < out.length; i++) bits[i] = bytes.getUint16(i * 2, true) << 16
}

/** Low nibbles are the block's first half, high nibbles its second. */
function decodeQ4_0(bytes: DataView, out: Float32Array): void {
  for (let at = 0, i = 0; i < out.length; at += 2 + HALF, i += QUANTS) {
    const scale = half(bytes.getUint16(at, true))
    for (let j = 0; j < HALF; j++) {
      const pair = bytes.getUint8(at + 2 + j)
      out[i + j] = scale * ((pair & 15) - Q4_0_ZERO)
      out[i + HALF + j] = scale * ((pair >> 4) - Q4_0_ZERO)
    }
  }
}

function decodeQ4_1(bytes: DataView, out: Float32Array): void {
  for (let at = 0, i = 0; i < out.length; at += 4 + HALF, i += QUANTS) {
    const scale = half(bytes.getUint16(at, true))
    const minimum = half(bytes.getUint16(at + 2, true))
    for (let j = 0; j < HALF; j++) {
      const pair = bytes.getUint8(at + 4 + j)
      // Rounded after the product and after the sum, as float32 arithmetic does.
      out[i + j] = Math.fround(scale * (pair & 15)) + minimum
      out[i + HALF + j] = Math.fround(scale * (pair >> 4)) + minimum
    }
  }
}

function decodeQ8_0(bytes: DataView, out: Float32Array): void {
  for (let at = 0, i = 0; i < out.length; at += 2 + QUANTS, i += QUANTS) {
    const scale = half(bytes.getUint16(at, true))
    for (let j = 0; j < QUANTS; j++) out[i + j] = scale * bytes.getInt8(at + 2 + j)
  }
}

const HALF_FRACTION_BITS = 10
const HALF_BIAS = 15

/** The value of an IEEE 754 half-precision number, from its bits. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> HALF_FRACTION_BITS) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** (1 - HALF_BIAS - HALF_FRACTION_BITS)
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (1 + fraction * 2 ** -HALF_FRACTION_BITS) * 2 ** (exponent - HALF_BIAS)
}
