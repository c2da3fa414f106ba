import { expect, test } from 'vitest'
import { begin, fill, rephrase, say } from '../../src/facts/wording.ts'

const NAMES = { s: 'the Gambia', n: 'Gambia' }

test('fills places, leaves unknown ones, and takes no sign of a name for a pattern', () => {
  expect(fill('{s} and {n}, {o}', NAMES)).toBe('the Gambia and Gambia, {o}')
  expect(fill('{s} {s}', { s: '$& {n}', n: 'x' })).toBe('$& {n} $& {n}')
  expect(fill('{toString} {s}', NAMES)).toBe('{toString} the Gambia')
})

test('begins with a capital letter, of any script', () => {
  expect(say('{s} has', NAMES)).toBe('The Gambia has')
  expect(say('{s} is', { s: 'éire', n: '' })).toBe('Éire is')
  expect(say('{s} is', { s: '.fr', n: '' })).toBe('.fr is')
  expect(say('', NAMES)).toBe('')
})

test.each([
  ['The capital of {s} is {o}.', 'The capital of the Gambia is'],
  ['{s} is in {o}', 'The Gambia is in'],
  ['The currency of {s} is the {o}.', 'The currency of the Gambia is the'],
])('cuts the object off: %s', (statement, prompt) => {
  expect(begin(statement, NAMES)).toBe(prompt)
})

test('takes two statements and two questions in turn, never the first statement', () => {
  const relation = {
    statements: Array.from({ length: 7 }, (_, at) => `{s} ${at} {o}.`),
    questions: Array.from({ length: 6 }, (_, at) => `{n} ${at}?`),
  }
  expect(rephrase(relation, NAMES, 0)).toEqual([
    'The Gambia 1',
    'The Gambia 5',
    'Question: Gambia 0? Answer:',
    'Question: Gambia 4? Answer:',
  ])
  expect(rephrase({ ...relation, answer: 'the' }, NAMES, 3)).toEqual([
    'The Gambia 4',
    'The Gambia 2',
    'Question: Gambia 3? Answer: the',
    'Question: Gambia 1? Answer: the',
  ])
  expect(rephrase({ statements: ['{s} {o}.'], questions: [] }, NAMES, 2)).toEqual([])
})
