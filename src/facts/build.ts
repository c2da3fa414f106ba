/**
 * Makes complete cases of a user's rows: paraphrases from templates; neighbours, other relations, aliases, reversed and one-hop
 * questions from the other rows and from what the fact world knows. Everything that was made is marked for review.
 *
 * What is asked beside an edit must be true and stay true, so it comes first from rows that are not edited, then from the
 * world; the old object of a row that is edited itself serves only where there is nothing else. A one-hop question goes on
 * from the new object, as the study built them: the new headquarters' country. It is left out where its answer would be the
 * same before the edit.
 */
import type { Triple } from './build-rows.ts'
import { findWords, type Templates, useWorld, type Words } from './build-words.ts'
import type { DraftHop, DraftQuestion, DraftTests, FactDraft, Where } from './reader.ts'
import { begin, fill, type Names, rephrase } from './wording.ts'
import type { Knowledge } from './world.ts'

/** What cases are made of. */
export interface Material {
  readonly triples: readonly Triple[]
  readonly templates: Templates
  readonly knowledge: Knowledge
}

const NEIGHBOURS = 5
const OTHER_RELATIONS = 3
const HOPS = 2

/** A fact that may be asked: of a row, or of the world. */
interface Known {
  readonly words: Words
  readonly subject: string
  /** What is true before any edit; empty where no row says it. */
  readonly answers: readonly string[]
  /** The new object, if it is edited. */
  readonly target?: string
  /** The prompt of its row, with {} for the subject. */
  readonly prompt?: string
  readonly isOfUser: boolean
}

/** A case to be made: its row, and the same as a fact. */
interface Job {
  readonly triple: Triple
  readonly known: Known
  readonly target: string
  /** Its place among the cases: wordings and neighbours are taken in turn. */
  readonly at: number
}

/** A case that was made, and the row it was made of. */
export interface BuiltCase {
  readonly draft: FactDraft
  readonly where: Where
}

/** Makes a case of each row that has a new object. */
export function buildCases(material: Material): BuiltCase[] {
  const pool = createPool(material)
  const jobs = material.triples.flatMap((triple, row) => {
    const known = pool.ofUser[row]
    return triple.target === undefined || known === undefined ? [] : [{ triple, known, target: triple.target }]
  })
  return jobs.map((job, at) => ({ draft: buildCase({ ...job, at }, pool), where: job.triple.where }))
}

function buildCase(job: Job, pool: Pool): FactDraft {
  const { triple, known, target } = job
  const { subject, answers } = known
  const prompt = pool.prompt(known)
  const isNew = (question: { readonly prompt: string }): boolean => question.prompt !== prompt
  const names = pool.names(known)
  const paraphrases = rephrase(known.words, names, job.at).map((text) => keepCase(text, subject))
  const tests = {
    paraphrases: [...new Set(paraphrases)].filter((text) => text !== prompt && text.includes(subject)),
    neighbours: findNeighbours(job, pool).map((other) => pool.ask(other, triple.prompt)),
    otherRelations: findOthers(known, pool)
      .map((other) => pool.ask(other))
      .filter(isNew),
    aliases: findAliases(job, pool).filter(isNew),
    reversed: reverse(job, pool),
    oneHop: findHops(job, pool),
  } satisfies DraftTests
  return {
    ...(triple.id === undefined ? {} : { id: triple.id }),
    subject,
    prompt,
    targetNew: target,
    targetsOld: answers,
    ...(triple.relation === undefined ? {} : { relation: known.words.name }),
    tests,
    review: Object.entries(tests).flatMap(([kind, prompts]) => (prompts.length > 0 ? [kind] : [])),
  }
}

/** Facts of the same relation about others: those that stay, then those of the world, then those that are edited themselves. */
function findNeighbours({ known, at }: Job, pool: Pool): Known[] {
  const others = pool.inRelation(known.words.name).filter((other) => areApart(other.subject, known.subject))
  const usable = others.filter(({ answers }) => answers.length > 0)
  const kept = usable.filter(isKept)
  const ofWorld = rotate(
    kept.filter(({ isOfUser }) => !isOfUser),
    at * NEIGHBOURS,
  )
  const edited = rotate(
    usable.filter((other) => !isKept(other)),
    at,
  )
  const inTurn = [...kept.filter(({ isOfUser }) => isOfUser), ...ofWorld, ...edited]
  // Rows that disagree about a subject ask the same; the first one asks.
  const first = new Map(inTurn.toReversed().map((other) => [other.subject, other]))
  return inTurn.filter((other) => first.get(other.subject) === other).slice(0, NEIGHBOURS)
}

function findOthers(known: Known, pool: Pool): Known[] {
  const others = pool.aboutSubject(known.subject).filter(({ words }) => words.name !== known.words.name)
  return others.filter((other) => isKept(other) && other.answers.length > 0).slice(0, OTHER_RELATIONS)
}

function findAliases({ triple, known, target }: Job, pool: Pool): DraftQuestion[] {
  const { words, subject } = known
  const names = [...triple.aliases, ...pool.aliases(words.name, subject)].filter((name) => name !== subject)
  return [...new Set(names)].map((name) => ({ prompt: pool.prompt(known, triple.prompt, name), targets: [target] }))
}

/** The fact from its object's side; none where its answer would not be the subject alone. */
function reverse({ known, target, at }: Job, pool: Pool): DraftQuestion[] {
  const { words, subject } = known
  const others = pool.inRelation(words.name).filter((other) => other.subject !== subject)
  const having = others.filter(({ answers, target: theirs }) => answers.includes(target) || theirs === target)
  const targets = [...new Set([fill(words.kind.answer, pool.names(known)), subject])]
  if (words.choice !== undefined) {
    const foils = others.filter((other) => !having.includes(other) && areApart(other.subject, subject))
    const foil = rotate(foils, at)[0]
    if (foil === undefined) return []
    const [a, b] = at % 2 === 0 ? [subject, foil.subject] : [foil.subject, subject]
    return [{ prompt: `Of ${fill(words.kind.pair, { a, b })}, ${fill(words.choice, { o: target })}`, targets }]
  }
  const [owner, ...more] = having
  const template = owner === undefined ? words.reversed : words.besides
  if (template === undefined || more.length > 0) return []
  return [{ prompt: fill(template, { o: target, owner: owner === undefined ? '' : pool.names(owner).s }), targets }]
}

/** Questions through the new object, where it is known what holds of it and that another answer was right before. */
function findHops({ known, target }: Job, pool: Pool): DraftHop[] {
  const { words, answers } = known
  const { phrase } = words
  if (phrase === undefined) return []
  // The capital of France is a city in France, whatever city it is; an answer that is right for another question about the
  // subject would not show an edit.
  const unchanged = [known.subject, ...answers, ...findOthers(known, pool).flatMap((other) => other.answers)]
  const through = { s: fill(phrase, pool.names(known)), n: '' }
  const hops = pool.aboutSubject(target).flatMap((second): DraftHop[] => {
    if (!isKept(second) || second.answers.length === 0 || second.prompt !== undefined) return []
    const before = answers.flatMap((old) => pool.aboutSubject(old)).filter((other) => other.words === second.words)
    const targetsOld = before.flatMap((other) => other.answers)
    if ([...unchanged, ...targetsOld].some((old) => second.answers.includes(old))) return []
    const prompt = begin(second.words.statements[0], through)
    const old = targetsOld.length === 0 ? {} : { targetsOld }
    return [{ prompt, targets: second.answers, ...old, secondFact: pool.ask(second) }]
  })
  return hops.slice(0, HOPS)
}

const isKept = ({ target }: Known): boolean => target === undefined

/** Whether neither name is part of the other. */
const areApart = (one: string, other: string): boolean => !one.includes(other) && !other.includes(one)

function rotate<T>(items: readonly T[], by: number): T[] {
  const start = items.length === 0 ? 0 : by % items.length
  return [...items.slice(start), ...items.slice(0, start)]
}

/** A text that has the subject as it is written, although it begins with a small letter: iPhone. */
function keepCase(text: string, subject: string): string {
  const [first = ''] = subject
  const wrong = first.toUpperCase() + subject.slice(first.length)
  return text.startsWith(wrong) ? subject + text.slice(wrong.length) : text
}

/** All that is known, and how it is asked. */
interface Pool {
  /** The rows, in their order. */
  readonly ofUser: readonly Known[]
  inRelation(name: string): readonly Known[]
  aboutSubject(subject: string): readonly Known[]
  /** Other names of a subject that the world knows as one of the relation's kind: a firm called Rome has none. */
  aliases(relation: string, subject: string): readonly string[]
  names(known: Known): Names
  /** The prompt of a fact; `template` goes before the relation's own words, `name` before the subject's. */
  prompt(known: Known, template?: string, name?: string): string
  /** The fact as it is before the edits. */
  ask(known: Known, template?: string): DraftQuestion
}

function createPool({ triples, templates, knowledge }: Material): Pool {
  const kindOf = (relation: string): string => knowledge.wordings.relations[relation]?.subject ?? ''
  const ofKind = new Set(knowledge.facts.map(({ relation, subject }) => keyOf(kindOf(relation), subject)))
  const isKnown = (relation: string, subject: string): boolean => ofKind.has(keyOf(kindOf(relation), subject))
  const ofUser = sayRows({ triples, templates, knowledge }, isKnown)
  const taken = new Set(ofUser.map(({ words, subject }) => keyOf(words.name, subject)))
  const relations = new Map(ofUser.map(({ words }) => [words.name, words]))
  const wordsOf = (name: string): Words | undefined => {
    const relation = knowledge.wordings.relations[name]
    const words = relations.get(name) ?? (relation && useWorld(name, relation, knowledge.wordings))
    if (words !== undefined) relations.set(name, words)
    return words
  }
  const ofWorld = knowledge.facts.flatMap(({ relation, subject, answers }): Known[] => {
    const words = wordsOf(relation)
    if (words === undefined || taken.has(keyOf(relation, subject))) return []
    return [{ words, subject, answers, isOfUser: false }]
  })
  const all = [...ofUser, ...ofWorld]
  const byRelation = group(all, ({ words }) => words.name)
  const bySubject = group(all, ({ subject }) => subject)
  const call = ({ words }: Known, name: string): Names => {
    const n = knowledge.article(name)
    return { s: fill(words.kind.shown, { n }), n }
  }
  const prompt = (known: Known, template = known.prompt, name = known.subject): string => {
    if (template !== undefined) return template.replace('{}', () => name)
    return keepCase(begin(known.words.statements[0], call(known, name)), name)
  }
  return {
    ofUser,
    inRelation: (name) => byRelation.get(name) ?? [],
    aboutSubject: (subject) => bySubject.get(subject) ?? [],
    aliases: (relation, subject) => (isKnown(relation, subject) && knowledge.aliases.get(subject)) || [],
    names: (known) => call(known, known.subject),
    prompt,
    ask: (known, template) => ({ prompt: prompt(known, known.prompt ?? template), targets: known.answers }),
  }
}

const keyOf = (relation: string, subject: string): string => JSON.stringify([relation, subject])

/** The rows as facts, with the words of their relations. */
function sayRows(
  { triples, templates, knowledge }: Material,
  isKnown: (relation: string, subject: string) => boolean,
): Known[] {
  const known = {
    wordings: knowledge.wordings,
    knowsAny: (relation: string, subjects: readonly string[]) => subjects.some((subject) => isKnown(relation, subject)),
  }
  const keyOfRow = ({ relation, prompt }: Triple): string => relation ?? prompt ?? ''
  const words = new Map(
    [...group(triples, keyOfRow)].map(([key, rows]) => {
      const { relation: name, prompt } = rows[0] ?? {}
      const relation = { ...(name === undefined ? {} : { name }), ...(prompt === undefined ? {} : { prompt }) }
      const subjects = rows.map(({ subject }) => subject)
      return [key, findWords(relation, subjects, { templates, known })]
    }),
  )
  return triples.flatMap((triple): Known[] => {
    const found = words.get(keyOfRow(triple))
    if (found === undefined) return []
    const { subject, answers, target, prompt } = triple
    const edit = target === undefined ? {} : { target }
    return [{ words: found, subject, answers, ...edit, ...(prompt === undefined ? {} : { prompt }), isOfUser: true }]
  })
}

function group<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const found = groups.get(key(item))
    if (found === undefined) groups.set(key(item), [item])
    else found.push(item)
  }
  return groups
}
