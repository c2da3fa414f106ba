/**
 * ggml's "K" formats: blocks of 256 numbers in groups of 16 or 32, each group with a small integer scale (and minimum) of its
 * own, under a half-precision scale (and minimum) of the whole block. Layouts as in ggml-common.h, order of numbers as in
 * ggml-quants.c. A block's scale (11 significant bits) times a group's (at most 7) times a number (at most 6) is exact in
 * float32; rounding happens once, where a minimum is subtracted and the result is stored.
 */
import { halfAt } from './half.ts'

/** Numbers of a block. */
export const K_BLOCK = 256
/** Groups of Q2_K, Q3_K and Q6_K. */
const GROUP = 16
/** Groups of Q4_K and Q5_K. */
const WIDE_GROUP = 32
/** Numbers whose 2-bit, 3-bit or 6-bit integers share bytes. */
const SLAB = 128
/** What stands for 0 among unsigned 3-bit integers, 6-bit integers and 6-bit scales. */
const ZERO_3 = 4
const ZERO_6 = 32

/** Bytes of a block of each format. */
export const K_BYTES = {
  Q2_K: 16 + 64 + 4, // scales, numbers, block scale and minimum
  Q3_K: 32 + 64 + 12 + 2, // third bits, numbers, scales, block scale
  Q4_K: 4 + 12 + 128, // block scale and minimum, scales, numbers
  Q5_K: 4 + 12 + 32 + 128, // block scale and minimum, scales, fifth bits, numbers
  Q6_K: 128 + 64 + 16 + 2, // low bits, high bits, scales, block scale
} as const

/** Decodes Q2_K: a group's byte holds its scale (low nibble) and minimum (high nibble). */
export function decodeQ2_K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, block = 0; block < out.length; at += K_BYTES.Q2_K, block += K_BLOCK) {
    const scale = halfAt(bytes, at + 80)
    const minimum = halfAt(bytes, at + 82)
    for (let group = 0; group < K_BLOCK / GROUP; group++) {
      const both = bytes[at + group] ?? 0
      const groupScale = scale * (both & 15)
      const groupMinimum = minimum * (both >> 4)
      const from = at + 16 + sharedByte(group)
      const shift = sharedShift(group)
      const to = block + group * GROUP
      for (let j = 0; j < GROUP; j++) {
        out[to + j] = groupScale * (((bytes[from + j] ?? 0) >> shift) & 3) - groupMinimum
      }
    }
  }
}

/** Decodes Q3_K: two bits as in Q2_K, the third in a byte of its own that eight numbers share; a third bit of 0 means minus 4. */
export function decodeQ3_K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, block = 0; block < out.length; at += K_BYTES.Q3_K, block += K_BLOCK) {
    const scale = halfAt(bytes, at + 108)
    for (let group = 0; group < K_BLOCK / GROUP; group++) {
      const groupScale = scale * (scaleOfQ3_K(bytes, at + 96, group) - ZERO_6)
      const from = at + 32 + sharedByte(group)
      const shift = sharedShift(group)
      const thirds = at + (group % 2) * GROUP
      const third = group >> 1
      const to = block + group * GROUP
      for (let j = 0; j < GROUP; j++) {
        const low = ((bytes[from + j] ?? 0) >> shift) & 3
        const high = (((bytes[thirds + j] ?? 0) >> third) & 1) << 2
        out[to + j] = groupScale * ((low | high) - ZERO_3)
      }
    }
  }
}

/** Where the 2-bit integers of a group begin: each byte of a slab's 32 serves four groups that lie 32 numbers apart. */
function sharedByte(group: number): number {
  return (group >> 3) * WIDE_GROUP + (group % 2) * GROUP
}

/** The place of a group's two bits in those bytes. */
function sharedShift(group: number): number {
  return ((group >> 1) & 3) * 2
}

/** A 6-bit scale: low nibbles of 16 groups in eight bytes, then their high two bits in four. */
function scaleOfQ3_K(bytes: Uint8Array, at: number, group: number): number {
  const low = (bytes[at + (group & 7)] ?? 0) >> ((group >> 3) * 4)
  const high = (bytes[at + 8 + (group & 3)] ?? 0) >> ((group >> 2) * 2)
  return (low & 15) | ((high & 3) << 4)
}

/** Decodes Q4_K: 32 bytes hold two groups, one in the low nibbles, the next in the high ones. */
export function decodeQ4_K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, block = 0; block < out.length; at += K_BYTES.Q4_K, block += K_BLOCK) {
    const scale = halfAt(bytes, at)
    const minimum = halfAt(bytes, at + 2)
    for (let group = 0; group < K_BLOCK / WIDE_GROUP; group++) {
      const groupScale = scale * scaleOfQ4_K(bytes, at + 4, group)
      const groupMinimum = minimum * minimumOfQ4_K(bytes, at + 4, group)
      const from = at + 16 + (group >> 1) * WIDE_GROUP
      const shift = (group & 1) * 4
      const to = block + group * WIDE_GROUP
      for (let j = 0; j < WIDE_GROUP; j++) {
        out[to + j] = groupScale * (((bytes[from + j] ?? 0) >> shift) & 15) - groupMinimum
      }
    }
  }
}

/** Decodes Q5_K: four bits as in Q4_K, the fifth in a byte that the eight groups share. */
export function decodeQ5_K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, block = 0; block < out.length; at += K_BYTES.Q5_K, block += K_BLOCK) {
    const scale = halfAt(bytes, at)
    const minimum = halfAt(bytes, at + 2)
    for (let group = 0; group < K_BLOCK / WIDE_GROUP; group++) {
      const groupScale = scale * scaleOfQ4_K(bytes, at + 4, group)
      const groupMinimum = minimum * minimumOfQ4_K(bytes, at + 4, group)
      const fifths = at + 16
      const from = at + 48 + (group >> 1) * WIDE_GROUP
      const shift = (group & 1) * 4
      const to = block + group * WIDE_GROUP
      for (let j = 0; j < WIDE_GROUP; j++) {
        const low = ((bytes[from + j] ?? 0) >> shift) & 15
        const high = (((bytes[fifths + j] ?? 0) >> group) & 1) << 4
        out[to + j] = groupScale * (low | high) - groupMinimum
      }
    }
  }
}

/**
 * A 6-bit scale of Q4_K or Q5_K. Twelve bytes hold eight scales and eight minimums: the first four of each lie in the low six
 * bits of bytes 0–3 and 4–7, the last four in a nibble of bytes 8–11 and the two bits left over above.
 */
function scaleOfQ4_K(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return (bytes[at + group] ?? 0) & 63
  return ((bytes[at + 4 + group] ?? 0) & 15) | (((bytes[at + group - 4] ?? 0) >> 6) << 4)
}

function minimumOfQ4_K(bytes: Uint8Array, at: number, group: number): number {
  if (group < 4) return (bytes[at + 4 + group] ?? 0) & 63
  return ((bytes[at + 4 + group] ?? 0) >> 4) | (((bytes[at + group] ?? 0) >> 6) << 4)
}

/** Decodes Q6_K: of a slab's 128 numbers, 64 bytes hold the low four bits and 32 bytes the high two. */
export function decodeQ6_K(bytes: Uint8Array, out: Float32Array): void {
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = 0, block = 0; block < out.length; at += K_BYTES.Q6_K, block += K_BLOCK) {
    const scale = halfAt(bytes, at + 208)
    for (let group = 0; group < K_BLOCK / GROUP; group++) {
      const groupScale = scale * (signed[at + 192 + group] ?? 0)
      const slab = Math.floor(group / (SLAB / GROUP))
      const quarter = (group >> 1) & 3 // of the slab: 32 numbers
      const lows = at + slab * 64 + (quarter & 1) * WIDE_GROUP + (group & 1) * GROUP
      const lowShift = (quarter >> 1) * 4
      const highs = at + 128 + slab * 32 + (group & 1) * GROUP
      const highShift = quarter * 2
      const to = block + group * GROUP
      for (let j = 0; j < GROUP; j++) {
        const low = ((bytes[lows + j] ?? 0) >> lowShift) & 15
        const high = (((bytes[highs + j] ?? 0) >> highShift) & 3) << 4
        out[to + j] = groupScale * ((low | high) - ZERO_6)
      }
    }
  }
}
