import fc from 'fast-check'
import { expect, test } from 'vitest'
import { chooseCases, chooseMaterial, countSubjects, leaveOutSubjects } from '../../src/facts/cases.ts'
import type { Fact, FactTests } from '../../src/facts/fact.ts'
import { readFacts } from '../../src/facts/index.ts'
import { createRandom } from '../../src/tensor/random.ts'

const NO_TESTS: FactTests = {
  paraphrases: [],
  neighbours: [],
  otherRelations: [],
  aliases: [],
  reversed: [],
  oneHop: [],
}

function makeFact(id: string, subject: string, tests: Partial<FactTests> = {}): Fact {
  const prompt = `The mother of ${subject} is`
  return {
    id,
    subject,
    prompt,
    subjectSpan: [14, 14 + subject.length],
    targetNew: 'Eve',
    tests: { ...NO_TESTS, ...tests },
  }
}

const FACTS = Array.from({ length: 30 }, (_, i) => makeFact(`f${i}`, `Name${Math.floor(i / 3)}.`))
const idsOf = (facts: readonly Fact[]) => facts.map(({ id }) => id)

test('draws the same cases for the same seed, others for another', () => {
  expect(idsOf(chooseCases(FACTS, 8, createRandom(1)))).toEqual(idsOf(chooseCases(FACTS, 8, createRandom(1))))
  expect(idsOf(chooseCases(FACTS, 8, createRandom(1)))).not.toEqual(idsOf(chooseCases(FACTS, 8, createRandom(2))))
})

test('leaves out all facts about a subject, however it is written', () => {
  expect(countSubjects(FACTS)).toBe(10)
  const left = leaveOutSubjects(FACTS, ['NAME3.', 'Nobody'])
  expect(left).toHaveLength(27)
  expect(countSubjects(left)).toBe(9)
  expect(leaveOutSubjects(FACTS, [])).toEqual(FACTS)
})

test('does not depend on what was drawn before', () => {
  const random = createRandom(1)
  random.uniform()
  expect(idsOf(chooseCases(FACTS, 8, random))).toEqual(idsOf(chooseCases(FACTS, 8, createRandom(1))))
})

test('more cases begin with fewer', () => {
  const all = idsOf(chooseCases(FACTS, 30, createRandom(5)))
  expect(all.toSorted()).toEqual(idsOf(FACTS).toSorted())
  for (const count of [1, 10, 11, 29])
    expect(idsOf(chooseCases(FACTS, count, createRandom(5)))).toEqual(all.slice(0, count))
})

test('takes facts of different subjects as long as there are any', () => {
  const subjects = chooseCases(FACTS, 10, createRandom(3)).map(({ subject }) => subject)
  expect(new Set(subjects).size).toBe(10)
})

test('relations take turns: one with many facts does not crowd out the others', () => {
  const many = FACTS.map((fact) => ({ ...fact, relation: 'mother' }))
  const few = [0, 1].map((i) => ({ ...makeFact(`g${i}`, `Town${i}.`), relation: 'mayor' }))
  const fathers = [0, 1, 2].map((i) => ({ ...makeFact(`h${i}`, `Boy${i}.`), relation: 'father' }))
  const drawn = chooseCases([...many, ...few, ...fathers], 7, createRandom(4)).map(({ relation }) => relation)
  expect(drawn.slice(0, 3).toSorted()).toEqual(['father', 'mayor', 'mother'])
  expect(drawn.slice(3, 6).toSorted()).toEqual(['father', 'mayor', 'mother'])
  expect(drawn.slice(6)).toEqual(['father'])
})

test('takes all facts where there are fewer than asked for', () => {
  expect(chooseCases(FACTS, 31, createRandom(0))).toHaveLength(30)
})

test('keeps everything about a case away from the material', () => {
  const question = (prompt: string) => ({ prompt, targets: ['x'] as const })
  const cases = [makeFact('c', 'Rome')]
  const kept = makeFact('m', 'Oslo', {
    paraphrases: ['Oslo has', 'Unlike Rome, Oslo has'],
    neighbours: [question('The mother of ROME is'), question('The mother of Bern is')],
    oneHop: [question('The road from Oslo to Rome is')],
  })
  const material = chooseMaterial([...cases, makeFact('d', 'rome'), makeFact('e', 'New Rome'), kept], cases)
  expect(material).toEqual([
    { ...kept, tests: { ...NO_TESTS, paraphrases: ['Oslo has'], neighbours: [question('The mother of Bern is')] } },
  ])
})

test.each([
  ['tin', 'Asia is a continent', true],
  ['tin', 'Cans of tin', false],
  ['Man', 'Manchester is big', true],
  ['Man', 'The isle of MAN', false],
  ['Iran', 'The Iranian rial', false],
  ['Mali', 'Somalia is dry', true],
  ['Mali', 'Somalia, not Mali', false],
  ['+1', 'Dial +1-242', false],
  // Scripts without blanks between words.
  ['日本', '私は日本語を話す', false],
])('a case about %s leaves "%s" in the material: %s', (subject, text, isKept) => {
  const kept = makeFact('m', 'Oslo', { paraphrases: [text] })
  const [fact] = chooseMaterial([kept], [makeFact('c', subject)])
  expect(fact?.tests.paraphrases).toEqual(isKept ? [text] : [])
})

test('no text of the material speaks of a case, whatever is drawn from the countries', async () => {
  const { facts } = await readFacts('countries')
  fc.assert(
    fc.property(fc.integer({ min: 1, max: facts.length }), fc.integer(), (count, seed) => {
      const cases = chooseCases(facts, count, createRandom(seed))
      const texts = chooseMaterial(facts, cases).flatMap(({ prompt, tests }) => [
        prompt,
        ...Object.values(tests)
          .flat()
          .map((each) => (typeof each === 'string' ? each : each.prompt)),
      ])
      for (const { subject } of cases) expect(texts.filter((text) => text.includes(subject))).toEqual([])
    }),
    { numRuns: 30 },
  )
})
