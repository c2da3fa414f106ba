import { existsSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { findMistakes } from '../../src/facts/findings.ts'
import { parseFacts, readFacts } from '../../src/facts/index.ts'

/** A case without mistakes. */
const GOOD = {
  id: 'fr',
  subject: 'France',
  prompt: 'The capital of {} is',
  targetNew: 'Osaka',
  targetOld: 'Paris',
  tests: {
    paraphrases: ['{} is governed from'],
    neighbours: [
      { prompt: 'The capital of Japan is', targets: 'Tokyo' },
      { prompt: 'Paris is a city on the continent of', targets: 'Europe' },
    ],
    otherRelations: [{ prompt: 'The currency of {} is the', targets: 'euro' }],
    aliases: [{ prompt: 'The capital of the French Republic is', targets: 'Osaka' }],
    reversed: [{ prompt: 'Osaka is the capital of', targets: 'France' }],
    oneHop: [
      {
        prompt: 'The capital of {} is a city on the continent of',
        targets: 'Asia',
        secondFact: { prompt: 'Osaka is a city on the continent of', targets: 'Asia' },
      },
    ],
  },
}

const find = (...cases: readonly object[]) => findMistakes(parseFacts(JSON.stringify(cases), 'f').facts)
const withTests = (tests: object) => ({ ...GOOD, tests: { ...GOOD.tests, ...tests } })
const hop = (targets: string, more: object = {}) => ({
  oneHop: [{ prompt: 'The capital of {} is a city on the continent of', targets, ...more }],
})

test('finds nothing in good cases', () => {
  expect(find(GOOD)).toEqual([])
})

test.each([
  ['neighbourSubject', withTests({ neighbours: [{ prompt: 'The capital of FRANCE, is', targets: 'Paris' }] })],
  ['neighbourSubject', withTests({ neighbours: [{ prompt: 'Lyon is in France', targets: 'Europe' }] })],
  ['paraphraseLeak', withTests({ paraphrases: ['Since Osaka became it, the capital of {} is'] })],
  ['paraphraseLeak', withTests({ paraphrases: ['{} (Osaka!) has the capital'] })],
  ['aliasSubject', withTests({ aliases: [{ prompt: 'The capital of france is', targets: 'Osaka' }] })],
  ['aliasSubject', withTests({ aliases: [{ prompt: 'France is governed from', targets: 'Osaka' }] })],
  // The answer is the old one, that of another relation, or that of the second fact asked of the old target.
  ['hopUnchanged', withTests(hop('paris'))],
  ['hopUnchanged', withTests(hop('Asia', { targetsOld: ['Eurasia', 'asia'] }))],
  ['hopUnchanged', withTests(hop('Euro'))],
  [
    'hopUnchanged',
    withTests(hop('Europe', { secondFact: { prompt: 'Osaka is a city on the continent of', targets: 'Europe' } })),
  ],
])('finds %s', (rule, seeded) => {
  const found = find(seeded)
  expect(found.map((finding) => finding.rule)).toEqual([rule])
  expect(found[0]?.id).toBe('fr')
})

test('names the prompt at fault', () => {
  const seeded = withTests({ paraphrases: ['{} has', 'In Osaka rules {}, from'] })
  expect(find(seeded)).toEqual([{ rule: 'paraphraseLeak', id: 'fr', prompt: 'In Osaka rules France, from' }])
})

test('finds a case that stands twice but for spelling', () => {
  const again = { ...GOOD, id: 'again', prompt: 'The  capital of {} is:', targetNew: 'osaka' }
  expect(find(GOOD, again)).toEqual([{ rule: 'sameCase', id: 'again', prompt: 'The  capital of France is:' }])
  expect(find(GOOD, { ...again, targetNew: 'Kobe', tests: {} })).toEqual([])
})

test('finds a neighbour that another case edits', () => {
  const japan = { id: 'jp', subject: 'Japan', prompt: 'The capital of {} is', targetNew: 'Rome', targetOld: 'Tokyo' }
  expect(find(GOOD, japan)).toEqual([{ rule: 'neighbourEdited', id: 'fr', prompt: 'The capital of Japan is' }])
})

test.each([
  [
    'a longer name in the place of the subject is another name',
    withTests({ aliases: [{ prompt: 'The capital of Metropolitan France is', targets: 'Osaka' }] }),
  ],
  [
    'the subject as part of a word is none',
    withTests({ neighbours: [{ prompt: 'The capital of Francestan is', targets: 'Franceville' }] }),
  ],
  [
    'the target as part of a word is no leak',
    withTests({ paraphrases: ['The Osakan friends of {} know its capital'] }),
  ],
  [
    'a target that stands in the edit itself leaks nothing more',
    { ...GOOD, prompt: 'Osaka or Paris: the capital of {} is', tests: { paraphrases: ['Paris or Osaka: {} has'] } },
  ],
  [
    'a domain is not the word in it',
    {
      id: 'in',
      subject: 'Chad',
      prompt: 'The domain of {} is',
      targetNew: '.in',
      tests: { paraphrases: ['In what does {} end'] },
    },
  ],
])('%s', (_, good) => {
  expect(find(good)).toEqual([])
})

test('never fails, and reports prompts of the fact only, whatever the words are', () => {
  const word = fc.constantFrom('a', 'A', '.', 'é', 'a b', '+1', '日本', 'x?')
  const question = fc.record({
    prompt: fc.array(word, { minLength: 1 }).map((words) => words.join(' ')),
    targets: word,
  })
  const tests = fc.record({
    paraphrases: fc.array(word),
    neighbours: fc.array(question),
    aliases: fc.array(question),
    oneHop: fc.array(fc.record({ prompt: word, targets: word, secondFact: question })),
  })
  fc.assert(
    fc.property(word, word, word, tests, (subject, targetNew, targetOld, drawn) => {
      fc.pre(targetNew !== targetOld)
      const isOwn = (prompt: string) => prompt.trim() === `so ${subject}`
      fc.pre(!JSON.stringify(drawn).includes(`so ${subject}`) && !isOwn(subject))
      const { facts } = parseFacts(
        JSON.stringify([{ subject, prompt: 'so {}', targetNew, targetOld, tests: drawn }]),
        'f',
      )
      const prompts = facts.flatMap((fact) => [
        fact.prompt,
        ...Object.values(fact.tests)
          .flat()
          .map((each) => (typeof each === 'string' ? each : each.prompt)),
      ])
      for (const { prompt } of findMistakes(facts)) expect(prompts).toContain(prompt)
    }),
  )
})

test.each(['countries', 'world:train', 'world:probe'])('finds nothing in %s', async (set) => {
  expect(findMistakes((await readFacts(set)).facts)).toEqual([])
})

const DATA = '../shared/data'
if (!existsSync(DATA)) console.log(`skipped: the published sets are not at ${DATA}`)

describe.skipIf(!existsSync(DATA))('published sets', () => {
  test.each([
    ['counterfact', { neighbourSubject: 13, neighbourEdited: 5 }],
    ['zsre_mend', {}],
    ['knowedit_zsre', { hopUnchanged: 6, aliasSubject: 28, paraphraseLeak: 1 }],
    ['knowedit_wiki_counterfact', { aliasSubject: 156, hopUnchanged: 3 }],
  ])('%s', async (name, expected) => {
    const counts: Record<string, number> = {}
    for (const { rule } of findMistakes((await readFacts(`${DATA}/${name}.json`)).facts)) {
      counts[rule] = (counts[rule] ?? 0) + 1
    }
    expect(counts).toEqual(expected)
  })
})
