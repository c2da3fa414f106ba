/**
 * Reads YAML against a schema: profiles, settings of methods. The only importer of `yaml`.
 * A file is data of unknown origin: its size is bounded, aliases, tags and duplicate keys are refused, and whatever does not
 * fit the schema is told as `file:line:column: expected …, found …`, with the nearest right word where a word is wrong.
 *
 * Messages that a schema's own checks give (zod's `custom` issues) are phrases that end "expected …": `a duration such as 2 h`.
 */
import { open } from 'node:fs/promises'
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from 'yaml'
import { z } from 'zod'
import { WhicheditError } from './errors.ts'
import { printable } from './printable.ts'
import { suggest } from './suggest.ts'

/** Far above any settings file; keeps a wrong path (a model file) from being read whole. */
const MAX_BYTES = 256 * 1024
/** A message names so many problems; the rest is counted. */
const MAX_PROBLEMS = 8
/** Longest piece of the file that is quoted in a message. */
const MAX_QUOTE = 60

/** What zod says of a union for which the schema has no words of its own. */
const UNTOLD = 'Invalid input'

type Path = readonly (string | number)[]

/** A value to be written at a path of keys and list places. */
export interface SettingsChange {
  readonly path: Path
  readonly value: unknown
}

interface Problem {
  /** Offset in the text. */
  readonly at: number
  readonly expected: string
  readonly found: string
  readonly hint?: string
}

/** A text being read, with what is needed to name a place in it. */
interface Source {
  readonly document: Document.Parsed
  readonly lines: LineCounter
  readonly label: string
}

/**
 * Reads a settings file.
 * @throws E_SETTINGS_MISSING where there is no such file, E_SETTINGS_UNREADABLE where it cannot be read, E_SETTINGS for what is wrong in it.
 */
export async function readSettings<S extends z.ZodType>(file: string, schema: S): Promise<z.output<S>> {
  return parseSettings(await readText(file), schema, file)
}

/**
 * Reads settings from a text; `label` names it in messages.
 * @throws E_SETTINGS with every problem's place.
 */
export async function parseSettings<S extends z.ZodType>(text: string, schema: S, label: string): Promise<z.output<S>> {
  const source = parseYaml(text, label)
  const parsed = await schema.safeParseAsync(source.document.toJS())
  if (parsed.success) return parsed.data
  throw refuse(
    source,
    parsed.error.issues.flatMap((issue) => describeIssue(issue, source.document, schema)),
  )
}

/**
 * Changes values in a settings text and leaves its comments and order as they are; keys that are absent are added.
 * @throws E_SETTINGS where the text is not YAML to begin with.
 */
export function editSettings(text: string, changes: readonly SettingsChange[], label: string): string {
  const { document } = parseYaml(text, label)
  // A plain value is put into the node that is there, which keeps its comment.
  for (const { path, value } of changes)
    document.setIn(path, typeof value === 'object' ? document.createNode(value) : value)
  return document.toString({ lineWidth: 0 })
}

/**
 * Reads the text of a settings file.
 * @throws E_SETTINGS_MISSING where there is no such file, E_SETTINGS_UNREADABLE where it cannot be read.
 */
export async function readText(file: string): Promise<string> {
  try {
    const handle = await open(file, 'r')
    try {
      if (!(await handle.stat()).isFile()) throw new Error('it is not a file')
      const buffer = Buffer.alloc(MAX_BYTES + 1)
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0)
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(buffer.subarray(0, bytesRead))
    } finally {
      await handle.close()
    }
  } catch (cause) {
    const isMissing = cause instanceof Error && 'code' in cause && ['ENOENT', 'ENOTDIR'].includes(String(cause.code))
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw isMissing
      ? new WhicheditError('E_SETTINGS_MISSING', { file: printable(file) }, { cause })
      : new WhicheditError('E_SETTINGS_UNREADABLE', { file: printable(file), reason: printable(reason) }, { cause })
  }
}

function parseYaml(text: string, label: string): Source {
  const lines = new LineCounter()
  if (text.length > MAX_BYTES) {
    const source = { document: parseDocument(''), lines, label }
    throw refuse(source, [{ at: 0, expected: `at most ${MAX_BYTES} characters`, found: `${text.length} or more` }])
  }
  // Pretty errors quote the text through regular expressions that a hostile text can make too large to compile.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const source = { document, lines, label }
  const problems = [...document.errors, ...document.warnings].map(({ pos, code, message }) => ({
    at: pos[0],
    expected: 'YAML',
    found: `${shorten(message)} (${code})`,
  }))
  if (problems.length === 0) problems.push(...findIndirections(document))
  if (problems.length > 0) throw refuse(source, problems)
  return source
}

/** Aliases can make a short text grow without bound, and keys that are no plain words have no name to be checked by. */
function findIndirections(document: Document.Parsed): Problem[] {
  const problems: Problem[] = []
  const refuseNode = (node: Node, expected: string, found: string): void => {
    problems.push({ at: node.range?.[0] ?? 0, expected, found })
  }
  visit(document, {
    Alias: (_, node) => refuseNode(node, 'the value itself', `an alias of it, *${shorten(node.source)}`),
    Pair: (_, { key }) => {
      if (isCollection(key)) refuseNode(key, 'a plain word as a key', quoteNode(key))
    },
    Scalar: (_, node) => {
      if (node.value instanceof Uint8Array) refuseNode(node, 'text or a number', 'binary data')
    },
  })
  return problems
}

function refuse(source: Source, problems: readonly Problem[]): WhicheditError {
  const told = [...problems].sort((a, b) => a.at - b.at).map((problem) => describeProblem(problem, source))
  const rest = told.length > MAX_PROBLEMS ? [`… and ${told.length - MAX_PROBLEMS} more`] : []
  return new WhicheditError('E_SETTINGS', { problems: [...told.slice(0, MAX_PROBLEMS), ...rest].join('\n') })
}

function describeProblem({ at, expected, found, hint }: Problem, { lines, label }: Source): string {
  const { line, col } = lines.linePos(at)
  const place = `${printable(label)}:${Math.max(line, 1)}:${Math.max(col, 1)}`
  return `${place}: expected ${expected}, found ${found}${hint === undefined ? '' : `; did you mean ${hint}?`}`
}

type Issue = z.core.$ZodIssue

function describeIssue(issue: Issue, document: Document.Parsed, schema: z.ZodType): Problem[] {
  const path = issue.path.map((key) => (typeof key === 'symbol' ? String(key) : key))
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, path)
    return issue.keys.map((key) => ({
      at: findKey(document, [...path, key])?.range?.[0] ?? 0,
      expected: known.length === 0 ? 'no further key' : `one of ${known.join(', ')}`,
      found: quote(key),
      ...hintAt(key, known),
    }))
  }
  const node = findNode(document, path)
  if (node === undefined && path.length > 0) {
    // Nothing stands there: the key's own mapping is the nearest place.
    const parent = findNode(document, path.slice(0, -1)) ?? document.contents
    const expected = `the key ${path.join('.')} (${expectedBy(issue)})`
    return [{ at: parent?.range?.[0] ?? 0, expected, found: 'nothing' }]
  }
  const at = (issue.code === 'invalid_key' ? findKey(document, path) : node)?.range?.[0] ?? 0
  const words = issue.code === 'invalid_value' ? issue.values.map(String) : []
  const value = isScalar(node) ? String(node.value) : ''
  return [{ at, expected: expectedBy(issue), found: quoteNode(node), ...hintAt(value, words) }]
}

function hintAt(word: string, known: readonly string[]): { hint?: string } {
  const [nearest] = suggest(word, known)
  return nearest === undefined || nearest === word ? {} : { hint: nearest }
}

/** Kinds of values as a person who writes YAML calls them. */
const KINDS: Readonly<Record<string, string>> = {
  object: 'a mapping of keys to values',
  record: 'a mapping of keys to values',
  array: 'a list',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  null: 'null',
}

function expectedBy(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return KINDS[issue.expected] ?? issue.expected
    case 'invalid_value':
      return issue.values.length === 1 ? String(issue.values[0]) : `one of ${issue.values.join(', ')}`
    case 'too_small':
      return `${issue.inclusive === true ? 'at least' : 'more than'} ${issue.minimum}${unitOf(issue.origin)}`
    case 'too_big':
      return `${issue.inclusive === true ? 'at most' : 'less than'} ${issue.maximum}${unitOf(issue.origin)}`
    case 'invalid_union':
      return issue.message === UNTOLD ? [...new Set(issue.errors.flat().map(expectedBy))].join(' or ') : issue.message
    case 'invalid_key':
      return issue.issues.map(expectedBy).join(' or ')
    default:
      return issue.message
  }
}

function unitOf(origin: string): string {
  return origin === 'string' ? ' characters' : origin === 'array' ? ' items' : ''
}

/** The keys that the schema knows at a path. */
function keysAt(schema: z.ZodType, path: Path): string[] {
  let places: z.core.JSONSchema._JSONSchema[] = [z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })]
  for (const key of path) {
    places = places.flatMap(alternatives).flatMap(({ properties, additionalProperties, items }) => {
      const next = properties?.[key] ?? additionalProperties ?? (Array.isArray(items) ? items[0] : items)
      return next === undefined ? [] : [next]
    })
  }
  return places.flatMap(alternatives).flatMap(({ properties, propertyNames }) => {
    const names = typeof propertyNames === 'object' ? (propertyNames.enum ?? []) : []
    return [...Object.keys(properties ?? {}), ...names.map(String)]
  })
}

function alternatives(place: z.core.JSONSchema._JSONSchema): z.core.JSONSchema.BaseSchema[] {
  if (typeof place === 'boolean') return []
  return [place, ...[...(place.anyOf ?? []), ...(place.allOf ?? [])].flatMap(alternatives)]
}

function findNode(document: Document.Parsed, path: Path): Node | undefined {
  const node = path.length === 0 ? document.contents : document.getIn(path, true)
  return isScalar(node) || isMap(node) || isSeq(node) ? node : undefined
}

function findKey(document: Document.Parsed, path: Path): Node | undefined {
  const parent = findNode(document, path.slice(0, -1))
  if (!isMap(parent)) return undefined
  const pair = parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(path.at(-1)))
  return isScalar(pair?.key) ? pair.key : undefined
}

function quoteNode(node: Node | null | undefined): string {
  if (node === null || node === undefined) return 'nothing'
  if (isMap(node)) return 'a mapping'
  if (isSeq(node)) return 'a list'
  if (isAlias(node)) return 'an alias'
  if (isScalar(node) && node.value === null) return 'nothing'
  return isScalar(node) && typeof node.value !== 'string'
    ? shorten(String(node.value))
    : quote(isScalar(node) ? String(node.value) : '')
}

function quote(text: string): string {
  return `"${shorten(text)}"`
}

function shorten(text: string): string {
  return printable(text.length > MAX_QUOTE ? `${text.slice(0, MAX_QUOTE)}…` : text)
}
