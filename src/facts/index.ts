/** The formats of facts and the one way to read a file of them. */
import { readFile, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { WhicheditError } from '../errors.ts'
import { buildCases } from './build.ts'
import { parseRows } from './build-rows.ts'
import type { Templates } from './build-words.ts'
import { type Collection, createCollector } from './collect.ts'
import { counterfact } from './counterfact.ts'
import { counterfactFlat } from './counterfact-flat.ts'
import type { Fact } from './fact.ts'
import { knowedit } from './knowedit.ts'
import { knoweditWikibio } from './knowedit-wikibio.ts'
import { mquake } from './mquake.ts'
import { pararel } from './pararel.ts'
import { describe, type FactReader, type RawRecord, refuse, type Where } from './reader.ts'
import { type JsonRecord, parseRecords } from './records.ts'
import { whichedit } from './whichedit.ts'
import { expandWorld, knowWorld } from './world.ts'
import { zsre } from './zsre.ts'

/** All formats, in the order in which they are tried: the more particular first. */
export const FACT_READERS = {
  [whichedit.name]: whichedit,
  [counterfact.name]: counterfact,
  [mquake.name]: mquake,
  [zsre.name]: zsre,
  [knoweditWikibio.name]: knoweditWikibio,
  [knowedit.name]: knowedit,
  [counterfactFlat.name]: counterfactFlat,
  [pararel.name]: pararel,
} satisfies Record<string, FactReader>

/** The sets that ship with the product, by name, with what they are. */
export const FACT_SETS = {
  'world:probe': 'countries, cities, currencies, states of the US and chemical elements: the part for trying methods',
  'world:confirm': 'the part of world for trying the best ones again',
  'world:prepare': 'the part of world for choosing sites and settings',
  'world:train': 'the part of world that methods learn from when another is tried',
  world: 'all of world',
  countries: 'capitals, currencies and languages of countries',
} as const satisfies Record<string, string>

/** Tried where no facts are named. */
export const DEFAULT_FACTS = 'world:probe' satisfies keyof typeof FACT_SETS

/** A file of facts, read. */
export interface FactFile extends Collection {
  /** The file's path, or the name of a built-in set. */
  readonly file: string
  readonly format: FactReader
  /** Records in the file; some may have been left out or joined. */
  readonly records: number
}

/** Far above every published set; a text of more could not be held. */
const MAX_BYTES = 256 * 2 ** 20

/**
 * Reads facts from a file, or a built-in set by its name. The format is found from the first record's fields.
 * @throws E_FACTS_MISSING, E_FACTS_UNREADABLE, E_FACTS_EMPTY, E_FACTS_FORMAT, and E_FACT naming the record at fault.
 */
export async function readFacts(file: string): Promise<FactFile> {
  if (!isSetName(file)) return parseFacts(await readText(file, file), file)
  const [set = file, split] = file.split(':')
  const text = await readText(locateShipped(set), file)
  if (set !== 'world') return parseFacts(text, file)
  const wordings: unknown = JSON.parse(await readText(locateShipped('wordings'), file))
  const records = expandWorld(JSON.parse(text), wordings, split).map((value, at) => {
    return { value, where: { file, record: at + 1, line: at + 1 } }
  })
  return collectFacts(whichedit, records, file)
}

/** The part of world that methods learn from, whichever other part is tried. */
const LEARNING_SET = 'world:train' satisfies keyof typeof FACT_SETS
const TRIED_PARTS: readonly string[] = [
  'world:probe',
  'world:confirm',
  'world:prepare',
] satisfies (keyof typeof FACT_SETS)[]

/** The facts that ship for methods to learn from where a part of world is tried; null for others, which have themselves only. */
export async function readLearningFacts(file: string): Promise<readonly Fact[] | null> {
  return TRIED_PARTS.includes(file) ? (await readFacts(LEARNING_SET)).facts : null
}

/** Reads facts from the text of a file; `file` is named in errors. @throws as {@link readFacts}, without the first two. */
export function parseFacts(text: string, file: string): FactFile {
  const records = parseRecords(text, file)
  const [first] = records
  if (first !== undefined) return collectFacts(chooseReader(first), records, file)
  const advice = 'Write records as a JSON list, or one JSON object a line.'
  throw new WhicheditError('E_FACTS_EMPTY', { file, found: text.trim() === '' ? 'nothing' : 'an empty list', advice })
}

/**
 * Makes complete cases of a user's rows (`build-rows.ts`): a file of CSV or JSON Lines, and words for its relations, if any.
 * @throws E_FACTS_MISSING, E_FACTS_UNREADABLE, E_FACTS_EMPTY, and E_FACT naming the row at fault.
 */
export async function buildFacts(file: string, templates: Templates = {}): Promise<Collection> {
  const triples = parseRows(await readText(file, file), file)
  const [world, wordings] = await Promise.all(
    ['world', 'wordings'].map(async (name): Promise<unknown> => JSON.parse(await readText(locateShipped(name), name))),
  )
  const drafts = buildCases({ triples, templates, knowledge: knowWorld(world, wordings) })
  const advice = 'Give at least one row a targetNew.'
  if (drafts.length === 0)
    throw new WhicheditError('E_FACTS_EMPTY', { file, found: 'no row with a new object', advice })
  const collector = createCollector(whichedit)
  for (const { draft, where } of drafts) collector.addDraft(draft, where)
  return collector.finish()
}

/** Makes facts of records that are all of one format. */
function collectFacts(format: FactReader, records: readonly JsonRecord[], file: string): FactFile {
  const collector = createCollector(format)
  for (const { value, where } of records) collector.add(takeFormat(value, format, where), where)
  const { facts, notes } = collector.finish()
  if (facts.length === 0) {
    const found = `${records.length} records of ${format.title} that cannot be used`
    throw new WhicheditError('E_FACTS_EMPTY', { file, found, advice: notes.map((note) => note.text).join('; ') })
  }
  return { file, format, records: records.length, facts, notes }
}

/** Where a file of facts lies that ships with the product. */
function locateShipped(name: string): string {
  return fileURLToPath(new URL(`../../facts/${name}.json`, import.meta.url))
}

/** Reads a text; `file` is named in errors. */
async function readText(path: string, file: string): Promise<string> {
  try {
    const { size } = await stat(path)
    if (size > MAX_BYTES) throw new Error(`it has ${size} bytes, at most ${MAX_BYTES} are read`)
    // Takes a byte-order mark away.
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path))
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') {
      throw new WhicheditError('E_FACTS_MISSING', { file, sets: Object.keys(FACT_SETS).join(', ') }, { cause })
    }
    throw new WhicheditError('E_FACTS_UNREADABLE', { file, reason: describeReason(cause) }, { cause })
  }
}

function isSetName(file: string): file is keyof typeof FACT_SETS {
  return Object.hasOwn(FACT_SETS, file)
}

function describeReason(cause: unknown): string {
  if (cause instanceof TypeError) return 'it is not UTF-8 text; save it as UTF-8'
  return cause instanceof Error ? cause.message : String(cause)
}

function findReader(record: RawRecord): FactReader | undefined {
  return Object.values(FACT_READERS).find((reader) => reader.recognises(record))
}

function chooseReader({ value, where }: JsonRecord): FactReader {
  const reader = findReader(toObject(value, where))
  if (reader !== undefined) return reader
  const formats = Object.values(FACT_READERS).map(({ title, fields }) => `  ${title}: ${fields}`)
  throw new WhicheditError('E_FACTS_FORMAT', {
    ...where,
    formats: formats.join('\n'),
    found: describe(value),
    advice: 'The simplest record is {"subject": "…", "prompt": "… {} …", "targetNew": "…"}.',
  })
}

function toObject(value: unknown, where: Where): RawRecord {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as RawRecord
  throw refuse(where, 'a JSON object', describe(value), 'Each fact is an object with its fields.')
}

/** The record, which must be of the file's format. */
function takeFormat(value: unknown, format: FactReader, where: Where): RawRecord {
  const record = toObject(value, where)
  const found = findReader(record)
  if (found === format) return record
  const what = found === undefined ? describe(record) : `one of ${found.title}`
  throw refuse(where, `a record of ${format.title} like the first one`, what, 'Keep each format in a file of its own.')
}
