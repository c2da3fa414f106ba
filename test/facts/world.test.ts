/** The fact world: complete cases, true where it claims to be, good English, and no text of one split about a subject of another. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { continents, countries, languages } from 'countries-list'
import { currencies } from 'countries-list/currencies'
import { describe, expect, test } from 'vitest'
import type { Fact } from '../../src/facts/fact.ts'
import { readFacts, readLearningFacts } from '../../src/facts/index.ts'
import { expandWorld, WORLD_SPLITS } from '../../src/facts/world.ts'

interface Row {
  readonly s: string
  readonly o: readonly string[]
  readonly split: string
  readonly new?: string
  readonly foil?: string
}
interface Relation {
  readonly aside?: string
  readonly phrases: readonly string[]
  readonly statements: readonly string[]
  readonly questions: readonly string[]
}

const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'))
const WORLD: { facts: Record<string, Row[]> } = readJson('facts/world.json')
const WORDINGS: { relations: Record<string, Relation>; carriers: { questions: string[]; statements: string[] } } =
  readJson('facts/wordings.json')
/** Further wordings that the shipped model was trained on. */
const TRAINING: typeof WORDINGS = readJson('tools/atlas/wordings.json')
const LOCKED: { about: string; questions: Record<string, string[]> } = readJson('tools/facts/locked-wordings.json')

const { facts, notes } = await readFacts('world')
const bySplit = new Map(
  await Promise.all(WORLD_SPLITS.map(async (split) => [split, (await readFacts(`world:${split}`)).facts] as const)),
)
const relationOf = ({ id }: Fact) => id.split('-')[0] ?? ''
/** Relations that count as facts. */
const RELATIONS = Object.keys(WORDINGS.relations).filter((name) => WORDINGS.relations[name]?.aside === undefined)
const rowsOf = (relation: string): readonly Row[] => WORLD.facts[relation] ?? []

function textsOf({ prompt, targetNew, targetOld = '', tests }: Fact): string[] {
  const { paraphrases, oneHop, neighbours, otherRelations, aliases, reversed } = tests
  const seconds = oneHop.flatMap(({ secondFact }) => (secondFact === undefined ? [] : [secondFact]))
  const questions = [...neighbours, ...otherRelations, ...aliases, ...reversed, ...oneHop, ...seconds]
  return [
    prompt,
    targetNew,
    targetOld,
    ...paraphrases,
    ...questions.flatMap((question) => [question.prompt, ...question.targets]),
  ]
}

test('is what the tool makes', async () => {
  await expect(promisify(execFile)(process.execPath, ['tools/facts/world.mjs', '--check'])).resolves.toBeDefined()
})

test('has at least 3,000 facts with all their tests, over at least 10 relations, none of which has one answer mostly', () => {
  expect(facts.length).toBeGreaterThanOrEqual(3000)
  expect(notes).toEqual([])
  expect(new Set(facts.map(relationOf))).toEqual(new Set(RELATIONS))
  expect(RELATIONS.length).toBeGreaterThanOrEqual(10)
  for (const relation of RELATIONS) {
    const counts = new Map<string, number>()
    for (const { o } of rowsOf(relation)) counts.set(o[0] ?? '', (counts.get(o[0] ?? '') ?? 0) + 1)
    expect(Math.max(...counts.values()) / rowsOf(relation).length, relation).toBeLessThan(0.6)
  }
})

test('asks of every fact: four paraphrases, five neighbours, two other relations, reversed, one hop with its second fact', () => {
  for (const { id, prompt, subject, targetNew, targetOld, tests } of facts) {
    expect(new Set([prompt, ...tests.paraphrases]).size, id).toBe(5)
    expect(new Set(tests.neighbours.map((neighbour) => neighbour.prompt)).size, id).toBe(5)
    for (const neighbour of tests.neighbours) expect(` ${neighbour.prompt} `, id).not.toContain(` ${subject} `)
    expect(tests.otherRelations, id).toHaveLength(2)
    for (const other of tests.otherRelations) expect(other.prompt, id).toContain(subject)
    expect(tests.reversed, id).toHaveLength(1)
    expect(tests.reversed[0]?.targets, id).toContain(subject)
    expect(tests.reversed[0]?.prompt.toLowerCase(), id).toContain(targetNew.toLowerCase())
    expect(tests.oneHop[0]?.secondFact, id).toBeDefined()
    expect(tests.oneHop[0]?.targets, id).not.toContain(targetOld)
    expect(targetNew, id).not.toBe(targetOld)
    for (const alias of tests.aliases) expect(alias, id).toEqual({ prompt: expect.any(String), targets: [targetNew] })
  }
  expect(facts.filter(({ tests }) => tests.aliases.length > 0).length).toBeGreaterThan(300)
})

test('a hop through the new object has the answer of its second fact, one by a description the new object', () => {
  for (const { id, targetNew, tests } of facts) {
    const [hop] = tests.oneHop
    const through = hop?.secondFact?.targets[0] === hop?.targets[0]
    expect(through || hop?.targets[0] === targetNew, id).toBe(true)
  }
  const through = facts.filter(({ targetNew, tests }) => tests.oneHop[0]?.targets[0] !== targetNew)
  expect(through.length).toBeGreaterThan(1500)
})

test('is dealt out: each case in one split, each split with every common relation', () => {
  expect(
    [...bySplit.values()]
      .flat()
      .map(({ id }) => id)
      .sort(),
  ).toEqual(facts.map(({ id }) => id).sort())
  for (const [split, some] of bySplit) expect(new Set(some.map(relationOf)).size, split).toBeGreaterThanOrEqual(18)
  expect(bySplit.get('train')?.length).toBeGreaterThan(1000)
  expect(bySplit.get('prepare')?.length).toBeGreaterThan(250)
})

test('no text of a split, question or answer, speaks of a subject of another', () => {
  const cut = (text: string) => text.match(/[\p{L}\p{M}\p{N}+.]+/gu) ?? []
  const splitOf = new Map<string, string>()
  let longest = 0
  for (const [split, some] of bySplit) {
    for (const { subject } of some) {
      const parts = cut(subject)
      longest = Math.max(longest, parts.length)
      expect(splitOf.get(parts.join(' ')) ?? split, subject).toBe(split)
      splitOf.set(parts.join(' '), split)
    }
  }
  const leaks = new Set<string>()
  for (const [split, some] of bySplit) {
    for (const text of new Set(some.flatMap(textsOf))) {
      const parts = cut(text)
      for (const start of parts.keys()) {
        for (let end = start + 1; end <= Math.min(parts.length, start + longest); end++) {
          const owner = splitOf.get(parts.slice(start, end).join(' '))
          if (owner !== undefined && owner !== split) leaks.add(`${split}: ${text} (${owner})`)
        }
      }
    }
  }
  expect([...leaks]).toEqual([])
})

describe.each(WORLD_SPLITS)('all facts of %s about different subjects can be edited together', (split) => {
  const some = bySplit.get(split) ?? []
  const editedBy = new Map(some.map(({ prompt, subject }) => [prompt, subject]))

  test('no neighbour and no second fact is edited by a case of another subject', () => {
    for (const { id, subject, tests } of some) {
      const second = tests.oneHop.flatMap(({ secondFact }) => secondFact?.prompt ?? [])
      for (const prompt of [...tests.neighbours.map((neighbour) => neighbour.prompt), ...second]) {
        expect(editedBy.get(prompt) ?? subject, `${id}: ${prompt}`).toBe(subject)
      }
    }
  })

  test('no foil is edited, and none has the new object', () => {
    for (const relation of RELATIONS) {
      const rows = new Map(rowsOf(relation).map((row) => [row.s, row]))
      for (const row of rowsOf(relation)) {
        if (row.foil === undefined) continue
        expect(rows.get(row.foil)?.new, `${relation} of ${row.foil}`).toBeUndefined()
        expect(rows.get(row.foil)?.o, `${relation} of ${row.foil}`).not.toContain(row.new)
      }
    }
  })

  test('a reversed question that has one right answer has one', () => {
    const asked = new Map<string, string>()
    for (const { id, tests } of some) {
      const prompt = tests.reversed[0]?.prompt ?? ''
      expect(asked.get(prompt), `${id} and ${asked.get(prompt)}`).toBeUndefined()
      asked.set(prompt, id)
    }
  })
})

describe('is true', () => {
  const byName = new Map(Object.entries(countries).map(([code, country]) => [country.name, { code, ...country }]))
  const lookUp: Record<string, (name: string) => string[]> = {
    capital: (name) => [byName.get(name)?.capital ?? ''],
    continent: (name) => [continents[byName.get(name)?.continent ?? 'AN']],
    language: (name) => (byName.get(name)?.languages ?? []).map((code) => languages[code].name),
    callingCode: (name) => (byName.get(name)?.phone ?? []).map((phone) => String(phone)),
    currency: (name) => (byName.get(name)?.currency ?? []).map((code) => currencies[code].name.toLowerCase()),
  }

  test.each(Object.keys(lookUp))('%s, by the package', (relation) => {
    expect(rowsOf(relation).length).toBeGreaterThan(100)
    for (const { s, o } of rowsOf(relation)) {
      const answer = (o[0] ?? '').replace(/[+-]/g, relation === 'callingCode' ? '' : '$&').replace(' and ', ' & ')
      const known = lookUp[relation]?.(s).map((each) => each.replace('ʻ', ''))
      expect(known, s).toContain(relation === 'currency' ? answer.toLowerCase() : answer.replace(' & ', ' and '))
    }
  })

  // Known by heart.
  test.each([
    ['domain', 'United Kingdom', '.uk'],
    ['domain', 'Switzerland', '.ch'],
    ['countryCode', 'Germany', 'DEU'],
    ['callingCode', 'Jamaica', '+1-876'],
    ['nativeName', 'Finland', 'Suomi'],
    ['capitalOf', 'Ottawa', 'Canada'],
    ['currencyCode', 'Japanese yen', 'JPY'],
    ['currencyNumber', 'Polish zloty', '985'],
    ['currencyOf', 'Thai baht', 'Thailand'],
    ['country', 'Marseille', 'France'],
    ['country', 'Osaka', 'Japan'],
    ['stateCapital', 'California', 'Sacramento'],
    ['stateCapital', 'Minnesota', 'St. Paul'],
    ['abbreviation', 'Maine', 'ME'],
    ['region', 'Texas', 'South'],
    ['state', 'Seattle', 'Washington'],
    ['symbol', 'iron', 'Fe'],
    ['atomicNumber', 'gold', '79'],
    ['period', 'helium', '1'],
    ['period', 'lithium', '2'],
    ['placeHemisphere', 'Lima', 'south'],
    ['placeContinent', 'Perth', 'Oceania'],
  ])('%s of %s is %s', (relation, subject, answer) => {
    expect(rowsOf(relation).find(({ s }) => s === subject)?.o[0]).toBe(answer)
  })

  test('leaves out what has several right answers', () => {
    const has = (relation: string, subject: string) => rowsOf(relation).some(({ s }) => s === subject)
    expect(has('capital', 'South Africa')).toBe(false)
    expect(has('capital', 'Monaco')).toBe(false)
    expect(has('language', 'Philippines')).toBe(false)
    expect(has('currency', 'Bhutan')).toBe(false)
    expect(has('callingCode', 'Canada')).toBe(false)
    expect(has('continent', 'Russia')).toBe(false)
    expect(has('country', 'Istanbul')).toBe(false)
    expect(has('country', 'Valencia')).toBe(false)
    expect(has('continent', 'Georgia')).toBe(false)
  })
})

test('is good English that a model can continue', () => {
  for (const fact of facts) {
    const { tests } = fact
    const questions = [
      ...tests.neighbours,
      ...tests.otherRelations,
      ...tests.aliases,
      ...tests.reversed,
      ...tests.oneHop,
    ]
    for (const prompt of [fact.prompt, ...tests.paraphrases, ...questions.map((question) => question.prompt)]) {
      expect(prompt).toMatch(/^[\p{Lu}\d+.].*(\p{L}|\?\sAnswer:(?: the)?|\))$/u)
      expect(prompt).not.toMatch(/\s\s|\bthe the\b|[{}]|\bundefined\b/i)
      for (const name of ['Netherlands', 'United Kingdom', 'United States', 'Philippines', 'Gambia']) {
        if (new RegExp(`(?<!\\p{L})${name}(?!\\p{L})`, 'u').test(prompt)) {
          expect(prompt).toMatch(new RegExp(`\\b[Tt]he ${name}`))
        }
      }
      expect(prompt).not.toMatch(/\bthe (France|Germany|Japan|China|Brazil|Texas)\b/)
    }
  }
})

describe('wordings', () => {
  test.each(RELATIONS)('%s has at least 25 of its own, all different', (name) => {
    const { phrases, statements, questions } = WORDINGS.relations[name] as Relation
    const all = [...phrases, ...statements, ...questions]
    expect(new Set(all).size).toBe(all.length)
    expect(all.length).toBeGreaterThanOrEqual(25)
    for (const text of all) expect(text).toMatch(/\{[sn]\}/)
    for (const statement of statements) expect(statement).toMatch(/ \{o\}\.$/)
    for (const question of questions) expect(question).toMatch(/\?$/)
  })

  const fold = (text: string) =>
    text
      .toLowerCase()
      .replaceAll('{n}', '{s}')
      .replaceAll(/[^a-z{}]+/g, ' ')
      .trim()

  test.each(RELATIONS)('the locked ones of %s are at least six, unlike all that a model may see', (name) => {
    const all = [WORDINGS, TRAINING]
    const words = all.map(({ relations }) => relations[name] as Relation)
    const carriers = all.flatMap((each) => [...each.carriers.questions, ...each.carriers.statements])
    const phrases = words.flatMap((each) => each.phrases)
    const carried = phrases.flatMap((np) => carriers.map((each) => each.replace(/\{np\}/i, np)))
    const sentences = words.flatMap(({ statements, questions }) => [...statements, ...questions])
    const seen = new Set([...phrases, ...sentences, ...carried].map(fold))
    const locked = (LOCKED.questions[name] ?? []).map(fold)
    expect(new Set(locked).size).toBeGreaterThanOrEqual(6)
    expect(locked.filter((question) => seen.has(question))).toEqual([])
  })

  test('the locked ones are as they were written, before any training', () => {
    const digest = createHash('sha256').update(readFileSync('tools/facts/locked-wordings.json')).digest('hex')
    expect(digest).toBe('45cf517caeb2220d1d6c41e4e3cdfd8f2709683dfb74c54ebc43b73221f338d2')
  })

  test('nothing that ships names the locked ones', () => {
    expect(LOCKED.about).toMatch(/^LOCKED\. /)
    const { files }: { files: string[] } = readJson('package.json')
    expect(files.filter((file) => 'tools/facts/locked-wordings.json'.startsWith(file))).toEqual([])
    const sources = ['src', 'facts'].flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path)),
    )
    const naming = sources.filter(
      (path) => /\.(?:ts|json)$/.test(path) && readFileSync(path, 'utf8').includes('locked-'),
    )
    expect(naming).toEqual([])
  })
})

/** Two countries in the split `probe` and one in `train`. */
const TINY_WORLD = {
  articles: ['Gambia'],
  aliases: { Japan: ['Nippon'] },
  facts: {
    domain: [
      { s: 'Japan', o: ['.jp'], split: 'probe', new: '.gm', near: ['Gambia'], beside: ['land'], hop: { by: 'land' } },
      { s: 'Gambia', o: ['.gm'], split: 'probe' },
    ],
    land: [
      {
        s: 'Japan',
        o: ['Asia'],
        split: 'probe',
        new: 'Africa',
        near: [],
        beside: ['domain'],
        foil: 'Gambia',
        hop: { by: 'domain' },
      },
      { s: 'Gambia', o: ['Africa', 'the dark continent'], split: 'probe' },
      { s: 'Peru', o: ['America'], split: 'train', new: 'Asia', foil: 'Gambia', hop: { through: 'domain' } },
    ],
  },
}
const TINY_WORDINGS = {
  kinds: { country: { shown: '{n}', answer: '{n}', pair: '{a} and {b}' } },
  relations: {
    domain: {
      subject: 'country',
      phrases: ['the domain of {s}'],
      statements: ['The domain of {s} is {o}.', "{s}'s domain is {o}."],
      questions: ['Which domain has {s}?'],
      reversed: { prompt: 'Besides {owner}, {o} belongs to' },
      describes: { as: 'the country with {o}', prompt: '{o} is the domain of' },
    },
    land: {
      subject: 'country',
      phrases: ['the land of {s}'],
      statements: ['{s} lies in {o}.', '{s} is in {o}.'],
      questions: ['Where is {s}?'],
      answer: 'the',
      reversed: { choice: 'the one in {o} is' },
      describes: { as: 'the country in {o}', prompt: 'In {o} lies' },
    },
  },
}

test('puts rows and wordings together', () => {
  const [domain, land] = expandWorld(TINY_WORLD, TINY_WORDINGS, 'probe')
  expect(domain).toEqual({
    id: 'domain-Japan',
    relation: 'domain',
    subject: 'Japan',
    prompt: 'The domain of Japan is',
    targetNew: '.gm',
    targetOld: '.jp',
    tests: {
      paraphrases: [
        "Japan's domain is",
        "Japan's domain is",
        ...Array(2).fill('Question: Which domain has Japan? Answer:'),
      ],
      neighbours: [{ prompt: 'The domain of the Gambia is', targets: ['.gm'] }],
      otherRelations: [{ prompt: 'Japan lies in', targets: ['Asia'] }],
      aliases: [{ prompt: 'The domain of Nippon is', targets: ['.gm'] }],
      reversed: [{ prompt: 'Besides the Gambia, .gm belongs to', targets: ['Japan'] }],
      oneHop: [
        {
          prompt: 'The domain of the country in Asia is',
          targets: ['.gm'],
          secondFact: { prompt: 'In Asia lies', targets: ['Japan'] },
        },
      ],
    },
  })
  expect(land).toMatchObject({
    prompt: 'Japan lies in',
    tests: {
      paraphrases: ['Japan is in', 'Japan is in', ...Array(2).fill('Question: Where is Japan? Answer: the')],
      reversed: [{ prompt: 'Of Japan and the Gambia, the one in Africa is', targets: ['Japan'] }],
      oneHop: [
        { prompt: 'The country with .jp lies in', targets: ['Africa'], secondFact: { prompt: '.jp is the domain of' } },
      ],
    },
  })
})

test('tells a defect where a file of the world lacks something', () => {
  // Peru's hop goes on from Asia, which has no domain.
  expect(() => expandWorld(TINY_WORLD, TINY_WORDINGS)).toThrow(
    expect.objectContaining({
      code: 'E_INTERNAL',
      message: expect.stringContaining('fact world: nothing for ["domain","Asia"]'),
    }),
  )
})

test.each(['world:', 'world:other', 'world:probe:x', 'World'])('knows no set %s', async (name) => {
  await expect(readFacts(name)).rejects.toThrow(/E_FACTS_MISSING|expected a file of facts.*world:probe, world:confirm/)
})

test.each(['world:probe', 'world:confirm', 'world:prepare'])(
  'methods learn from what ships for that: %s',
  async (name) => {
    const { facts: train } = await readFacts('world:train')
    expect(await readLearningFacts(name)).toEqual(train)
  },
)

test.each(['world', 'world:train', 'countries'])('methods learn from the rest of the set itself: %s', async (name) => {
  expect(await readLearningFacts(name)).toBeNull()
})
