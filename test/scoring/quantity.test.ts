import { describe, expect, test } from 'vitest'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/scoring/quantity.ts'

describe('durations', () => {
  test.each([
    ['250 ms', 0.25],
    ['10 s', 10],
    ['1.5 min', 90],
    ['2h', 7200],
    [' 1 d ', 86_400],
  ])('reads %s', (text, seconds) => {
    expect(parseDuration(text)).toBeCloseTo(seconds, 12)
  })

  test.each(['', '10', 'h', '-1 s', '0 s', '1 hour', '1e3 s', '2 GiB', '1 s 5 ms', `${'9'.repeat(400)} s`, 5, null])(
    'refuses %j',
    (text) => {
      expect(parseDuration(text)).toBeUndefined()
    },
  )

  test.each([
    [0.00025, '0.3 ms'],
    [0.012, '12 ms'],
    [3.44, '3.4 s'],
    [59.4, '59 s'],
    [720, '12 min'],
    [9000, '2.5 h'],
    [3 * 86_400, '3 d'],
    [0, '0 ms'],
  ])('writes %d s as %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text)
  })
})

describe('sizes', () => {
  test.each([
    ['16 GiB', 16 * 2 ** 30],
    ['500 MB', 5e8],
    ['1 B', 1],
    ['0.5 TiB', 2 ** 39],
  ])('reads %s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
  })

  test.each(['16', '16 gib', '16 Gb', '2 h', '-3 GiB'])('refuses %j', (text) => {
    expect(parseSize(text)).toBeUndefined()
  })

  test.each([
    [512, '512 B'],
    [1536, '1.5 KiB'],
    [3.2 * 2 ** 30, '3.2 GiB'],
    [64 * 2 ** 40, '64 TiB'],
  ])('writes %d bytes as %s', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text)
  })
})
