/**
 * Makes the fact world: `node tools/facts/world.mjs` writes facts/world.json, the same bytes each time; `--check` only tells
 * whether that file is up to date. The truth is in world-truth.mjs, the wordings are in facts/wordings.json; src/facts/world.ts
 * puts both together into facts with all their tests.
 *
 * Here it is chosen what each case changes and what is asked beside it:
 * - Splits: whole groups (a country with its cities and its currency, …) are dealt out, so that no text of one split speaks of a
 *   subject of another.
 * - Kept facts: about a fifth of each relation in each split is never edited. Neighbours, second facts of hops and the foils of
 *   reversed questions are kept facts, so cases about different subjects can be edited together: no test of one is
 *   contradicted by another. Other relations of the same subject are kept ones where there are any.
 * - New objects come from the same split. Where each subject has an object of its own, no two cases of a split get the same. A
 *   capital becomes a city that is none, on another continent. A place or capital goes to another country of its continent
 *   and its side of the equator, so that those stay true.
 * - One hop goes through the new object where the world knows more about it (country of a city → its currency), else it
 *   describes the subject by another of its facts (the country whose capital is …).
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { mentions, readTruth } from './world-truth.mjs'

const TARGET_FILE = new URL('../../facts/world.json', import.meta.url)
const WORDINGS = JSON.parse(readFileSync(new URL('../../facts/wordings.json', import.meta.url), 'utf8'))

/** Out of 20 groups of a kind; methods that learn need many facts, a confirmation few. */
const SPLITS = { train: 8, prepare: 3, probe: 6, confirm: 3 }
const KEPT_SHARE = 0.2
const NEIGHBOURS = 5
/** One neighbour more, for the foil. */
const FEWEST_KEPT = NEIGHBOURS + 1
const MOST_KEPT = 40
const OTHER_RELATIONS = 2

/** Relations in which each subject has an object of its own. */
const ONE_TO_ONE = new Set(
  `capital callingCode domain countryCode nativeName currencyCode currencyNumber stateCapital abbreviation symbol
  atomicNumber`.split(/\s+/),
)

/** Relations through which a hop goes on from the new object, by the relation that is edited. */
const THROUGH = {
  capital: ['placeContinent'],
  country: ['currency', 'language', 'callingCode', 'capital', 'domain'],
  capitalOf: ['currency', 'language', 'callingCode', 'domain', 'countryCode'],
  currencyOf: ['capital', 'language', 'callingCode', 'domain', 'countryCode'],
  state: ['stateCapital', 'abbreviation', 'region'],
  currency: ['currencyCode', 'currencyNumber'],
}

/** Facts by which a subject can be described, by its kind, best first. */
const DESCRIPTIONS = {
  country: ['capital', 'domain', 'callingCode'],
  state: ['abbreviation', 'stateCapital'],
  currency: ['currencyCode', 'currencyNumber'],
  element: ['symbol', 'atomicNumber'],
}

/** Other relations of a subject, by its kind. */
const BESIDE = {
  country: ['continent', 'callingCode', 'language', 'currency', 'domain', 'countryCode', 'capital'],
  capital: ['placeContinent', 'placeHemisphere'],
  city: ['placeContinent', 'placeHemisphere'],
  townOfState: ['placeContinent', 'placeHemisphere'],
  state: ['abbreviation', 'region', 'stateCapital'],
  currency: ['currencyCode', 'currencyOf', 'currencyNumber'],
  element: ['symbol', 'period', 'atomicNumber'],
}

/** FNV-1a: scatters names, the same on every machine. */
function hash(text) {
  let value = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0
  // The last bits of similar names are alike: mix them.
  value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d) >>> 0
  return (value ^ (value >>> 13)) >>> 0
}

const scatter = (items, name) => items.toSorted((a, b) => hash(name(a)) - hash(name(b)) || (name(a) < name(b) ? -1 : 1))
const rotate = (items, by) => items.map((_, at) => items[(at + by) % items.length])

/** Groups that must stay together because the name of one's subject is part of the name of another's. */
function uniteGroups(facts) {
  const parent = new Map()
  const find = (group) => (parent.has(group) ? find(parent.get(group)) : group)
  const byName = new Map(Object.values(facts).flatMap((rows) => rows.map(({ s, group }) => [s, group])))
  const seats = facts.capital.map(({ o, group }) => [o[0], group])
  for (const [name, group] of [...byName, ...seats]) {
    const parts = name.split(/[ -]/)
    for (let start = 0; start < parts.length; start++) {
      for (let end = start + 1; end <= parts.length; end++) {
        const other = byName.get(parts.slice(start, end).join(' '))
        if (other !== undefined && find(group) !== find(other)) parent.set(find(group), find(other))
      }
    }
  }
  return find
}

/** Deals the groups of each kind out to the splits. */
function dealSplits(facts) {
  const find = uniteGroups(facts)
  const groups = [...new Set(Object.values(facts).flatMap((rows) => rows.map(({ group }) => find(group))))]
  const kindOf = (group) => (group.includes('-') ? group.split('-')[0] : 'country')
  // Taken in turns, so that each stretch of groups has its share of every split.
  const turns = scatter(
    Object.entries(SPLITS).flatMap(([split, share]) => Array.from({ length: share }, (_, at) => ({ split, at }))),
    ({ split, at }) => `${split} ${at}`,
  )
  const splitOf = new Map()
  for (const kind of new Set(groups.map(kindOf))) {
    const ofKind = scatter(
      groups.filter((group) => kindOf(group) === kind),
      (group) => group,
    )
    for (const [at, group] of ofKind.entries()) splitOf.set(group, turns[at % turns.length].split)
  }
  return (group) => splitOf.get(find(group))
}

/** The world with splits and kept facts, ready to choose from. */
function prepareWorld(facts) {
  const splitOf = dealSplits(facts)
  const rows = Object.entries(facts).flatMap(([relation, all]) =>
    all.map(({ s, o, group }) => ({ relation, s, o, group, split: splitOf(group) })),
  )
  const lists = groupBy(rows, keyOf)
  for (const list of lists.values()) {
    const count = Math.max(FEWEST_KEPT, Math.min(MOST_KEPT, Math.ceil(list.length * KEPT_SHARE)))
    const isAside = WORDINGS.relations[list[0].relation].aside !== undefined
    scatter(list, ({ relation, s }) => `kept ${relation} ${s}`).forEach((row, at) => {
      row.kept = isAside || at < count
    })
  }
  const inCountry = groupBy(
    rows.filter(({ relation }) => relation === 'country' || relation === 'capitalOf'),
    ({ o }) => o[0],
  )
  const bySubject = new Map(rows.map((row) => [`${row.relation} ${row.s}`, row]))
  return {
    rows,
    /** The facts of a relation in a split. */
    list: (relation, split) => lists.get(`${relation} ${split}`) ?? [],
    /** The cities of a country and its capital. */
    placesOf: (country) => (inCountry.get(country) ?? []).map(({ s }) => s),
    /** The fact of a subject in a relation. */
    find: (relation, s) => bySubject.get(`${relation} ${s}`),
  }
}

const keyOf = ({ relation, split }) => `${relation} ${split}`

function groupBy(items, key) {
  const groups = new Map()
  for (const item of items) {
    const group = groups.get(key(item))
    if (group === undefined) groups.set(key(item), [item])
    else group.push(item)
  }
  return groups
}

/** Objects that may become the new one, in the order in which they are tried. */
function listTargets(world, row) {
  const { relation, split, s } = row
  const source = { capital: 'country', stateCapital: 'state' }[relation]
  const turn = hash(`target ${relation} ${s}`)
  const list = source === undefined ? world.list(relation, split) : world.list(source, split)
  const objects = [...new Set(list.map((other) => (source === undefined ? other.o[0] : other.s)))]
  return objects.length === 0 ? [] : rotate(objects, turn % objects.length).filter((object) => object !== row.o[0])
}

/** Whether a new object leaves true what is asked beside the edit. */
function fits(world, { relation, s, o }, object) {
  const answer = (asked, subject) => world.find(asked, subject)?.o[0]
  const beside = BESIDE[WORDINGS.relations[relation].subject]
  // Carbon in period 6 would have the atomic number as its period.
  if (beside.some((other) => other !== relation && answer(other, s) === object)) return false
  if (relation === 'capital') return answer('placeContinent', object) !== answer('continent', s)
  if (relation === 'stateCapital') return answer('state', object) !== s
  if (relation === 'atomicNumber') return periodOf(world, object) === periodOf(world, o[0])
  if (relation === 'country' || relation === 'capitalOf') {
    const isThere = world
      .placesOf(object)
      .every((place) => answer('placeHemisphere', place) === answer('placeHemisphere', s))
    return isThere && answer('continent', object) === answer('placeContinent', s)
  }
  return true
}

function periodOf(world, number) {
  const { s } = world.rows.find(({ relation, o }) => relation === 'atomicNumber' && o[0] === number)
  return world.find('period', s).o[0]
}

/** A one-hop question whose second fact no case of another subject edits; undefined where there is none. */
function chooseHop(world, row, object) {
  const { relation, s, o } = row
  const onward = THROUGH[relation] ?? []
  const through = rotate(onward, hash(`hop ${relation} ${s}`)).find((next) => {
    const [second, before] = [world.find(next, object), world.find(next, o[0])]
    // After another capital the answer was that of the country itself.
    const old = relation === 'capital' ? world.find('continent', s) : before
    const isKnown = relation === 'currency' || old !== undefined
    return second?.kept && isKnown && !second.o.some((answer) => old?.o.includes(answer))
  })
  if (through !== undefined) return { through }
  const by = (DESCRIPTIONS[WORDINGS.relations[relation].subject] ?? []).find((next) => {
    const known = world.find(next, s)
    if (next === relation || known === undefined) return false
    return next !== 'capital' || world.find('capitalOf', known.o[0])?.kept
  })
  return by === undefined ? undefined : { by }
}

/** Kept facts of other subjects: one that has the new object, two with the old one, then others in turn. */
function chooseKept(world, row, object) {
  const isOther = ({ s }) => !mentions(s, row.s) && !mentions(row.s, s)
  const kept = world.list(row.relation, row.split).filter((other) => other.kept && isOther(other))
  const inTurn = rotate(kept, hash(`near ${row.relation} ${row.s}`))
  const having = (wanted, most) => inTurn.filter(({ o }) => o[0] === wanted).slice(0, most)
  const near = [...new Set([...having(object, 1), ...having(row.o[0], 2), ...inTurn])].slice(0, NEIGHBOURS)
  const foil = inTurn.findLast(({ o }) => o[0] !== object)
  return { near: near.map(({ s }) => s), foil: foil?.s }
}

function chooseBeside(world, { relation, s }) {
  const beside = BESIDE[WORDINGS.relations[relation].subject].filter((other) => other !== relation)
  const known = rotate(beside, hash(`beside ${relation} ${s}`)).map((other) => world.find(other, s))
  const usable = known.filter((other) => other !== undefined)
  return [...usable.filter(({ kept }) => kept), ...usable.filter(({ kept }) => !kept)]
    .slice(0, OTHER_RELATIONS)
    .map((other) => other.relation)
}

/** What a case changes and asks; undefined where something cannot be asked, then the fact is kept too. */
function chooseCase(world, row, isFree) {
  const beside = chooseBeside(world, row)
  for (const object of listTargets(world, row)) {
    if (!isFree(object) || !fits(world, row, object)) continue
    const hop = chooseHop(world, row, object)
    const { near, foil } = chooseKept(world, row, object)
    if (hop === undefined || near.length < NEIGHBOURS || foil === undefined || beside.length < OTHER_RELATIONS) continue
    const needsFoil = WORDINGS.relations[row.relation].reversed.choice !== undefined
    return { new: object, near, beside, ...(needsFoil ? { foil } : {}), hop }
  }
  return undefined
}

function chooseCases(world) {
  const taken = new Set()
  for (const row of scatter(world.rows, ({ relation, s }) => `case ${relation} ${s}`)) {
    if (row.kept) continue
    const key = (object) => `${row.relation} ${row.split} ${object}`
    const isFree = (object) => !ONE_TO_ONE.has(row.relation) || !taken.has(key(object))
    row.case = chooseCase(world, row, isFree)
    if (row.case !== undefined) taken.add(key(row.case.new))
  }
}

/** All facts as the text of the file, one a line. */
function formatWorld() {
  const { facts, articles, aliases } = readTruth()
  const world = prepareWorld(facts)
  chooseCases(world)
  const known = new Set(world.rows.map(({ s }) => s))
  const head = {
    about:
      'Made by tools/facts/world.mjs; do not edit. s: subject, o: answers, best first; a fact without "new" is never edited.',
    articles,
    aliases: Object.fromEntries(Object.entries(aliases).filter(([name]) => known.has(name))),
  }
  const blocks = Object.keys(WORDINGS.relations).map((relation) => {
    const lines = world.rows
      .filter((row) => row.relation === relation)
      .map(({ s, o, split, case: edit }) => JSON.stringify({ s, o, split, ...edit }))
    return `${JSON.stringify(relation)}:[\n${lines.join(',\n')}\n]`
  })
  return `${JSON.stringify(head).slice(0, -1)},"facts":{\n${blocks.join(',\n')}\n}}\n`
}

const text = formatWorld()
if (process.argv.includes('--check')) {
  const isCurrent = readFileSync(TARGET_FILE, 'utf8') === text
  if (!isCurrent) console.error('facts/world.json is not what tools/facts/world.mjs makes: run it, commit the file.')
  process.exitCode = isCurrent ? 0 : 1
} else {
  writeFileSync(TARGET_FILE, text)
}
