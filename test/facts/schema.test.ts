import { expect, test } from 'vitest'
import { z } from 'zod'
import { answersField, idField, parseRecord, questionsField, textField, toQuestions } from '../../src/facts/schema.ts'

const WHERE = { file: 'f', record: 2, line: 5 }

test.each([
  ['a text', 'Rome', ['Rome']],
  ['a list', ['Rome', 'Roma'], ['Rome', 'Roma']],
  ['lists of aliases', [['Rome', 'Roma'], ['Milan']], ['Rome', 'Roma', 'Milan']],
  ['an empty list of lists', [[]], []],
])('flattens answers given as %s', (_, answers, expected) => {
  expect(answersField.parse(answers)).toEqual(expected)
})

test('takes ids as text or whole number', () => {
  expect(idField.parse('a7')).toBe('a7')
  expect(idField.parse(7)).toBe('7')
  expect(() => idField.parse(1.5)).toThrow('a text or a whole number')
})

test('renames the fields of questions', () => {
  const questions = questionsField.parse([{ prompt: 'p', ground_truth: ['a', ['b']] }])
  expect(toQuestions(questions)).toEqual([{ prompt: 'p', targets: ['a', 'b'] }])
  expect(toQuestions(undefined)).toEqual([])
})

test.each([
  ['a missing field', '{"a":{}}', 'expected "a.b" to be a text, found nothing'],
  ['a wrong type', '{"a":{"b":3}}', 'expected "a.b" to be a text, found 3'],
  ['a wrong type further up', '{"a":[3]}', 'expected "a" to be an object with b, found a list of 1'],
  [
    'a field that only the prototype has',
    '{"a":{"__proto__":{"b":"x"}}}',
    'expected "a.b" to be a text, found nothing',
  ],
])('refuses %s, naming record and field', (_, text, message) => {
  const schema = z.object({ a: z.object({ b: textField }, { error: 'an object with b' }) })
  expect(() => parseRecord(schema, JSON.parse(text), WHERE)).toThrow(`f, record 2 (line 5): ${message}`)
})

test('refuses a field that the format does not have', () => {
  const schema = z.strictObject({ a: textField })
  expect(() => parseRecord(schema, { a: 'x', target_new: 'y' }, WHERE)).toThrow('found the field "target_new"')
})
