import { expect, test } from 'vitest'
import { describe, refuse } from '../../src/facts/reader.ts'

test.each([
  [undefined, 'nothing'],
  [null, 'null'],
  [3, '3'],
  [true, 'true'],
  ['', '""'],
  ['a\u001b[2J', '"a\\u001b[2J"'],
  [[], 'an empty list'],
  [[1, 2], 'a list of 2'],
  [{}, 'an empty object'],
  [{ a: 1, b: 2 }, 'an object with a, b'],
])('describes %j as %s', (value, expected) => {
  expect(describe(value)).toBe(expected)
})

test('keeps descriptions short, of long texts and of many fields', () => {
  expect(describe('x'.repeat(1e6))).toHaveLength(83)
  expect(describe({ ['k'.repeat(1e6)]: 1 }).length).toBeLessThan(120)
  expect(describe(Object.fromEntries(Array.from({ length: 1e4 }, (_, i) => [i, i]))).length).toBeLessThan(120)
})

test('names file, record and line, what was expected, what was found and what to try', () => {
  const error = refuse({ file: 'f.json', record: 3, line: 7 }, 'a text', 'a list', 'Mend it.')
  expect(error.message).toBe('f.json, record 3 (line 7): expected a text, found a list. Mend it.')
  expect(error.exit).toBe(2)
})
