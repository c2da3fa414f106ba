/**
 * The journal's lines: how records become text and text becomes records again. Pure; `store.ts` does the writing.
 *
 * Records are written in groups of which the last line says that the group is complete: a `case`, the cost of a
 * preparation, or the failure of a whole lane. What follows the last complete group was being written when the program
 * was killed: it is left out, with a note. Anything else that cannot be read is damage, and an error.
 */
import { WhicheditError } from '../errors.ts'
import type { JournalRecord } from './record.ts'
import { JOURNAL_RECORD, RECORD_KIND, RECORDS } from './schema.ts'

/** What a journal holds. */
export interface Journal {
  /** The records of all complete groups, in the order written. */
  readonly records: readonly JournalRecord[]
  /** Where the last complete group ends, in bytes from the start. */
  readonly completeBytes: number
  /** Bytes after it, left by a program that was killed while writing. */
  readonly leftOverBytes: number
}

/**
 * Writes records as journal lines.
 * @throws E_INTERNAL for a record that is not one: NaN and infinities have no place in a file.
 */
export function encodeRecords(records: readonly JournalRecord[]): string {
  for (const record of records) {
    const checked = JOURNAL_RECORD.safeParse(record)
    if (!checked.success) {
      throw new WhicheditError('E_INTERNAL', { what: `a record that cannot be kept: ${describe(record)}` })
    }
  }
  return records.map((record) => `${JSON.stringify(record)}\n`).join('')
}

/**
 * Reads a journal. `file` is its name in messages.
 * @throws E_JOURNAL with file and line for damage anywhere but after the last complete group, and for a record that is there twice.
 */
export function parseJournal(bytes: Uint8Array, file: string): Journal {
  const records: JournalRecord[] = []
  const seen = new Set<string>()
  let group: JournalRecord[] = []
  let completeBytes = 0
  let damage: { line: number; problem: string } | undefined
  for (const { text, line, end } of linesOf(bytes)) {
    const record = parseLine(text)
    if (typeof record === 'string') {
      damage ??= { line, problem: record }
      continue
    }
    const problem = checkPlace(record, group, seen)
    if (problem !== undefined) damage ??= { line, problem }
    group.push(record)
    if (!endsGroup(record)) continue
    // A complete group after it: the damage is not what a killed program leaves behind.
    if (damage !== undefined) throw new WhicheditError('E_JOURNAL', { file, ...damage })
    records.push(...group)
    group = []
    completeBytes = end
  }
  return { records, completeBytes, leftOverBytes: bytes.length - completeBytes }
}

/** Tells whether a record is the last of a group that is kept or dropped as one. */
export function endsGroup(record: JournalRecord): boolean {
  return (
    record.kind === 'case' ||
    (record.kind === 'cost' && record.cost === 'prepare') ||
    (record.kind === 'failure' && record.factId === null)
  )
}

const NEWLINE = 0x0a

/** The lines that end in a newline; a last one without it was cut off while being written. */
function* linesOf(bytes: Uint8Array): Generator<{ text: string; line: number; end: number }> {
  const decoder = new TextDecoder()
  let start = 0
  for (let line = 1; ; line++) {
    const at = bytes.indexOf(NEWLINE, start)
    if (at < 0) return
    yield { text: decoder.decode(bytes.subarray(start, at)), line, end: at + 1 }
    start = at + 1
  }
}

/** The record of a line, or what is wrong with it. */
function parseLine(text: string): JournalRecord | string {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return 'expected one JSON object a line'
  }
  const kind = RECORD_KIND.safeParse(value)
  if (!kind.success) return 'expected a record of kind probe, cost, failure or case'
  const parsed = RECORDS[kind.data.kind].safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  return `${issue?.path.join('.') || kind.data.kind}: ${issue?.message ?? 'not as expected'}`
}

function checkPlace(record: JournalRecord, group: readonly JournalRecord[], seen: Set<string>): string | undefined {
  const key = nameOf(record)
  if (seen.has(key)) return `a record that is there already: ${describe(record)}`
  seen.add(key)
  const [first] = group
  const isSameCase =
    first === undefined ||
    [record.method, record.regime, record.factId].every((part, index) => {
      return part === [first.method, first.regime, first.factId][index]
    })
  return isSameCase ? undefined : `a record inside those of another case: ${describe(record)}`
}

/** What a record is named by: it is there once in a run. */
function nameOf(record: JournalRecord): string {
  const { kind, method, regime, factId } = record
  if (kind === 'probe') return JSON.stringify([kind, method, regime, factId, record.probe, record.item])
  if (kind === 'cost') return JSON.stringify([kind, method, regime, factId, record.cost])
  return JSON.stringify([kind, method, regime, factId])
}

function describe({ kind, method, factId }: JournalRecord): string {
  return `${kind} of ${method}${factId === null ? '' : ` on fact ${factId}`}`
}
