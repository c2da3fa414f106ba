import { expect, test } from 'vitest'
import { plainLetters } from '../../src/models/plain-letters.ts'

test('letters are compared without marks, capitals and runs of spaces, in any script', () => {
  expect(plainLetters('  What is —  the Capital of “Côte d’Ivoire”?\n')).toBe('what is the capital of côte divoire')
  expect(plainLetters('Столица  Франции — это')).toBe('столица франции это')
})
