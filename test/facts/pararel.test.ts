import { expect, test } from 'vitest'
import { parseFacts } from '../../src/facts/index.ts'

const patterns = (...all: string[]) => all.map((pattern) => ({ pattern, lemma: 'x', tense: 'present' }))
const facts = (...all: [string, string][]) => all.map(([sub_label, obj_label]) => ({ sub_label, obj_label, uuid: 'u' }))

const FILE = {
  P36: {
    patterns: patterns(
      "[X]'s capital is [Y] .",
      '[Y] is the capital of [X] .',
      'The capital of [X] is [Y].',
      '[X] has [Y] as its capital .',
    ),
    facts: facts(
      ['France', 'Paris'],
      ['Italy', 'Rome'],
      ['Bolivia', 'Sucre'],
      ['Bolivia', 'La Paz'],
      ['Japan', 'Tokyo'],
    ),
  },
  P30: {
    patterns: patterns('[X] lies in [Y] .'),
    facts: facts(['France', 'Europe'], ['Italy', 'Europe'], ['Japan', 'Asia']),
  },
  P999: { patterns: patterns('[Y] holds [X] .'), facts: facts(['France', 'x']) },
}
const read = (file: object) => parseFacts(JSON.stringify(file), 'f')

test('makes a case of each fact whose subject has one object, towards the object of the next', () => {
  const { format, records, facts: cases } = read(FILE)
  expect([format.name, records]).toEqual(['pararel', 1])
  expect(cases.map(({ id, prompt, targetOld, targetNew }) => [id, prompt, targetOld, targetNew])).toEqual([
    ['P36-1', "France's capital is", 'Paris', 'Rome'],
    ['P36-2', "Italy's capital is", 'Rome', 'Sucre'],
    ['P36-4', "Japan's capital is", 'Tokyo', 'Paris'],
    // Italy has the same continent: the next other one is that of Japan.
    ['P30-1', 'France lies in', 'Europe', 'Asia'],
    ['P30-2', 'Italy lies in', 'Europe', 'Asia'],
    ['P30-3', 'Japan lies in', 'Asia', 'Europe'],
  ])
})

test('takes wordings that end in the object, other subjects with all their answers, and other relations', () => {
  const [france] = read(FILE).facts
  expect(france?.tests).toEqual({
    paraphrases: ['The capital of France is'],
    neighbours: [
      { prompt: "Italy's capital is", targets: ['Rome'] },
      { prompt: "Bolivia's capital is", targets: ['Sucre', 'La Paz'] },
      { prompt: "Japan's capital is", targets: ['Tokyo'] },
    ],
    otherRelations: [{ prompt: 'France lies in', targets: ['Europe'] }],
    aliases: [],
    reversed: [],
    oneHop: [],
  })
})

test('refuses a relation whose facts are not', () => {
  expect(() => read({ P36: { ...FILE.P36, facts: [{ sub_label: 'a' }] } })).toThrow(
    'expected "P36.facts.0.obj_label" to be a text, found nothing',
  )
})

test('has no facts where no wording ends in the object', () => {
  expect(() => read({ P999: FILE.P999 })).toThrow(expect.objectContaining({ code: 'E_FACTS_EMPTY' }))
})
