import { expect, test } from 'vitest'
import { formatColumns, wrap } from '../../../src/commands/support/columns.ts'

const ROWS = [
  ['name', 'what it is'],
  ['é日本', 'wide letters take two places each in a terminal and the text goes on below'],
]

test('aligns columns by what letters take, and wraps the last', () => {
  expect(formatColumns(ROWS, 60)).toBe(
    [
      'name   what it is',
      'é日本  wide letters take two places each in a terminal and',
      '       the text goes on below',
    ].join('\n'),
  )
})

test('stacks rows on a narrow terminal', () => {
  expect(formatColumns([['a', '', 'b']], 40)).toBe('a\n  b')
})

test('keeps a word that is longer than the line', () => {
  expect(wrap('a bbbbbb c', 4)).toEqual(['a', 'bbbbbb', 'c'])
})
