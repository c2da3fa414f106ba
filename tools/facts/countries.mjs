/**
 * Makes the built-in facts about countries: `node tools/facts/countries.mjs` writes facts/countries.json, the same bytes
 * each time; `--check` only tells whether that file is up to date.
 *
 * Every true answer comes from the package countries-list (MIT). Written by hand are only: which countries are known and
 * unambiguous enough, the article of their names, another name of each, which relation is edited, and cities that are no
 * capitals.
 *
 * Each fact changes the capital, the currency or the language of one country. All facts can be edited together: no test of
 * one is contradicted by another. So a country is edited in one relation only, neighbours are countries that keep theirs,
 * and no two facts share a new target. The reversed question then has one answer that the edit brings:
 * - a capital becomes a city of another continent that is no capital: "Marseille is the national capital of";
 * - a currency or language becomes one that a single other country has: "Besides Japan, the yen is also the currency of".
 * The one hop combines the edit with a fact that small models may know:
 * - capital: on which continent the new capital lies (second fact: the continent of that city);
 * - currency and language: of the country whose capital is … (second fact: which country that is).
 *
 * Left out, because a right answer could be marked wrong: names that mean something else too (Georgia); capitals that are
 * disputed, shared, about to move or in the country's name; countries with several currencies or languages, for those
 * relations; languages of countries known to have no official one; currencies that changed lately; the continent as the
 * edited relation (few answers, one of them in most cases).
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { continents, countries, languages } from 'countries-list'
import { currencies } from 'countries-list/currencies'

const TARGET_FILE = new URL('../../facts/countries.json', import.meta.url)

/**
 * Code → `edit`: the relation that is edited, if any; `alias`: another name, with its article: a native name or short form
 * where it is known well enough, else the official name; `the`: the usual name takes an article; `no`: relations that
 * would not be unambiguous.
 */
const COUNTRIES = {
  FR: { edit: 'currency', alias: 'the French Republic' },
  DE: { edit: 'language', alias: 'Deutschland' },
  IT: { edit: 'language', alias: 'Italia' },
  ES: { edit: 'currency', alias: 'España' },
  PT: { edit: 'language', alias: 'the Portuguese Republic' },
  GB: { edit: 'currency', alias: 'Great Britain', the: true, no: ['language'] },
  IE: { edit: 'currency', alias: 'Éire' },
  NL: { edit: 'currency', alias: 'Holland', the: true },
  BE: { edit: 'currency', alias: 'België' },
  AT: { edit: 'language', alias: 'Österreich' },
  CH: { edit: 'currency', alias: 'the Swiss Confederation' },
  PL: { edit: 'capital', alias: 'Polska' },
  HU: { edit: 'capital', alias: 'Magyarország' },
  RO: { edit: 'capital', alias: 'Rumania' },
  BG: { edit: 'capital', alias: 'the Republic of Bulgaria', no: ['currency'] },
  GR: { edit: 'language', alias: 'the Hellenic Republic' },
  SE: { edit: 'currency', alias: 'Sverige' },
  NO: { edit: 'currency', alias: 'Norge' },
  DK: { edit: 'capital', alias: 'Danmark' },
  FI: { edit: 'currency', alias: 'Suomi' },
  IS: { edit: 'capital', alias: 'Ísland' },
  HR: { edit: 'capital', alias: 'Hrvatska', no: ['currency'] },
  RS: { edit: 'capital', alias: 'the Republic of Serbia' },
  AL: { edit: 'capital', alias: 'Shqipëria' },
  EE: { edit: 'capital', alias: 'Eesti' },
  LV: { edit: 'capital', alias: 'Latvija' },
  LT: { edit: 'capital', alias: 'Lietuva' },
  SK: { edit: 'capital', alias: 'the Slovak Republic' },
  SI: { edit: 'capital', alias: 'Slovenija' },
  US: { edit: 'currency', alias: 'the USA', the: true, no: ['language'] },
  CA: { edit: 'currency', alias: 'the Dominion of Canada' },
  CU: { edit: 'language', alias: 'the Republic of Cuba' },
  AR: { edit: 'capital', alias: 'the Argentine Republic' },
  BR: { edit: 'language', alias: 'Brasil' },
  CL: { edit: 'capital', alias: 'the Republic of Chile', no: ['language'] },
  CO: { edit: 'language', alias: 'the Republic of Colombia' },
  EC: { edit: 'language', alias: 'the Republic of Ecuador' },
  PE: { edit: 'capital', alias: 'the Republic of Peru', no: ['language'] },
  UY: { edit: 'capital', alias: 'the Oriental Republic of Uruguay', no: ['language'] },
  VE: { edit: 'language', alias: 'the Bolivarian Republic of Venezuela' },
  JP: { edit: 'capital', alias: 'Nippon' },
  CN: { edit: 'capital', alias: "the People's Republic of China" },
  KR: { edit: 'currency', alias: 'the Republic of Korea' },
  TH: { edit: 'capital', alias: 'the Kingdom of Thailand' },
  VN: { edit: 'capital', alias: 'Viet Nam' },
  IN: { edit: 'currency', alias: 'Bharat' },
  PH: { edit: 'currency', alias: 'the Republic of the Philippines', the: true },
  MY: { no: ['capital'] },
  PK: { edit: 'currency', alias: 'the Islamic Republic of Pakistan' },
  BD: { edit: 'capital', alias: "the People's Republic of Bangladesh" },
  NP: { edit: 'capital', alias: 'the Federal Democratic Republic of Nepal' },
  IR: { edit: 'capital', alias: 'the Islamic Republic of Iran' },
  IQ: { edit: 'capital', alias: 'the Republic of Iraq' },
  SA: { edit: 'language', alias: 'the Kingdom of Saudi Arabia' },
  SY: { edit: 'language', alias: 'the Syrian Arab Republic' },
  JO: { edit: 'language', alias: 'the Hashemite Kingdom of Jordan' },
  LB: { edit: 'capital', alias: 'the Lebanese Republic' },
  QA: { edit: 'capital', alias: 'the State of Qatar' },
  OM: { edit: 'capital', alias: 'the Sultanate of Oman' },
  EG: { edit: 'language', alias: 'the Arab Republic of Egypt' },
  MA: { edit: 'currency', alias: 'the Kingdom of Morocco', no: ['language'] },
  LY: { edit: 'capital', alias: 'the State of Libya' },
  KE: { edit: 'currency', alias: 'the Republic of Kenya' },
  UG: { edit: 'capital', alias: 'the Republic of Uganda' },
  ZM: { edit: 'capital', alias: 'the Republic of Zambia' },
  ET: { edit: 'capital', alias: 'the Federal Democratic Republic of Ethiopia' },
  NG: { edit: 'language', alias: 'the Federal Republic of Nigeria' },
  GH: { edit: 'language', alias: 'the Republic of Ghana' },
  SN: { edit: 'language', alias: 'the Republic of Senegal' },
  AO: { edit: 'language', alias: 'the Republic of Angola' },
  MZ: { edit: 'capital', alias: 'the Republic of Mozambique' },
  NI: { edit: 'capital', alias: 'the Republic of Nicaragua' },
  MX: { no: ['capital', 'language'] },
  UA: { no: ['capital'] },
  KH: { no: ['language'] },
  ID: { no: ['capital'] },
  GT: { no: ['capital'] },
}

/** Cities that are and were no national capitals, by a country whose own capital is not edited. */
const CITIES = {
  US: ['Chicago', 'Los Angeles', 'San Francisco', 'Seattle', 'Miami', 'Detroit', 'Houston', 'Las Vegas'],
  CA: ['Vancouver', 'Montreal', 'Calgary'],
  IN: ['Mumbai', 'Bangalore', 'Chennai'],
  KR: ['Busan'],
  KE: ['Mombasa'],
  MA: ['Casablanca'],
  FR: ['Marseille', 'Bordeaux', 'Toulouse', 'Nantes'],
  DE: ['Munich', 'Hamburg', 'Cologne', 'Stuttgart', 'Dresden'],
  IT: ['Naples', 'Venice', 'Genoa', 'Bologna'],
  GB: ['Manchester', 'Liverpool', 'Glasgow', 'Leeds'],
  ES: ['Barcelona', 'Bilbao', 'Seville'],
  NL: ['Rotterdam'],
  BE: ['Antwerp'],
  SE: ['Gothenburg'],
}

/** Codes for accounts and funds, which nobody pays with. */
const FUND_CODES = new Set(['BOV', 'CHE', 'CHW', 'CLF', 'USN', 'UYI'])
/** English words besides: `the real` need not name a currency. */
const EVERYDAY_WORDS = new Set(['real', 'sol', 'won'])
/** Answers that are as right as the package's. */
const ALSO_RIGHT = { yuan: ['renminbi'], 'New Delhi': ['Delhi'], 'Washington D.C.': ['Washington'] }

const NEIGHBOURS = 4

const RELATIONS = {
  capital: {
    answers: (code) => [countries[code].capital],
    prompt: (name) => `The capital of ${name} is`,
    paraphrases: (name) => [
      `The capital city of ${name} is`,
      `${capitalise(name)} has its capital in the city of`,
      `Question: What is the capital of ${name}? Answer:`,
    ],
  },
  currency: {
    answers: (code) => currenciesOf(code).flatMap(({ noun, full }) => [noun, full]),
    prompt: (name) => `The currency of ${name} is the`,
    paraphrases: (name) => [
      `The official currency of ${name} is the`,
      `People in ${name} pay with a currency called the`,
      `Question: What is the currency of ${name}? Answer: the`,
    ],
  },
  language: {
    answers: (code) => languagesOf(code),
    prompt: (name) => `The official language of ${name} is`,
    paraphrases: (name) => [
      `In ${name}, the official language is`,
      `The language that is official in ${name} is`,
      `Question: What is the official language of ${name}? Answer:`,
    ],
  },
}

/** The usual name with its article, as inside a sentence. */
const nameOf = (code) => `${COUNTRIES[code].the ? 'the ' : ''}${countries[code].name}`
const capitalise = (text) => text[0].toUpperCase() + text.slice(1)
const continentOf = (code) => continents[countries[code].continent]
const languagesOf = (code) => countries[code].languages.map((language) => languages[language].name)

/** `Swiss Franc` → franc, Swiss franc. */
function currenciesOf(code) {
  const inUse = countries[code].currency.filter((currency) => !FUND_CODES.has(currency))
  return inUse.map((currency) => {
    const words = currencies[currency].name.split(' ')
    const noun = words.pop().toLowerCase()
    return { noun, full: [...words, noun].join(' ') }
  })
}

const toPlain = (text) => text.normalize('NFD').replace(/\p{M}/gu, '')

/** Whether the relation has one answer for the country. */
function isUsable(code, relation) {
  if (COUNTRIES[code].no?.includes(relation)) return false
  if (relation === 'currency') return currenciesOf(code).length === 1
  if (relation === 'language') return languagesOf(code).length === 1
  return countries[code].capital !== countries[code].name
}

const codes = Object.keys(COUNTRIES)
const isEdited = (code, relation) => COUNTRIES[code].edit === relation
/** Countries of which a relation can be asked whatever was edited. */
const kept = (relation) => codes.filter((code) => isUsable(code, relation) && !isEdited(code, relation))

/** All right answers, also in spellings without accents. */
function answersOf(code, relation) {
  const answers = RELATIONS[relation].answers(code)
  return [...new Set([...answers, ...answers.map(toPlain), ...answers.flatMap((answer) => ALSO_RIGHT[answer] ?? [])])]
}

function question(code, relation) {
  return { prompt: RELATIONS[relation].prompt(nameOf(code)), targets: answersOf(code, relation) }
}

/** Currencies or languages that a single country of the world has, where that country keeps them. */
function listOwned(relation) {
  const owners = new Map()
  // Zimbabwe lists eight foreign currencies: a yen there does not make it a country of the yen.
  for (const code of Object.keys(countries).filter((each) => each !== 'ZW')) {
    const all = relation === 'language' ? languagesOf(code) : currenciesOf(code).map(({ noun }) => noun)
    for (const target of new Set(all.map(toPlain))) owners.set(target, [...(owners.get(target) ?? []), code])
  }
  const all = [...owners].map(([target, [owner, ...others]]) => ({ target, owner, isShared: others.length > 0 }))
  const known = all.filter(({ target, owner, isShared }) => {
    return !isShared && kept(relation).includes(owner) && !EVERYDAY_WORDS.has(target)
  })
  // The better known countries come first in the table.
  return known.toSorted((a, b) => codes.indexOf(a.owner) - codes.indexOf(b.owner))
}

/** Cities in turn from each country, so that facts beside each other get cities of different countries. */
function listCities() {
  const most = Math.max(...Object.values(CITIES).map((cities) => cities.length))
  const turns = Array.from({ length: most }, (_, turn) => turn)
  return turns.flatMap((turn) =>
    Object.entries(CITIES)
      .filter(([, cities]) => turn < cities.length)
      .map(([owner, cities]) => ({ target: cities[turn], owner })),
  )
}

/** Gives each country that is edited in a relation a new target of its own. */
function assignTargets(relation) {
  const free = relation === 'capital' ? listCities() : listOwned(relation)
  return codes
    .filter((code) => isEdited(code, relation))
    .map((code) => {
      const at = free.findIndex(({ owner }) => relation !== 'capital' || continentOf(owner) !== continentOf(code))
      if (at === -1 || !isUsable(code, relation)) throw new Error(`no new ${relation} for ${countries[code].name}`)
      return { code, ...free.splice(at, 1)[0] }
    })
}

/** Other countries: the one that has the new target, two with the same old answer, then the next ones of the continent. */
function chooseNeighbours({ code, owner }, relation) {
  const distance = (other) => (codes.indexOf(other) - codes.indexOf(code) + codes.length) % codes.length
  const inTurn = kept(relation).toSorted((a, b) => distance(a) - distance(b))
  const [old] = answersOf(code, relation)
  const alike = inTurn.filter((other) => answersOf(other, relation)[0] === old).slice(0, 2)
  const near = inTurn.filter((other) => continentOf(other) === continentOf(code))
  return [...new Set([owner, ...alike, ...near, ...inTurn])]
    .slice(0, NEIGHBOURS)
    .map((other) => question(other, relation))
}

function otherRelations(code, edited) {
  const others = Object.keys(RELATIONS).filter((relation) => relation !== edited && isUsable(code, relation))
  const prompt = `${capitalise(nameOf(code))} is a country on the continent of`
  return [...others.map((relation) => question(code, relation)), { prompt, targets: [continentOf(code)] }]
}

/** The country as an answer. */
const nameAnswers = (code) => [...new Set([nameOf(code), countries[code].name])]

function reversed({ code, owner, target }, relation) {
  const prompt = {
    capital: `${target} is the national capital of`,
    currency: `Besides ${nameOf(owner)}, the ${target} is also the currency of`,
    language: `Besides ${nameOf(owner)}, ${target} is also the official language of`,
  }[relation]
  return { prompt, targets: nameAnswers(code) }
}

function oneHop({ code, owner, target }, relation) {
  if (relation === 'capital') {
    const targets = [continentOf(owner)]
    const secondFact = { prompt: `${target} is a city on the continent of`, targets }
    return { prompt: `The capital of ${nameOf(code)} is a city on the continent of`, targets, secondFact }
  }
  const { capital } = countries[code]
  const secondFact = { prompt: `${capital} is the capital of`, targets: nameAnswers(code) }
  return {
    prompt: RELATIONS[relation].prompt(`the country whose capital is ${capital}`),
    targets: [target],
    secondFact,
  }
}

function makeFact(change, relation) {
  const { code, target } = change
  const { prompt, paraphrases } = RELATIONS[relation]
  return {
    id: `${relation}-${code.toLowerCase()}`,
    subject: countries[code].name,
    prompt: prompt(nameOf(code)),
    targetNew: target,
    targetOld: answersOf(code, relation)[0],
    tests: {
      paraphrases: paraphrases(nameOf(code)),
      neighbours: chooseNeighbours(change, relation),
      otherRelations: otherRelations(code, relation),
      aliases: [{ prompt: prompt(COUNTRIES[code].alias), targets: [target] }],
      reversed: [reversed(change, relation)],
      oneHop: [oneHop(change, relation)],
    },
  }
}

/** All facts as the text of the file, one record a line. */
function formatFacts() {
  const facts = Object.keys(RELATIONS).flatMap((relation) =>
    assignTargets(relation).map((change) => makeFact(change, relation)),
  )
  return `[\n${facts.map((fact) => JSON.stringify(fact)).join(',\n')}\n]\n`
}

const text = formatFacts()
if (process.argv.includes('--check')) {
  const isCurrent = readFileSync(TARGET_FILE, 'utf8') === text
  if (!isCurrent)
    console.error('facts/countries.json is not what tools/facts/countries.mjs makes: run it, commit the file.')
  process.exitCode = isCurrent ? 0 : 1
} else {
  writeFileSync(TARGET_FILE, text)
}
