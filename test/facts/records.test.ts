import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseRecords } from '../../src/facts/records.ts'

const values = (text: string) => parseRecords(text, 'f').map(({ value }) => value)
const places = (text: string) => parseRecords(text, 'f').map(({ where }) => [where.record, where.line])

test.each([
  ['a list', '[{"a":1},{"a":2}]', [{ a: 1 }, { a: 2 }]],
  ['a list over many lines', '\n[\n {"a":\n 1} ,\n\n {"a":2}\n]\n', [{ a: 1 }, { a: 2 }]],
  ['one object a line', '{"a":1}\n{"a":2}\n', [{ a: 1 }, { a: 2 }]],
  ['one object a line, Windows line ends, blank lines', '{"a":1}\r\n\r\n{"a":2}', [{ a: 1 }, { a: 2 }]],
  ['objects over many lines, one after another', '{\n"a":1\n}\n{"a":\n2}', [{ a: 1 }, { a: 2 }]],
  ['one object', '{"a":{"b":[1,{"c":2}]}}', [{ a: { b: [1, { c: 2 }] } }]],
  ['brackets and quotes inside texts', '[{"a":"]},{\\"[\\\\"},{"b":"\\\\"}]', [{ a: ']},{"[\\' }, { b: '\\' }]],
  ['values that are no objects', '[1,"x",null,[2]]', [1, 'x', null, [2]]],
  ['an empty list', ' [ ] ', []],
  ['nothing', ' \n', []],
])('takes %s', (_, text, expected) => {
  expect(values(text)).toEqual(expected)
})

test('gives each record its number and the line on which it begins', () => {
  expect(places('\n[\n{"a":1}, {"b":\n2},\n\n{}]')).toEqual([
    [1, 3],
    [2, 3],
    [3, 6],
  ])
  expect(places('{}\n\n{}\n')).toEqual([
    [1, 1],
    [2, 3],
  ])
})

test.each([
  [
    'a list that is not closed',
    '[{"a":1}',
    /record 2 \(line 1\): expected a comma or the \] .* found the end of the file/,
  ],
  ['a list with nothing in it that is not closed', '[', /record 1 .* found nothing/],
  ['a comma before the end of a list', '[{"a":1},\n]', /record 2 \(line 2\): expected whole JSON, found nothing/],
  ['a comma too many', '[{"a":1},,{"a":2}]', /record 2 \(line 1\): expected whole JSON, found nothing/],
  ['a missing comma', '[{"a":1}\n{"a":2}]', /record 2 \(line 2\): expected a comma or the \] .* found "\{"/],
  [
    'text after the list',
    '[{"a":1}]\nx',
    /record 2 \(line 2\): expected the end of the file after the list, found "x"/,
  ],
  ['a record cut off', '{"a":1}\n{"a":"tru', /record 2 \(line 2\): expected whole JSON/],
  ['a quote that is missing', '[\n{"a":1},\n{"a": "x},\n{"a":2}]', /record 2 \(line 3\): expected whole JSON/],
  ['a bracket that is missing', '{"a":1}\n{"a":{"b":1}\n{"a":2}\n', /record 2 \(line 2\): expected whole JSON/],
  ['objects with commas between but no list', '{"a":1},{"a":2}', /record 2 \(line 1\): expected whole JSON/],
  ['single quotes', "{'a':1}", /record 1 \(line 1\): expected whole JSON/],
  ['a closing bracket alone', ']', /record 1 \(line 1\): expected whole JSON, found nothing/],
  ['a blank that JSON does not know', '{}\u00a0', /record 2 \(line 1\): expected whole JSON/],
  ['plain text', 'Paris is in France.\n', /record 1 \(line 1\): expected whole JSON/],
])('refuses %s', (_, text, message) => {
  expect(() => parseRecords(text, 'f')).toThrow(message)
  expect(() => parseRecords(text, 'f')).toThrow(expect.objectContaining({ code: 'E_FACT', exit: 2 }))
})

test('takes a million nested brackets without falling over', () => {
  const deep = '['.repeat(1_000_000) + ']'.repeat(1_000_000)
  expect(parseRecords(`{"a":${deep}}`, 'f')).toHaveLength(1)
  expect(() => parseRecords('['.repeat(1_000_000), 'f')).toThrow(/whole JSON/)
})

test('agrees with JSON.parse on any list of objects, however it is laid out', () => {
  const record = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue())
  fc.assert(
    fc.property(fc.array(record, { maxLength: 5 }), fc.integer({ min: 0, max: 3 }), (records, indent) => {
      const text = JSON.stringify(records, null, indent)
      expect(values(text)).toEqual(JSON.parse(text))
      const lines = records.map((each) => JSON.stringify(each)).join('\n')
      expect(values(lines)).toEqual(JSON.parse(text))
    }),
  )
})

test('never accepts a list that JSON.parse refuses', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'[]{},:"\\1a \n\u00a0'.split('')) }), (tail) => {
      const text = `[${tail}`
      let isJson = true
      try {
        JSON.parse(text)
      } catch {
        isJson = false
      }
      if (isJson) expect(values(text)).toEqual(JSON.parse(text))
      else expect(() => parseRecords(text, 'f')).toThrow(expect.objectContaining({ code: 'E_FACT' }))
    }),
    { numRuns: 2000 },
  )
})
