/**
 * A user's facts as rows: CSV with a header, or JSON Lines with the same fields. A row has a subject, a relation or a prompt,
 * and a new object or an old one; a row without a new object is true and stays so: it gives neighbours, other
 * relations and second facts to the others.
 *
 * ```csv
 * subject,relation,targetNew,targetOld,aliases
 * Acme,headquarters,Osaka,Berlin,Acme Corporation | Acme Ltd
 * Zenith,headquarters,,Oslo,
 * ```
 */
import { parse } from 'csv-parse/sync'
import { z } from 'zod'
import { describe, type RawRecord, refuse, type Where } from './reader.ts'
import { parseRecords } from './records.ts'
import { idField, parseRecord, textField } from './schema.ts'

/** A fact as a row says it. */
export interface Triple {
  readonly where: Where
  readonly id?: string
  readonly subject: string
  /** The relation's name. */
  readonly relation?: string
  /** The edit's prompt, with {} for the subject; there is a relation where there is none. */
  readonly prompt?: string
  /** What is true before the edit, best first; empty where the row does not say. */
  readonly answers: readonly string[]
  /** The new object; absent: the fact is not edited. */
  readonly target?: string
  /** Other names of the subject. */
  readonly aliases: readonly string[]
}

/** Several values in one field stand apart by this. */
const SEPARATOR = '|'

const LIST = z
  .union([textField, z.array(textField)], { error: 'a text or a list of texts' })
  .transform((value) => (typeof value === 'string' ? value.split(SEPARATOR) : value).map((each) => each.trim()))
  .transform((all) => all.filter((each) => each !== ''))

const FIELDS = {
  id: idField.optional(),
  subject: textField,
  relation: textField.optional(),
  prompt: textField.optional(),
  targetNew: textField.optional(),
  targetOld: LIST.optional(),
  aliases: LIST.optional(),
}
const ROW = z.strictObject(FIELDS)
const NAMES = Object.keys(FIELDS).join(', ')

/** Reads rows; `file` is named in errors. @throws E_FACT for a row that cannot be used. */
export function parseRows(text: string, file: string): Triple[] {
  const isJson = /^\s*[[{]/.test(text)
  const rows = isJson ? parseRecords(text, file) : parseCsv(text, file)
  return rows.map(({ value, where }) => toTriple(value, where))
}

function toTriple(value: unknown, where: Where): Triple {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isObject)
    throw refuse(where, `an object with ${NAMES}`, describe(value), 'Each row is an object with its fields.')
  const row = parseRecord(ROW, dropEmpty(value as RawRecord), where)
  const { subject, relation, prompt, targetNew } = row
  const id = row.id === undefined ? {} : { id: row.id }
  if (relation === undefined && prompt === undefined) {
    throw refuse(where, 'a relation or a prompt', 'neither', 'Write a noun such as headquarters, or a prompt with {}.')
  }
  if (targetNew === undefined && row.targetOld === undefined) {
    throw refuse(where, 'targetNew, or targetOld for a fact that stays', 'neither', 'Say what the fact is to become.')
  }
  return {
    where,
    ...id,
    subject: subject.trim(),
    ...(relation === undefined ? {} : { relation: relation.trim() }),
    ...(prompt === undefined ? {} : { prompt: toTemplate(prompt.trim(), subject.trim()) }),
    answers: row.targetOld ?? [],
    ...(targetNew === undefined ? {} : { target: targetNew.trim() }),
    aliases: row.aliases ?? [],
  }
}

/** A prompt with {} in the place of its subject, the last one where it stands there more than once. */
function toTemplate(prompt: string, subject: string): string {
  const at = prompt.includes('{}') || subject === '' ? -1 : prompt.lastIndexOf(subject)
  return at === -1 ? prompt : `${prompt.slice(0, at)}{}${prompt.slice(at + subject.length)}`
}

/** Fields that a table leaves empty are not there. */
function dropEmpty(row: RawRecord): RawRecord {
  return Object.fromEntries(
    Object.entries(row).filter(([, value]) => value !== null && (typeof value !== 'string' || value.trim() !== '')),
  )
}

const DELIMITERS = [',', ';', '\t'] as const

function parseCsv(text: string, file: string): { readonly where: Where; readonly value: unknown }[] {
  const [header = ''] = text.trimStart().split(/\r?\n/, 1)
  const count = (delimiter: string): number => header.split(delimiter).length
  const delimiter = [...DELIMITERS].sort((a, b) => count(b) - count(a))[0]
  const options = { bom: true, columns: true, delimiter, info: true, skip_empty_lines: true, trim: true } as const
  try {
    const rows: { record: Record<string, string>; info: { lines: number } }[] = parse(text, options)
    return rows.map(({ record, info }, at) => ({ where: { file, record: at + 1, line: info.lines }, value: record }))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'something else'
    const line = typeof cause === 'object' && cause !== null && 'lines' in cause ? Number(cause.lines) : 1
    throw refuse({ file, record: Math.max(1, line - 1), line }, `a table with the columns ${NAMES}`, reason, ADVICE)
  }
}

const ADVICE = 'Put a value that holds a comma or a quote between quotes.'
