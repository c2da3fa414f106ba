/** The built-in set: true where it claims to be, good English, one answer to each question, no test against another edit. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { continents, countries, languages } from 'countries-list'
import { currencies } from 'countries-list/currencies'
import { describe, expect, test } from 'vitest'
import type { Fact, Question } from '../../src/facts/fact.ts'
import { readFacts } from '../../src/facts/index.ts'

const { facts } = await readFacts('countries')
const ALL = Object.values(countries)
/** Countries by the names that the package gives them. */
const BY_NAME = new Map(ALL.map((country) => [country.name, country]))

const toPlain = (text: string) => text.normalize('NFD').replace(/\p{M}/gu, '')
const same = (a: string, b: string) => toPlain(a).toLowerCase() === toPlain(b).toLowerCase()
const relationOf = (fact: Fact) => fact.id.split('-')[0] ?? ''

/** What the package says of a country, by what is asked. */
function lookUp(name: string, asked: string): string[] {
  const country = BY_NAME.get(name)
  if (country === undefined) throw new Error(`the package has no ${name}`)
  if (asked === 'capital') return [country.capital]
  if (asked === 'continent') return [continents[country.continent]]
  if (asked === 'official language') return country.languages.map((code) => languages[code].name)
  return country.currency.map((code) => currencies[code].name)
}

const QUESTION = /^The (capital|currency|official language) of (?:the )?(.+?) is(?: the)?$/
const CONTINENT = /^(?:The )?(.+) is a country on the continent of$/
const CITY = /^(.+) is a city on the continent of$/
const COUNTRY_OF = /^(.+) is the capital of$/

/** Whether a question about the world as it is has its true answer first and only right ones besides. */
function isTrue({ prompt, targets }: Question): boolean {
  const plain = QUESTION.exec(prompt)
  const [first] = targets
  if (plain !== null) {
    const [, asked = '', name = ''] = plain
    const known = lookUp(name, asked)
    const all = asked === 'currency' ? known.flatMap((full) => [full, full.split(' ').at(-1) ?? '']) : known
    return all.some((answer) => same(answer, first))
  }
  const continent = CONTINENT.exec(prompt)
  if (continent !== null) return targets.length === 1 && lookUp(continent[1] ?? '', 'continent')[0] === first
  const capital = COUNTRY_OF.exec(prompt)
  if (capital !== null) return ALL.some((country) => country.capital === capital[1] && targets.includes(country.name))
  return false
}

test('is what the tool makes', async () => {
  await expect(promisify(execFile)(process.execPath, ['tools/facts/countries.mjs', '--check'])).resolves.toBeDefined()
})

test('has at least 60 facts, a country each, of three relations', () => {
  expect(facts.length).toBeGreaterThanOrEqual(60)
  expect(new Set(facts.map(({ subject }) => subject)).size).toBe(facts.length)
  expect([...new Set(facts.map(relationOf))]).toEqual(['capital', 'currency', 'language'])
})

describe.each(facts.map((fact) => ({ fact, name: fact.id })))('$name', ({ fact }) => {
  const { tests } = fact
  const questions = [...tests.neighbours, ...tests.otherRelations, ...tests.aliases, ...tests.reversed, ...tests.oneHop]
  const prompts = [fact.prompt, ...tests.paraphrases, ...questions.map(({ prompt }) => prompt)]

  test('has every kind of test', () => {
    expect(tests.paraphrases.length).toBeGreaterThanOrEqual(2)
    expect(tests.neighbours.length).toBeGreaterThanOrEqual(3)
    expect(tests.otherRelations.length).toBeGreaterThanOrEqual(2)
    expect([tests.aliases.length, tests.reversed.length, tests.oneHop.length]).toEqual([1, 1, 1])
    expect(tests.oneHop[0]?.secondFact).toBeDefined()
  })

  test('tells the truth about the world before the edit', () => {
    const old = { prompt: fact.prompt, targets: [fact.targetOld ?? ''] as const }
    for (const question of [old, ...tests.neighbours, ...tests.otherRelations]) {
      expect(isTrue(question), JSON.stringify(question)).toBe(true)
    }
    const [hop] = tests.oneHop
    if (relationOf(fact) !== 'capital') expect(hop?.secondFact && isTrue(hop.secondFact)).toBe(true)
  })

  test('asks nothing that has two right answers', () => {
    const [, asked = '', name = ''] = QUESTION.exec(fact.prompt) ?? []
    const funds = /^(WIR|US Dollar \(Next day\)|.*Unit of Account|.*Indexed)/
    expect(lookUp(name, asked).filter((answer) => !funds.test(answer))).toHaveLength(1)
    const owner = /^Besides (?:the )?(.+?),/.exec(tests.reversed[0]?.prompt ?? '')?.[1]
    if (owner !== undefined)
      expect(
        isTrue({
          prompt: fact.prompt.replace(fact.subject, owner).replace('of the ', 'of '),
          targets: [fact.targetNew],
        }),
      ).toBe(true)
    else expect(ALL.some(({ capital }) => same(capital, fact.targetNew))).toBe(false)
  })

  test('asks for the new target under another name of the same country', () => {
    const country = BY_NAME.get(fact.subject)
    const alias = QUESTION.exec(tests.aliases[0]?.prompt ?? '')?.[2] ?? ''
    expect(alias).not.toBe(fact.subject)
    const known = [country?.native ?? '', ...(country?.alias ?? [])]
    const isOfficial = /Republic|Kingdom|State|Confederation|Federation|Dominion|Sultanate|Nippon|Bharat/.test(alias)
    expect(isOfficial || known.some((name) => same(name, alias)), alias).toBe(true)
    expect(tests.aliases[0]?.targets).toEqual([fact.targetNew])
  })

  test('follows from the edit: reversed question and hop', () => {
    expect(tests.reversed[0]?.prompt).toContain(fact.targetNew)
    expect(tests.reversed[0]?.targets).toContain(fact.subject)
    const [hop] = tests.oneHop
    if (relationOf(fact) === 'capital') {
      expect(CITY.exec(hop?.secondFact?.prompt ?? '')?.[1]).toBe(fact.targetNew)
      expect(hop?.targets).toEqual(hop?.secondFact?.targets)
      expect(hop?.targets).not.toEqual(lookUp(fact.subject, 'continent'))
    } else {
      expect(hop?.targets).toEqual([fact.targetNew])
      expect(hop?.prompt).toContain(`whose capital is ${lookUp(fact.subject, 'capital')[0]}`)
      expect(hop?.prompt).not.toContain(fact.subject)
    }
  })

  test('is good English that a model can continue', () => {
    for (const prompt of prompts) {
      expect(prompt).toMatch(/^(\p{Lu}).*(\w|\?\sAnswer:)$/u)
      expect(prompt).not.toMatch(/\s\s|\bthe the\b|[{}]|\bundefined\b/i)
      // Plural names and unions of states take the article, others never do.
      for (const name of ['Netherlands', 'United Kingdom', 'United States', 'Philippines']) {
        if (prompt.includes(name)) expect(prompt).toMatch(new RegExp(`\\b[Tt]he (?:Republic of the )?${name}`))
      }
      expect(prompt).not.toMatch(/\bthe (France|Germany|Japan|China|India|Brazil|Spain|Italy|Egypt|Nigeria)\b/)
    }
    for (const { targets } of questions) for (const target of targets) expect(target).toBe(target.trim())
  })

  test('stands against no other edit when all are edited together', () => {
    const edited = new Map(facts.map((each) => [each.prompt, each.targetNew]))
    for (const { prompt } of [...tests.neighbours, ...tests.otherRelations])
      expect(edited.has(prompt), prompt).toBe(false)
    const capital = /whose capital is (.+?) is/.exec(tests.oneHop[0]?.prompt ?? '')?.[1]
    expect(facts.some((each) => relationOf(each) === 'capital' && each.targetOld === capital)).toBe(false)
    expect(facts.filter(({ targetNew }) => targetNew === fact.targetNew)).toHaveLength(1)
  })
})
