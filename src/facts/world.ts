/**
 * The fact world that ships: facts of packages with a permissive licence, in facts/world.json, said in the words of
 * facts/wordings.json. A fact there is a row with names only; here it becomes a record of the product's own format with all
 * its tests. So the files stay small, and one place decides how a thing is asked.
 *
 * What each case changes and which facts stand beside it was chosen by tools/facts/world.mjs, which says how.
 */
import { z } from 'zod'
import { WhicheditError } from '../errors.ts'
import type { RawRecord } from './reader.ts'
import { begin, fill, type Kind, type Names, type Relation, rephrase, say, WORDINGS, type Wordings } from './wording.ts'

const NAMES = z.array(z.string())

const ROW = z.object({
  /** The subject's bare name. */
  s: z.string(),
  /** Its answers, best first. */
  o: z.tuple([z.string()], z.string()),
  split: z.string(),
  /** The new object; absent: the fact is never edited. */
  new: z.string().optional(),
  /** Subjects of neighbours. */
  near: NAMES.default([]),
  /** Other relations of the subject that are asked. */
  beside: NAMES.default([]),
  /** The other subject of a reversed question that offers two. */
  foil: z.string().optional(),
  /** The relation by which a hop goes on from the new object, or by whose object it describes the subject. */
  hop: z.object({ through: z.string().optional(), by: z.string().optional() }).default({}),
})

const WORLD = z.object({
  /** Names that take an article. */
  articles: NAMES,
  aliases: z.record(z.string(), NAMES),
  facts: z.record(z.string(), z.array(ROW)),
})

type Row = z.output<typeof ROW>

/** A row with the words for it. */
interface Entry {
  readonly name: string
  readonly relation: Relation
  readonly row: Row
  /** Its place among the facts of its relation: wordings are taken in turn. */
  readonly at: number
}

interface Asked {
  readonly prompt: string
  readonly targets: readonly string[]
}

/** The parts into which the world is dealt by subject. No text of one speaks of a subject of another. */
export const WORLD_SPLITS = ['train', 'prepare', 'probe', 'confirm'] as const

/**
 * Makes the facts of the world, or of one of its splits, as records of the product's own format.
 * @param world the parsed facts/world.json
 * @param wordings the parsed facts/wordings.json
 */
export function expandWorld(world: unknown, wordings: unknown, split?: string): RawRecord[] {
  const speaker = createSpeaker(WORLD.parse(world), WORDINGS.parse(wordings))
  const cases = speaker.entries.filter(({ row }) => split === undefined || row.split === split)
  return cases.flatMap((entry) => (entry.row.new === undefined ? [] : [toRecord(entry, entry.row.new, speaker)]))
}

/** What the world knows, without any edit. */
export interface Knowledge {
  readonly facts: readonly KnownFact[]
  readonly wordings: Wordings
  /** Other names, by name. */
  readonly aliases: ReadonlyMap<string, readonly string[]>
  /** A name with its article, if it takes one. */
  article(name: string): string
}

/** A true fact. */
export interface KnownFact {
  readonly relation: string
  readonly subject: string
  /** Best first. */
  readonly answers: readonly string[]
}

/** Makes the world's facts available as knowledge. Arguments as for {@link expandWorld}. */
export function knowWorld(world: unknown, wordings: unknown): Knowledge {
  const [parsed, words] = [WORLD.parse(world), WORDINGS.parse(wordings)]
  const { entries, article, answersOf } = createSpeaker(parsed, words)
  return {
    facts: entries.map(({ name, row }) => ({ relation: name, subject: row.s, answers: answersOf(row.o) })),
    wordings: words,
    aliases: new Map(Object.entries(parsed.aliases)),
    article,
  }
}

/** A case as a record. */
function toRecord(entry: Entry, object: string, speaker: Speaker): RawRecord {
  const { name, relation, row, at } = entry
  const target = speaker.answersOf([object])[0]
  return {
    id: `${name}-${row.s.replaceAll(/[^\p{L}\p{N}]+/gu, '-')}`,
    subject: row.s,
    prompt: speaker.prompt(entry),
    targetNew: target,
    targetOld: speaker.answersOf(row.o)[0],
    relation: name,
    tests: {
      paraphrases: rephrase(relation, speaker.show(entry), at),
      neighbours: row.near.map((other) => speaker.question(speaker.find(name, other))),
      otherRelations: row.beside.map((other) => speaker.question(speaker.find(other, row.s))),
      aliases: name === 'nativeName' ? [] : speaker.aliases(entry).map((prompt) => ({ prompt, targets: [target] })),
      reversed: [reverse(entry, object, speaker)],
      oneHop: [hop(entry, object, speaker)],
    },
  }
}

/** The fact from its object's side. */
function reverse(entry: Entry, object: string, speaker: Speaker): Asked {
  const { relation, row, at, name } = entry
  const targets = speaker.naming(entry)
  const { prompt, choice } = relation.reversed
  const o = speaker.answersOf([object])[0]
  if (prompt !== undefined) {
    const owner = speaker.findOwner(name, object)
    return { prompt: say(prompt, { o, ...(owner === undefined ? {} : { owner: speaker.show(owner).s }) }), targets }
  }
  if (choice === undefined || row.foil === undefined) throw broken(`no reversed question for ${row.s}`)
  const [a, b] = at % 2 === 0 ? [row.s, row.foil] : [row.foil, row.s]
  const pair = fill(speaker.kind(relation).pair, { a: speaker.article(a), b: speaker.article(b) })
  return { prompt: `Of ${pair}, ${fill(choice, { o })}`, targets }
}

/** A question that combines the edit with a second fact. */
function hop(entry: Entry, object: string, speaker: Speaker): Asked & { readonly secondFact: Asked } {
  const { relation, row } = entry
  const { through, by } = row.hop
  if (through !== undefined) {
    const second = speaker.find(through, object)
    const [phrase] = relation.phrases
    const described = { s: fill(phrase, speaker.show(entry)), n: '' }
    const secondFact = speaker.question(second)
    return { prompt: begin(second.relation.statements[0], described), targets: secondFact.targets, secondFact }
  }
  if (by === undefined) throw broken(`no hop for ${row.s}`)
  const known = speaker.find(by, row.s)
  const { describes } = known.relation
  if (describes === undefined) throw broken(`no description by ${by}`)
  const [value] = known.row.o
  const described = { s: fill(describes.as, { o: value }), n: '' }
  return {
    prompt: begin(relation.statements[0], described),
    targets: speaker.answersOf([object]),
    secondFact: { prompt: say(describes.prompt, { o: value }), targets: speaker.naming(entry) },
  }
}

type Answers = readonly [string, ...string[]]

/** Says the facts of a world. */
interface Speaker {
  readonly entries: readonly Entry[]
  /** A name with its article, if it takes one. */
  article(name: string): string
  kind(relation: Relation): Kind
  /** The subject as shown in a sentence, and its bare name. */
  show(entry: Entry): Names
  /** The subject as an answer. */
  naming(entry: Entry): string[]
  /** The edit's prompt. */
  prompt(entry: Entry): string
  /** The edit's prompt with other names of the subject. */
  aliases(entry: Entry): string[]
  question(entry: Entry): Asked
  answersOf(answers: Answers): Answers
  find(name: string, subject: string): Entry
  /** The fact that has an object, in a relation where each object has one. */
  findOwner(name: string, object: string): Entry | undefined
}

function createSpeaker(world: z.output<typeof WORLD>, wordings: Wordings): Speaker {
  const kinds = new Map(Object.entries(wordings.kinds))
  const relations = new Map(Object.entries(wordings.relations))
  const entries = Object.entries(world.facts).flatMap(([name, rows]) =>
    rows.map((row, at) => ({ name, relation: take(relations, name), row, at })),
  )
  const bySubject = new Map(entries.map((entry) => [JSON.stringify([entry.name, entry.row.s]), entry]))
  const byObject = new Map(entries.map((entry) => [JSON.stringify([entry.name, entry.row.o[0]]), entry]))
  const articles = new Set(world.articles)
  const article = (name: string): string => (articles.has(name) ? `the ${name}` : name)
  const kind = ({ subject }: Relation): Kind => take(kinds, subject)
  const call = (relation: Relation, n: string): Names => ({ s: fill(kind(relation).shown, { n }), n })
  const ask = ({ statements }: Relation, shown: Names) => begin(statements[0], shown)
  const show = ({ relation, row }: Entry) => call(relation, article(row.s))
  const prompt = (entry: Entry): string => ask(entry.relation, show(entry))
  const answersOf = ([best, ...others]: Answers): Answers =>
    articles.has(best) ? [article(best), best, ...others] : [best, ...others]
  return {
    entries,
    article,
    kind,
    show,
    naming: ({ relation, row }) => [...new Set([fill(kind(relation).answer, { n: article(row.s) }), row.s])],
    prompt,
    aliases: ({ relation, row }) => (world.aliases[row.s] ?? []).map((other) => ask(relation, call(relation, other))),
    question: (entry) => ({ prompt: prompt(entry), targets: answersOf(entry.row.o) }),
    answersOf,
    find: (name, subject) => take(bySubject, JSON.stringify([name, subject])),
    findOwner: (name, object) => byObject.get(JSON.stringify([name, object])),
  }
}

/** The value of a key that must be there. */
function take<T>(from: ReadonlyMap<string, T>, key: string): T {
  const value = from.get(key)
  if (value === undefined) throw broken(`nothing for ${key}`)
  return value
}

/** The files ship with the product: what is missing in them is a defect. */
function broken(what: string): WhicheditError {
  return new WhicheditError('E_INTERNAL', { what: `fact world: ${what}` })
}
