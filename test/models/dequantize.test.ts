import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { bytesOfNumbers, dequantize, NUMBER_FORMATS } from '../../src/models/dequantize.ts'
import { GOLDEN } from '../support/model-files.ts'

interface Row {
  readonly format: string
  readonly bytes: string
  readonly float32: string
}
const golden = JSON.parse(readFileSync(join(GOLDEN, 'dequantize.json'), 'utf8')) as { formats: readonly Row[] }

describe('dequantize', () => {
  test('has a golden row for every format', () => {
    expect(golden.formats.map(({ format }) => format).sort()).toEqual([...NUMBER_FORMATS].sort())
  })

  test.each(golden.formats)('decodes $format bit for bit as the gguf package does', ({ format, bytes, float32 }) => {
    const decoded = dequantize(format, Buffer.from(bytes, 'base64'))
    expect(Buffer.from(decoded.buffer).toString('base64')).toBe(float32)
  })

  test('keeps infinities and NaN of half precision', () => {
    const bytes = Buffer.from(Uint16Array.of(0x7c00, 0xfc00, 0x7e00).buffer)
    expect([...dequantize('F16', bytes)]).toEqual([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN])
  })

  test('decodes by hand: Q4_1 with scale 2 and minimum -1', () => {
    const block = Buffer.alloc(20)
    block.writeUInt16LE(0x4000, 0) // 2
    block.writeUInt16LE(0xbc00, 2) // -1
    block[4] = 0xf3 // number 0 is 3, number 16 is 15
    const numbers = dequantize('Q4_1', block)
    expect([numbers[0], numbers[16], numbers[1]]).toEqual([5, 29, -1])
  })

  test('decodes by hand: Q6_K with scale 2, a group of scale -3 and the number 33 in it', () => {
    const block = Buffer.alloc(210)
    block[0] = 0x01 // number 0 has the low bits 0001 …
    block[128] = 0x02 // … and the high bits 10: 33, which stands for 1
    block[192] = 0xfd // group 0 has the scale -3
    block.writeUInt16LE(0x4000, 208)
    const numbers = dequantize('Q6_K', block)
    expect([numbers[0], numbers[1], numbers[16]]).toEqual([-6, 192, -0])
  })

  test('decodes bytes that begin at an odd address', () => {
    const bytes = Buffer.from([0, 0x00, 0x3c, 0x00, 0xc0]).subarray(1)
    expect([...dequantize('F16', bytes)]).toEqual([1, -2])
    expect([...dequantize('F32', Buffer.from([0, 0, 0, 0x80, 0x3f]).subarray(1))]).toEqual([1])
  })

  test.each([
    ['Q4_0', 17],
    ['Q6_K', 209],
    ['Q8_1', 36],
    ['toString', 4],
  ])('is never asked for %s with %i bytes', (format, length) => {
    expect(() => dequantize(format, Buffer.alloc(length))).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }))
  })
})

test.each([
  ['Q4_0', 64, 36],
  ['Q4_1', 32, 20],
  ['Q8_0', 96, 102],
  ['BF16', 3, 6],
  ['Q4_1', 16, undefined],
  ['Q5_0', 64, 44],
  ['Q3_K', 512, 220],
  ['Q4_K', 256, 144],
  ['Q4_K', 128, undefined],
  ['Q8_1', 32, undefined],
])('%s: %i numbers take %s bytes', (format, count, bytes) => {
  expect(bytesOfNumbers(format, count)).toBe(bytes)
})
