/** Half-precision numbers (IEEE 754 binary16): the value of every bit pattern, in a table, because weights are read by the hundred million. */

const PATTERNS = 2 ** 16
const SMALLEST = 2 ** -24
/** A float32 has 13 more bits of fraction, and an exponent that counts from 112 lower. */
const MORE_FRACTION = 13
const FRACTION = 23
const EXPONENT_SHIFT = 112

/** The value of each of the 65,536 patterns; float32 holds them all exactly. */
export const HALVES: Float32Array = makeHalves()

function makeHalves(): Float32Array {
  const halves = new Float32Array(PATTERNS)
  const bits = new Uint32Array(halves.buffer)
  for (let pattern = 0; pattern < PATTERNS; pattern++) {
    const sign = pattern & 0x8000
    const exponent = (pattern >> 10) & 0x1f
    const fraction = pattern & 0x3ff
    if (exponent === 0) halves[pattern] = (sign ? -1 : 1) * fraction * SMALLEST
    else {
      const wide = exponent === 0x1f ? 0xff : exponent + EXPONENT_SHIFT
      bits[pattern] = (sign << 16) | (wide << FRACTION) | (fraction << MORE_FRACTION)
    }
  }
  return halves
}

/** The half-precision number at a byte offset, little-endian. */
export function halfAt(bytes: Uint8Array, at: number): number {
  return HALVES[(bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)] ?? 0
}
