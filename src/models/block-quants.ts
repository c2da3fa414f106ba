/**
 * ggml's formats of blocks of 32 numbers: small integers q with a half-precision scale and, for the `_1` kinds, a minimum:
 * x = scale · q (+ minimum). Layouts as in ggml-common.h.
 * A scale has 11 significant bits and q at most 8, so each product is exact; rounding happens once, where the sum is stored
 * as float32, just as in ggml's own float32 arithmetic.
 */
import { halfAt } from './half.ts'

/** Numbers of a block. */
export const BLOCK = 32
const HALF_BLOCK = BLOCK / 2
/** What stands for 0 among the unsigned 4-bit and 5-bit integers. */
const ZERO_4 = 8
const ZERO_5 = 16
/** The fifth bit of an integer, where the block's 32 fifth bits are kept together. */
const FIFTH = 16

/** Decodes 18-byte blocks: scale, 16 bytes of nibbles. Low nibbles are the block's first half, high ones its second. */
export function decodeQ4_0(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, i = 0; i < out.length; at += 2 + HALF_BLOCK, i += BLOCK) {
    const scale = halfAt(bytes, at)
    for (let j = 0; j < HALF_BLOCK; j++) {
      const pair = bytes[at + 2 + j] ?? 0
      out[i + j] = scale * ((pair & 15) - ZERO_4)
      out[i + HALF_BLOCK + j] = scale * ((pair >> 4) - ZERO_4)
    }
  }
}

/** Decodes 20-byte blocks: scale, minimum, 16 bytes of nibbles. */
export function decodeQ4_1(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, i = 0; i < out.length; at += 4 + HALF_BLOCK, i += BLOCK) {
    const scale = halfAt(bytes, at)
    const minimum = halfAt(bytes, at + 2)
    for (let j = 0; j < HALF_BLOCK; j++) {
      const pair = bytes[at + 4 + j] ?? 0
      out[i + j] = scale * (pair & 15) + minimum
      out[i + HALF_BLOCK + j] = scale * (pair >> 4) + minimum
    }
  }
}

/** Decodes 22-byte blocks: scale, four bytes of fifth bits (bit j is number j's), 16 bytes of nibbles. */
export function decodeQ5_0(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, i = 0; i < out.length; at += 6 + HALF_BLOCK, i += BLOCK) {
    const scale = halfAt(bytes, at)
    const fifths = wordAt(bytes, at + 2)
    for (let j = 0; j < HALF_BLOCK; j++) {
      const pair = bytes[at + 6 + j] ?? 0
      out[i + j] = scale * (((pair & 15) | (((fifths >>> j) << 4) & FIFTH)) - ZERO_5)
      out[i + HALF_BLOCK + j] = scale * (((pair >> 4) | ((fifths >>> (j + 12)) & FIFTH)) - ZERO_5)
    }
  }
}

/** Decodes 24-byte blocks: scale, minimum, four bytes of fifth bits, 16 bytes of nibbles. */
export function decodeQ5_1(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, i = 0; i < out.length; at += 8 + HALF_BLOCK, i += BLOCK) {
    const scale = halfAt(bytes, at)
    const minimum = halfAt(bytes, at + 2)
    const fifths = wordAt(bytes, at + 4)
    for (let j = 0; j < HALF_BLOCK; j++) {
      const pair = bytes[at + 8 + j] ?? 0
      out[i + j] = scale * ((pair & 15) | (((fifths >>> j) << 4) & FIFTH)) + minimum
      out[i + HALF_BLOCK + j] = scale * ((pair >> 4) | ((fifths >>> (j + 12)) & FIFTH)) + minimum
    }
  }
}

/** Decodes 34-byte blocks: scale, 32 signed bytes. */
export function decodeQ8_0(bytes: Uint8Array, out: Float32Array): void {
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = 0, i = 0; i < out.length; at += 2 + BLOCK, i += BLOCK) {
    const scale = halfAt(bytes, at)
    for (let j = 0; j < BLOCK; j++) out[i + j] = scale * (signed[at + 2 + j] ?? 0)
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)
}
