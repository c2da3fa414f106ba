import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { findWords, type KnownWords, type RelationKey, TEMPLATES } from '../../src/facts/build-words.ts'
import { WORDINGS } from '../../src/facts/wording.ts'
import { parseSettings } from '../../src/settings.ts'

const wordings = WORDINGS.parse(JSON.parse(readFileSync('facts/wordings.json', 'utf8')))
const known: KnownWords = {
  wordings,
  knowsAny: (relation, subjects) =>
    ['capital', 'language', 'currency'].includes(relation) && subjects.includes('France'),
}
const find = (key: RelationKey, subject: string, templates = {}) => findWords(key, [subject], { templates, known })

test.each([
  [{ name: 'capital' }, 'capital'],
  [{ name: 'officialLanguage' }, 'language'],
  [{ name: 'official_language' }, 'language'],
  [{ name: 'the official language' }, 'language'],
  [{ prompt: 'The currency of {} is the' }, 'currency'],
  [{ prompt: 'The capital city of {} is' }, 'capital'],
])('takes the words of the world for %j, where it knows a subject', (key, name) => {
  expect(find(key, 'France').name).toBe(name)
  expect(find(key, 'France').statements).toEqual(wordings.relations[name]?.statements)
  expect(find(key, 'Acme').statements).not.toEqual(wordings.relations[name]?.statements)
})

test('makes words of a noun, and has the noun from a prompt that names it', () => {
  const words = find({ name: 'headOfGovernment' }, 'Acme')
  expect(words.name).toBe('headOfGovernment')
  expect(words.statements[0]).toBe('The head of government of {s} is {o}.')
  expect(words.reversed).toBe('{o} is the head of government of')
  expect(find({ prompt: 'The head of government of {} is' }, 'Acme').statements).toEqual(words.statements)
  expect(new Set([...words.statements, ...words.questions]).size).toBe(12)
})

test('has nothing but the prompt where that tells no noun', () => {
  expect(find({ prompt: '{} stands in the city of' }, 'Acme')).toEqual({
    name: '{} stands in the city of',
    kind: { shown: '{n}', answer: '{n}', pair: '{a} and {b}' },
    statements: ['{s} stands in the city of {o}.'],
    questions: [],
  })
})

test("prefers the user's templates, and reads them from YAML", async () => {
  const yaml = `capital:
  statements: ["The heart of {} is", "{s} beats in {o}."]
  questions: ["Where does {} beat?"]
  reversed: "{o} is the heart of"
`
  const templates = await parseSettings(yaml, TEMPLATES, 'f')
  expect(find({ name: 'capital' }, 'France', templates)).toMatchObject({
    name: 'capital',
    statements: ['The heart of {s} is {o}.', '{s} beats in {o}.'],
    questions: ['Where does {s} beat?'],
    reversed: '{o} is the heart of',
  })
  expect(find({ name: 'constructor' }, 'Acme', templates).statements[0]).toBe('The constructor of {s} is {o}.')
})

test.each([
  ['capital: {statements: []}', 'at least 1'],
  ['capital: {statements: ["The capital is"]}', 'a text with {} or {s} for the subject'],
  ['capital: {statements: ["{} is"], reversed: "is it"}', 'a text with {o} for the object'],
  ['capital: {statement: ["{} is"]}', 'statement'],
])('refuses templates such as %s', async (yaml, message) => {
  await expect(parseSettings(yaml, TEMPLATES, 'f')).rejects.toThrow(message)
})
