import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { printable, printableLines } from '../src/printable.ts'

test.each([
  ['plain text, ümläuts, 日本語 and 🎉 stay', 'plain text, ümläuts, 日本語 and 🎉 stay'],
  ['\u001b[31mred\u001b[0m', '\\u001b[31mred\\u001b[0m'],
  ['bell\u0007, delete\u007f', 'bell\\u0007, delete\\u007f'],
  ['eight-bit CSI \u009b2J', 'eight-bit CSI \\u009b2J'],
  ['right-to-left override \u202egnp.exe', 'right-to-left override \\u202egnp.exe'],
  ['isolate \u2066x\u2069', 'isolate \\u2066x\\u2069'],
  ['nothing\u200bhere', 'nothing\\u200bhere'],
  ['line\nend\r\tand tab', 'line\\nend\\r\\tand tab'],
  ['lone \ud800 surrogate', 'lone \\ud800 surrogate'],
  ['tag \u{e0041}', 'tag \\u{e0041}'],
])('%j becomes %j', (text, expected) => {
  expect(printable(text)).toBe(expected)
})

test('lines stay lines, and nothing else of a terminal passes', () => {
  expect(printableLines('a\r\nb\u001b[1m\nc')).toBe('a\\r\nb\\u001b[1m\nc')
})

describe('whatever the text', () => {
  const anyText = fc.string({ unit: 'binary' })

  test('no control character is left', () => {
    fc.assert(fc.property(anyText, (text) => !/[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u.test(printable(text))))
  })

  test('once is enough', () => {
    fc.assert(fc.property(anyText, (text) => printable(printable(text)) === printable(text)))
  })
})
