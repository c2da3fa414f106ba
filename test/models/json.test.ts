import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseJsonObject, readJsonObject, shownJson } from '../../src/models/json.ts'
import { put, temporaryFolder } from '../support/model-files.ts'

const parse = (text: string) => parseJsonObject(Buffer.from(text), 'x.json')

describe('parseJsonObject', () => {
  test.each([
    ['{"a": 1, "a": 2}', 'a'],
    ['{"a": {"b": [1, {"c": 1, "c": 2}]}}', 'c'],
    ['{"a" : 1, "\\u0061"\n:2}', 'a'],
    ['{"x\\"y": 1, "x\\"y": 2}', 'x'],
    ['{"__proto__": 1, "__proto__": 2}', '__proto__'],
    ['{"": 1, "": 2}', '""'],
  ])('refuses a name that stands twice: %s', (text, name) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ code: 'E_JSON', message: expect.stringContaining(name) }),
    )
  })

  test.each([
    '{"a": {"x": 1}, "b": {"x": 1}}',
    '{"a": ["x", "x"], "x": "x"}',
    '{"a": "b\\\\", "b": ":"}',
    '{"a": "\\"a\\":", "b": 1}',
    '{"toString": 1, "constructor": {"prototype": 2}}',
  ])('accepts names that only look alike: %s', (text) => {
    expect(parse(text)).toEqual(JSON.parse(text))
  })

  test.each(['', '[]', 'null', '"text"', '7', '{"a": 1', '{"a": NaN}', '\ufeff{}x'])('refuses %j', (text) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'E_JSON' }))
  })

  test('refuses bytes that are no UTF-8', () => {
    expect(() => parseJsonObject(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'x.json')).toThrow(
      expect.objectContaining({ code: 'E_JSON' }),
    )
  })

  test.each([
    ['{"a": ', '}', 101],
    ['{"a": [', ']}', 5000],
  ])('refuses values nested too deeply: %s', (before, after, times) => {
    expect(() => parse(`${before.repeat(times)}1${after.repeat(times)}`)).toThrow(
      expect.objectContaining({ code: 'E_JSON', message: expect.stringContaining('levels deep') }),
    )
  })

  test('keeps __proto__ as a name like any other', () => {
    const value = parse('{"__proto__": {"polluted": true}}')
    expect(Object.keys(value)).toEqual(['__proto__'])
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  test('reads whatever JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()), (value) => {
        expect(parse(JSON.stringify(value))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
      { numRuns: 40 },
    )
  })
})

test.each([
  [undefined, 'nothing'],
  [{ a: [1, 'x'] }, '{"a":[1,"x"]}'],
  ['y'.repeat(1000), `"${'y'.repeat(79)}…`],
])('shows %s in a message', (value, shown) => {
  expect(shownJson(value)).toBe(shown)
})

describe('readJsonObject', () => {
  test('names the file in its errors', async () => {
    const file = put(temporaryFolder(), 'config.json', '{"a": ')
    await expect(readJsonObject(file)).rejects.toMatchObject({ code: 'E_JSON', message: expect.stringContaining(file) })
  })
})
