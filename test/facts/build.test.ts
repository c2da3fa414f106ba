import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { buildCases } from '../../src/facts/build.ts'
import { parseRows } from '../../src/facts/build-rows.ts'
import type { Templates } from '../../src/facts/build-words.ts'
import { createCollector } from '../../src/facts/collect.ts'
import type { Fact } from '../../src/facts/fact.ts'
import { findMistakes } from '../../src/facts/findings.ts'
import { buildFacts } from '../../src/facts/index.ts'
import { whichedit } from '../../src/facts/whichedit.ts'
import { knowWorld } from '../../src/facts/world.ts'

const FOLDER = mkdtempSync(join(tmpdir(), 'facts-'))
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }))

const readJson = (name: string) => JSON.parse(readFileSync(`facts/${name}.json`, 'utf8'))
const knowledge = knowWorld(readJson('world'), readJson('wordings'))

function build(text: string, templates: Templates = {}): readonly Fact[] {
  const collector = createCollector(whichedit)
  for (const { draft, where } of buildCases({ triples: parseRows(text, 'f'), templates, knowledge })) {
    collector.addDraft(draft, where)
  }
  return collector.finish().facts
}

const OWN = `subject,relation,targetNew,targetOld,aliases
Acme,headquarters,Osaka,Berlin,Acme Corporation | Acme Ltd
Zenith,headquarters,Lyon,Oslo,
Borealis,headquarters,,Chicago,
Acme,chief executive,,Jane Miller,
Zenith,chief executive,Ken Sato,Paul Weber,
Ken Sato,home town,,Kobe,
Paul Weber,home town,,Bonn,
`

test('makes complete cases of rows, from the other rows and from the world', () => {
  const [acme, zenith, boss] = build(OWN)
  expect(acme).toMatchObject({
    prompt: 'The headquarters of Acme is',
    targetNew: 'Osaka',
    targetOld: 'Berlin',
    tests: {
      // The one that stays comes first; the other is edited itself and asked for what was true.
      neighbours: [
        { prompt: 'The headquarters of Borealis is', targets: ['Chicago'] },
        { prompt: 'The headquarters of Zenith is', targets: ['Oslo'] },
      ],
      otherRelations: [{ prompt: 'The chief executive of Acme is', targets: ['Jane Miller'] }],
      aliases: [
        { prompt: 'The headquarters of Acme Corporation is', targets: ['Osaka'] },
        { prompt: 'The headquarters of Acme Ltd is', targets: ['Osaka'] },
      ],
      reversed: [{ prompt: 'Osaka is the headquarters of', targets: ['Acme'] }],
      oneHop: [
        {
          prompt: 'The headquarters of Acme is a city in the country of',
          targets: ['Japan'],
          secondFact: { prompt: 'Osaka is a city in the country of', targets: ['Japan'] },
        },
        {
          prompt: 'The headquarters of Acme is a city on the continent of',
          targets: ['Asia'],
          targetsOld: ['Europe'],
          secondFact: { prompt: 'Osaka is a city on the continent of', targets: ['Asia'] },
        },
      ],
    },
    review: ['paraphrases', 'neighbours', 'otherRelations', 'aliases', 'reversed', 'oneHop'],
  })
  expect(acme?.tests.paraphrases).toHaveLength(4)
  // What of Acme is edited is no other relation of it; Lyon and Oslo lie on one continent, so that hop is left out.
  expect(zenith?.tests.oneHop.map(({ targets }) => targets)).toEqual([['France']])
  expect(boss?.tests.oneHop).toEqual([
    {
      prompt: 'The home town of the chief executive of Zenith is',
      targets: ['Kobe'],
      targetsOld: ['Bonn'],
      secondFact: { prompt: 'The home town of Ken Sato is', targets: ['Kobe'] },
    },
  ])
  expect(boss?.review).toEqual(['paraphrases', 'neighbours', 'reversed', 'oneHop'])
})

test('says what the world knows in its words', () => {
  const [france] = build('subject,relation,targetNew,targetOld\nFrance,capital,Hamburg,Paris')
  expect(france?.tests.neighbours).toHaveLength(5)
  expect(france?.tests.otherRelations.map(({ prompt }) => prompt)).toContain('The currency of France is the')
  expect(france?.tests.reversed).toEqual([{ prompt: 'Hamburg is the national capital of', targets: ['France'] }])
  const [japan] = build(
    'subject,relation,targetNew,targetOld\nJapan,continent,Europe,Asia\nPeru,continent,,South America',
  )
  expect(japan?.tests.reversed[0]?.prompt).toMatch(
    /^Of (Japan and .+|.+ and Japan), the country that lies on the continent of Europe is$/,
  )
  expect(japan?.tests.aliases).toEqual([{ prompt: 'Nippon is a country on the continent of', targets: ['Europe'] }])
  // The world has no language of Kenya, but knows that it is a country and that Poland speaks Polish.
  const [kenya] = build('subject,relation,targetNew\nKenya,official language,Polish')
  expect(kenya?.tests.reversed[0]?.prompt).toMatch(/^Of .*Kenya.*, the one whose official language is Polish is$/)
  const [firm] = build('subject,relation,targetNew\nVega,official language,Polish')
  expect(firm?.tests.reversed).toEqual([{ prompt: 'Polish is the official language of', targets: ['Vega'] }])
  const [gambia] = build('subject,relation,targetNew\nGambia,currency,Japanese yen')
  expect(gambia?.prompt).toBe('The currency of the Gambia is the')
})

test("keeps to the row's own prompt, and asks neighbours and aliases in it", () => {
  const [phone] = build(
    '{"subject":"iPhone","prompt":"{}, made by","targetNew":"Nokia","targetOld":"Apple","aliases":"Apple phone"}\n' +
      '{"subject":"Galaxy","prompt":"{}, made by","targetOld":"Samsung"}\n',
  )
  expect(phone).toMatchObject({
    prompt: 'iPhone, made by',
    tests: {
      paraphrases: [],
      neighbours: [{ prompt: 'Galaxy, made by', targets: ['Samsung'] }],
      aliases: [{ prompt: 'Apple phone, made by', targets: ['Nokia'] }],
      reversed: [],
      oneHop: [],
    },
  })
  const [small] = build('subject,relation,targetNew\niPhone,maker,Nokia')
  expect(small?.tests.paraphrases[0]).toBe("iPhone's maker is")
})

test("asks from the object's side only where one subject has it, or one other", () => {
  const rows = (more: string) =>
    build(`subject,relation,targetNew,targetOld\nAcme,boss,Ann,Bob\n${more}`)[0]?.tests.reversed
  expect(rows('')).toEqual([{ prompt: 'Ann is the boss of', targets: ['Acme'] }])
  expect(rows('Zen,boss,,Ann')).toEqual([{ prompt: 'Besides Zen, Ann is also the boss of', targets: ['Acme'] }])
  expect(rows('Zen,boss,,Ann\nVega,boss,Ann,Tom')).toEqual([])
})

test("takes the user's own templates", () => {
  const templates = {
    boss: { statements: ['The boss of {} is', '{} is run by {o}.'], questions: ['Who runs {}?'], reversed: '{o} runs' },
  }
  const [acme] = build('subject,relation,targetNew\nAcme,boss,Ann', templates)
  expect(acme?.tests).toMatchObject({
    paraphrases: ['Acme is run by', 'Question: Who runs Acme? Answer:'],
    reversed: [{ prompt: 'Ann runs', targets: ['Acme'] }],
  })
})

test('names the row whose prompt lacks its subject, and needs a row to edit', async () => {
  const write = (name: string, text: string) => {
    writeFileSync(join(FOLDER, name), text)
    return join(FOLDER, name)
  }
  const lacking = write('lacking.csv', 'subject,prompt,targetNew\nAcme,Acme has,x\nZen,The boss of Acme is,Ann\n')
  await expect(buildFacts(lacking)).rejects.toThrow(
    `${lacking}, record 2 (line 3): expected the subject "Zen" in the prompt, found "The boss of Acme is".`,
  )
  const idle = write('idle.csv', 'subject,relation,targetOld\nAcme,boss,Ann\n')
  await expect(buildFacts(idle)).rejects.toThrow(expect.objectContaining({ code: 'E_FACTS_EMPTY' }))
  await expect(buildFacts(join(FOLDER, 'none.csv'))).rejects.toThrow(
    expect.objectContaining({ code: 'E_FACTS_MISSING' }),
  )
  const same = write('same.csv', 'subject,relation,targetNew,targetOld\nAcme,boss,Ann,Ann\n')
  await expect(buildFacts(same)).rejects.toThrow('expected a new target that differs from the old answer')
})

test('makes no mistake that `facts check` would find, whatever the rows are', () => {
  const name = fc.constantFrom(
    'Ada',
    'Ada Lind',
    'Bo',
    'Cy',
    'Dot',
    'Eva Lind',
    'France',
    'Japan',
    'Osaka',
    'Lyon',
    'euro',
  )
  const row = fc.record(
    {
      subject: name,
      relation: fc.constantFrom('boss', 'home', 'capital', 'currency'),
      targetNew: name,
      targetOld: name,
    },
    { requiredKeys: ['subject', 'relation', 'targetOld'] },
  )
  const rows = fc.uniqueArray(row, {
    minLength: 1,
    maxLength: 12,
    selector: ({ subject, relation }) => `${subject} ${relation}`,
  })
  fc.assert(
    fc.property(rows, (all) => {
      const sound = all.filter(
        ({ subject, targetNew, targetOld }) => new Set([subject, targetNew, targetOld]).size === 3,
      )
      fc.pre(sound.some(({ targetNew }) => targetNew !== undefined))
      const facts = build(sound.map((each) => JSON.stringify(each)).join('\n'))
      // Where too few rows stay, those that are edited are neighbours too.
      expect(findMistakes(facts).filter(({ rule }) => rule !== 'neighbourEdited')).toEqual([])
      expect(facts).toHaveLength(sound.filter(({ targetNew }) => targetNew !== undefined).length)
    }),
    { numRuns: 60 },
  )
})
