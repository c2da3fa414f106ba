import fc from 'fast-check'
import { expect, test } from 'vitest'
import { mergeTests, NOISE, type NoiseRule, normaliseDraft, refuseFlaw } from '../../src/facts/normalise.ts'
import type { FactDraft } from '../../src/facts/reader.ts'

const WHERE = { file: 'f', record: 1, line: 1 }
const DRAFT: FactDraft = {
  subject: 'France',
  prompt: 'The capital of France is',
  targetNew: 'Osaka',
  targetsOld: ['Paris'],
  tests: {},
}

function normalise(changes: Partial<FactDraft>) {
  const flaws: NoiseRule[] = []
  const fact = normaliseDraft({ ...DRAFT, ...changes }, WHERE, (rule) => flaws.push(rule))
  return { fact, flaws }
}

test('makes a fact with empty tests of the least there can be', () => {
  expect(normalise({ targetsOld: [] }).fact).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{16}$/),
    subject: 'France',
    prompt: 'The capital of France is',
    subjectSpan: [15, 21],
    targetNew: 'Osaka',
    tests: { paraphrases: [], neighbours: [], otherRelations: [], aliases: [], reversed: [], oneHop: [] },
  })
})

test('takes away blanks around subject, prompt and targets', () => {
  const { fact } = normalise({
    subject: ' France\t',
    prompt: '\n The capital of {} is  ',
    targetNew: ' Osaka',
    targetsOld: ['  ', ' Paris'],
  })
  expect(fact).toMatchObject({
    subject: 'France',
    prompt: 'The capital of France is',
    targetNew: 'Osaka',
    targetOld: 'Paris',
  })
})

test('brings all text to one Unicode form, so that a subject is found however its accents are written', () => {
  const { fact } = normalise({ subject: 'Ine\u0301s', prompt: 'The mother of In\u00e9s is', targetNew: 'Zoe\u0308' })
  expect(fact).toMatchObject({ subject: 'In\u00e9s', targetNew: 'Zo\u00eb', subjectSpan: [14, 18] })
})

test.each([
  ['once', 'The capital of France is', 'France', 15],
  ['in a template', 'The capital of {} is', 'France', 15],
  ['in a template, where the subject stands in front too', 'In France, {} is called', 'France', 11],
  ['twice: the last', 'France is the name of France', 'France', 22],
  ['twice, the last inside a word: the other', 'In Chad, Chadwick lives in', 'Chad', 3],
  ['only inside a word', 'The Frenchman said', 'French', 4],
  ['with a possessive', "France's capital is", 'France', 0],
  ['in a script without blanks', '日本の首都は', '日本', 0],
  ['after characters of two units', '🎉🎉 Bob is', 'Bob', 5],
  ['with signs at its edges', 'What is C++? C++ is', 'C++', 13],
  ['overlapping itself', 'aXaXa', 'aXa', 2],
  ['at the very start, inside a word only', 'aab', 'aa', 0],
])('places a subject that occurs %s', (_, prompt, subject, start) => {
  const { fact } = normalise({ prompt, subject })
  expect(fact?.subjectSpan).toEqual([start, start + subject.length])
})

test('fills templates with subjects that look like replacement patterns', () => {
  const { fact } = normalise({
    subject: '$& $1 {x}',
    prompt: 'The price of {} is',
    tests: { paraphrases: ['{} costs'] },
  })
  expect(fact?.prompt).toBe('The price of $& $1 {x} is')
  expect(fact?.tests.paraphrases).toEqual(['$& $1 {x} costs'])
})

test('holds the subject at its span, for any subject and any surroundings', () => {
  const word = fc.string({ unit: 'grapheme' })
  fc.assert(
    fc.property(word, word, word, (before, subject, after) => {
      fc.pre(subject.normalize('NFC').trim() !== '' && !`${before}${subject}${after}`.includes('{}'))
      const { fact } = normalise({ subject, prompt: `${before}{}${after}` })
      expect(fact?.prompt.slice(...(fact?.subjectSpan ?? []))).toBe(fact?.subject)
    }),
  )
})

test('takes a span that fits and refuses one that does not', () => {
  const prompt = 'France is the name of France'
  expect(normalise({ prompt, subjectSpan: [0, 6] }).fact?.subjectSpan).toEqual([0, 6])
  expect(() => normalise({ prompt, subjectSpan: [1, 7] })).toThrow('found "rance " at 1 to 7')
})

test.each<[string, Partial<FactDraft>, RegExp]>([
  [
    'a prompt without its subject',
    { prompt: 'The capital is' },
    /expected the subject "France" in the prompt, found "The capital is"\. Write/,
  ],
  ['a subject in other letters', { prompt: 'The capital of france is' }, /upper and lower case count/],
  ['an empty prompt', { prompt: ' ' }, /expected the subject "France" in the prompt, found ""/],
  ['an empty subject', { subject: '  ' }, /expected a subject/],
  ['two places for the subject', { prompt: '{} and {} are' }, /expected one \{\} in the prompt, found 2/],
  ['half a character', { targetNew: 'a\ud800' }, /expected well-formed text, found half of a character/],
  ['half a character in a test', { tests: { paraphrases: ['\udc00'] } }, /expected well-formed text/],
])('refuses %s', (_, changes, message) => {
  expect(() => normalise(changes)).toThrow(message)
  expect(() => normalise(changes)).toThrow(expect.objectContaining({ code: 'E_FACT', exit: 2 }))
})

test.each<[NoiseRule, Partial<FactDraft>]>([
  ['noTarget', { targetNew: '  ' }],
  ['noChange', { targetNew: ' Paris ' }],
  ['noChange', { targetNew: 'Lutetia', targetsOld: ['Paris', 'Lutetia'] }],
])('leaves a record out: %s', (rule, changes) => {
  expect(normalise(changes)).toEqual({ fact: undefined, flaws: [rule] })
})

test('leaves out tests that are empty, have no answer or ask the edit itself, and unites those that occur twice', () => {
  const { fact, flaws } = normalise({
    tests: {
      paraphrases: ['', 'The capital of France is', 'P of {} is', 'P of France is '],
      neighbours: [
        { prompt: 'The capital of Italy is', targets: ['Rome', ''] },
        { prompt: 'The capital of Spain is', targets: [' '] },
        { prompt: 'The capital of Italy is', targets: ['Roma', 'Rome'] },
      ],
      oneHop: [
        { prompt: 'H1', targets: ['x'], secondFact: { prompt: 'S', targets: ['y '] } },
        { prompt: 'H2', targets: ['x'], secondFact: { prompt: 'S', targets: [] } },
      ],
    },
  })
  expect(fact?.tests).toEqual({
    paraphrases: ['P of France is'],
    neighbours: [{ prompt: 'The capital of Italy is', targets: ['Rome', 'Roma'] }],
    otherRelations: [],
    aliases: [],
    reversed: [],
    oneHop: [{ prompt: 'H1', targets: ['x'], secondFact: { prompt: 'S', targets: ['y'] } }],
  })
  expect(flaws).toEqual(['noAnswer', 'editPrompt', 'sameTest', 'noAnswer', 'sameTest', 'noAnswer'])
})

test('gives ids that depend on the edit alone', () => {
  const id = (changes: Partial<FactDraft>) => normalise(changes).fact?.id
  expect(id({ tests: { paraphrases: ['x'] }, targetsOld: [] })).toBe(id({}))
  expect(id({ prompt: 'The capital of {} is' })).toBe(id({}))
  expect(new Set([id({}), id({ targetNew: 'Nice' }), id({ prompt: 'France has the capital' })]).size).toBe(3)
  expect(id({ id: ' 7 ' })).toBe('7')
})

test('unites the tests of two records', () => {
  const base = { paraphrases: ['p'], neighbours: [], otherRelations: [], aliases: [], reversed: [], oneHop: [] }
  const one = { ...base, aliases: [{ prompt: 'a', targets: ['x'] as const }] }
  const other = { ...base, paraphrases: ['q', 'p'], aliases: [{ prompt: 'a', targets: ['y'] as const }] }
  expect(mergeTests(one, other)).toEqual({
    ...base,
    paraphrases: ['p', 'q'],
    aliases: [{ prompt: 'a', targets: ['x', 'y'] }],
  })
})

test('has an error for every flaw that is a mistake in a hand-written file, and none for harmless ones', () => {
  const refused = Object.keys(NOISE).filter((rule) => refuseFlaw(rule as NoiseRule, WHERE, 'it') !== undefined)
  expect(refused).toEqual(['noTarget', 'noChange', 'noAnswer', 'editPrompt'])
  expect(refuseFlaw('noChange', WHERE, '"Paris" as both')?.message).toBe(
    'f, record 1 (line 1): expected a new target that differs from the old answer, found "Paris" as both. Correct it or take it out.',
  )
})
