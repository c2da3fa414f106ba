import { expect, test } from 'vitest'
import { suggest } from '../src/suggest.ts'

const KNOWN = ['rome', 'ike', 'grace', 'ft-l', 'ft-m', 'none']

test.each([
  { word: 'rmoe', nearest: ['rome'] },
  { word: 'ft-x', nearest: ['ft-l', 'ft-m'] },
  { word: 'grcae', nearest: ['grace'] },
  { word: 'quux', nearest: [] },
  { word: '', nearest: [] },
])('"$word" suggests $nearest', ({ word, nearest }) => {
  expect(suggest(word, KNOWN)).toEqual(nearest)
})
