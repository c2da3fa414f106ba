/**
 * Cuts a text into JSON records without parsing it whole: a list, or objects one after another (JSON Lines, or one object
 * alone). So a broken record is named by its number and line, in either form.
 */
import { refuse, type Where } from './reader.ts'

/** A record's place in the text and its value. */
export interface JsonRecord {
  readonly where: Where
  readonly value: unknown
}

const OPENERS = new Set(['{', '['])
const CLOSERS = new Set(['}', ']'])
const BLANKS = new Set([' ', '\t', '\n', '\r'])
const ADVICE = 'Look there for a missing quote, comma or bracket.'

/** Parses the records of a text; `file` is named in errors. @throws E_FACT for a record that is not JSON. */
export function parseRecords(text: string, file: string): JsonRecord[] {
  const first = skipBlanks(text, 0)
  return text[first] === '[' ? parseList(text, first + 1, file) : parseSequence(text, first, file)
}

function parseSequence(text: string, start: number, file: string): JsonRecord[] {
  const records: JsonRecord[] = []
  const place = createPlaces(text, file, records)
  for (let at = start; at < text.length; ) {
    const end = findEnd(text, at, '\n')
    records.push(parse(text.slice(at, end), place(at)))
    at = skipBlanks(text, end)
  }
  return records
}

function parseList(text: string, start: number, file: string): JsonRecord[] {
  const records: JsonRecord[] = []
  const place = createPlaces(text, file, records)
  let at = skipBlanks(text, start)
  if (text[at] !== ']') {
    while (true) {
      const end = findEnd(text, at, ',')
      records.push(parse(text.slice(at, end), place(at)))
      at = skipBlanks(text, end)
      if (text[at] !== ',') break
      at = skipBlanks(text, at + 1)
    }
  }
  if (text[at] !== ']') throw refuse(place(at), 'a comma or the ] that ends the list', describeRest(text, at), ADVICE)
  at = skipBlanks(text, at + 1)
  if (at < text.length) throw refuse(place(at), 'the end of the file after the list', describeRest(text, at), ADVICE)
  return records
}

function parse(text: string, where: Where): JsonRecord {
  try {
    return { where, value: JSON.parse(text) }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'something else'
    throw refuse(where, 'whole JSON', text === '' ? 'nothing' : reason, ADVICE)
  }
}

/** Names the place of the record to come; must be asked in ascending order. */
function createPlaces(text: string, file: string, records: readonly unknown[]): (at: number) => Where {
  let line = 1
  let counted = 0
  return (at) => {
    for (let end = text.indexOf('\n', counted); end !== -1 && end < at; end = text.indexOf('\n', counted)) {
      line++
      counted = end + 1
    }
    return { file, record: records.length + 1, line }
  }
}

/** The end of the value that begins at `start`: where its brackets are closed, else before `separator` or a closing bracket. */
function findEnd(text: string, start: number, separator: string): number {
  let depth = 0
  for (let at = start; at < text.length; at++) {
    const character = text[at] ?? ''
    if (character === '"') at = findStringEnd(text, at)
    else if (OPENERS.has(character)) depth++
    else if (CLOSERS.has(character) && depth > 0) {
      depth--
      if (depth === 0) return at + 1
    } else if (depth === 0 && (character === separator || character === ']')) return at
  }
  return text.length
}

/** The place of the quote that closes a string; the end of the line closes it too, since no JSON string holds one. */
function findStringEnd(text: string, start: number): number {
  let at = start + 1
  while (at < text.length && text[at] !== '"' && text[at] !== '\n') at += text[at] === '\\' ? 2 : 1
  return at
}

function skipBlanks(text: string, start: number): number {
  let at = start
  while (at < text.length && BLANKS.has(text[at] ?? '')) at++
  return at
}

function describeRest(text: string, at: number): string {
  return at >= text.length ? 'the end of the file' : `"${text[at]}"`
}
