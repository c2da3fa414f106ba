/**
 * Evidence on disk: `<root>/<run id>/` holds `run.json` (what was run), `journal.jsonl` (append-only, one record a line,
 * flushed to disk case by case) and `readings.jsonl` (what the unedited model said; can always be made again). One program
 * at a time writes a run; anybody may read it meanwhile.
 */
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder, systemCode, whileWriting, writeWhole } from '../disk.ts'
import { WhicheditError } from '../errors.ts'
import { encodeRecords, endsGroup, type Journal, parseJournal } from './journal.ts'
import { type Lock, lockRun, type Owner } from './lock.ts'
import type { CaseReadings, JournalRecord, RunInfo } from './record.ts'
import { CASE_READINGS, RUN_INFO } from './schema.ts'

/** A run as it lies on disk. */
export interface StoredRun {
  readonly folder: string
  readonly info: RunInfo
  readonly records: readonly JournalRecord[]
  /** What a reader should know: bytes left by a program that was killed. */
  readonly notes: readonly string[]
}

/** How a run is opened for writing. */
export interface OpenOptions {
  readonly owner: Owner
  /** Put an earlier run of the same id aside and start over. */
  readonly fresh?: boolean
  /** Forget recorded failures, so that their cases are tried again. */
  readonly retryErrors?: boolean
}

const RUN_FILE = 'run.json'
const JOURNAL_FILE = 'journal.jsonl'
const READINGS_FILE = 'readings.jsonl'
/** What write-file-atomic leaves when it is killed: the name and a number. */
const ORPHAN = /^(run\.json|journal\.jsonl|owner\.json)\.\d+$/

/** A run that is being written. */
export class RunStore implements StoredRun {
  readonly folder: string
  readonly info: RunInfo
  readonly notes: readonly string[]
  readonly #readings: Map<string, CaseReadings>
  readonly #records: JournalRecord[]
  readonly #journal: AppendFile
  readonly #readingsFile: AppendFile
  readonly #lock: Lock

  private constructor(parts: {
    folder: string
    info: RunInfo
    journal: Journal
    readings: readonly CaseReadings[]
    files: readonly [AppendFile, AppendFile]
    lock: Lock
  }) {
    this.folder = parts.folder
    this.info = parts.info
    this.notes = notesOf(parts.journal)
    this.#readings = new Map(parts.readings.map((entry) => [entry.factId, entry]))
    this.#records = [...parts.journal.records]
    this.#journal = parts.files[0]
    this.#readingsFile = parts.files[1]
    this.#lock = parts.lock
  }

  /**
   * Opens the run that `info` names, making it where it does not exist yet; what a killed program left behind is cut off.
   * @throws E_RUN_LOCKED, E_RUN_FILE, E_JOURNAL, E_NOT_WRITABLE, E_DISK_FULL
   */
  static async open(root: string, info: RunInfo, options: OpenOptions): Promise<RunStore> {
    const folder = join(root, info.id)
    await makeFolder(folder)
    const lock = await lockRun(folder, info.id, options.owner)
    try {
      if (options.fresh === true) await putAside(folder)
      await removeOrphans(folder)
      const stored = await claimRun(folder, info)
      const journal = await mendJournal(folder, options.retryErrors === true)
      const readings = await mendReadings(folder)
      const files = [
        await AppendFile.open(join(folder, JOURNAL_FILE)),
        await AppendFile.open(join(folder, READINGS_FILE)),
      ] as const
      return new RunStore({ folder, info: stored, journal, readings, files, lock })
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  /** The records of all complete groups, in the order written. */
  get records(): readonly JournalRecord[] {
    return this.#records
  }

  /** What the unedited model said, by fact. */
  get readings(): ReadonlyMap<string, CaseReadings> {
    return this.#readings
  }

  /**
   * Writes a group of records and waits until the disk has it: all of them are kept, or none.
   * @throws E_INTERNAL where the last record does not end a group; E_DISK_FULL, E_RUN_LOCKED
   */
  async append(records: readonly JournalRecord[]): Promise<void> {
    const last = records.at(-1)
    if (last === undefined || !endsGroup(last)) {
      throw new WhicheditError('E_INTERNAL', { what: 'a group of records without its last one' })
    }
    this.#lock.assertHeld()
    await this.#journal.append(encodeRecords(records))
    this.#records.push(...records)
  }

  /** Keeps what the unedited model said. @throws E_DISK_FULL, E_RUN_LOCKED */
  async appendReadings(readings: CaseReadings): Promise<void> {
    this.#lock.assertHeld()
    await this.#readingsFile.append(`${JSON.stringify(readings)}\n`)
    this.#readings.set(readings.factId, readings)
  }

  /** Closes the files and gives the lock back. */
  async close(): Promise<void> {
    await this.#journal.close()
    await this.#readingsFile.close()
    await this.#lock.release()
  }
}

/** Reads a run without locking it. @throws E_RUN_FILE, E_JOURNAL */
export async function readRun(folder: string): Promise<StoredRun> {
  const info = await readRunInfo(folder)
  if (info === undefined) {
    throw new WhicheditError('E_RUN_FILE', { file: join(folder, RUN_FILE), problem: 'the file is missing' })
  }
  const journal = parseJournal(await readBytes(join(folder, JOURNAL_FILE)), join(folder, JOURNAL_FILE))
  return { folder, info, records: journal.records, notes: notesOf(journal) }
}

/**
 * The folder of the newest run below `root`, or of the one whose id begins with `id`.
 * @throws E_NO_RUN where there is none, or more than one begins so; E_RUN_FILE for a run that cannot be read.
 */
export async function findRun(root: string, id?: string): Promise<string> {
  const names = await listRunNames(root)
  if (id !== undefined) {
    const matching = names.filter((name) => name.startsWith(id))
    const [found] = matching
    if (found !== undefined && matching.length === 1) return join(root, found)
    const what = matching.length === 0 ? 'none' : matching.join(', ')
    throw new WhicheditError('E_NO_RUN', { wanted: `the run ${id}`, root, found: what })
  }
  const runs = await Promise.all(
    names.map(async (name) => ({ folder: join(root, name), info: await readRunInfo(join(root, name)) })),
  )
  // Without `run.json` a program was killed before the run began.
  const [newest] = runs
    .flatMap(({ folder, info }) => (info === undefined ? [] : [{ folder, createdAt: info.createdAt }]))
    .sort((a, b) => b.createdAt.localeCompare(a.createdAt) || a.folder.localeCompare(b.folder))
  if (newest === undefined) throw new WhicheditError('E_NO_RUN', { wanted: 'a run', root, found: 'none' })
  return newest.folder
}

const RUN_NAME = /^[0-9a-f]{16}$/

async function listRunNames(root: string): Promise<string[]> {
  try {
    return (await readdir(root)).filter((name) => RUN_NAME.test(name)).sort()
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}

function notesOf(journal: Journal): string[] {
  const { leftOverBytes } = journal
  return leftOverBytes === 0 ? [] : [`${leftOverBytes} bytes of a case that was not finished were left out`]
}

async function readRunInfo(folder: string): Promise<RunInfo | undefined> {
  const file = join(folder, RUN_FILE)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    const parsed = RUN_INFO.safeParse(JSON.parse(text))
    if (parsed.success) return parsed.data
    const [issue] = parsed.error.issues
    throw new WhicheditError('E_RUN_FILE', { file, problem: `${issue?.path.join('.')}: ${issue?.message}` })
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new WhicheditError('E_RUN_FILE', { file, problem: 'it holds no JSON' }, { cause: error })
  }
}

/** Writes `run.json`, or takes the one that is there: the same run, begun earlier. */
async function claimRun(folder: string, info: RunInfo): Promise<RunInfo> {
  const file = join(folder, RUN_FILE)
  const stored = await readRunInfo(folder)
  if (stored === undefined) {
    await writeWhole(file, `${JSON.stringify(info, null, 2)}\n`)
    return info
  }
  if (stored.id !== info.id) {
    throw new WhicheditError('E_RUN_FILE', { file, problem: `expected run ${info.id}, found ${stored.id}` })
  }
  return stored
}

/** Cuts off what a killed program left and, where wished, takes failures out; gives what remains. */
async function mendJournal(folder: string, retryErrors: boolean): Promise<Journal> {
  const file = join(folder, JOURNAL_FILE)
  const journal = parseJournal(await readBytes(file), file)
  if (journal.leftOverBytes > 0) await whileWriting(file, () => truncate(file, journal.completeBytes))
  if (!retryErrors || journal.records.every((record) => record.kind !== 'failure')) return journal
  const records = withoutFailures(journal.records)
  await writeWhole(file, encodeRecords(records))
  return { ...journal, records }
}

/** The records of all groups without a failure. */
function withoutFailures(records: readonly JournalRecord[]): JournalRecord[] {
  const kept: JournalRecord[] = []
  let group: JournalRecord[] = []
  for (const record of records) {
    group.push(record)
    if (!endsGroup(record)) continue
    if (group.every(({ kind }) => kind !== 'failure')) kept.push(...group)
    group = []
  }
  return kept
}

/** Reads the readings up to the first line that is not whole and cuts the rest off: they can be made again. */
async function mendReadings(folder: string): Promise<CaseReadings[]> {
  const file = join(folder, READINGS_FILE)
  const bytes = await readBytes(file)
  const readings: CaseReadings[] = []
  let end = 0
  for (let at = bytes.indexOf('\n'); at >= 0; at = bytes.indexOf('\n', end)) {
    const entry = parseReadings(bytes.subarray(end, at).toString())
    if (entry === undefined) break
    readings.push(entry)
    end = at + 1
  }
  if (end < bytes.length) await whileWriting(file, () => truncate(file, end))
  return readings
}

function parseReadings(text: string): CaseReadings | undefined {
  try {
    return CASE_READINGS.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

async function readBytes(file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return Buffer.alloc(0)
    throw error
  }
}

async function removeOrphans(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (ORPHAN.test(name)) await whileWriting(folder, () => rm(join(folder, name)))
  }
}

/** Keeps an earlier run's files beside the new ones, in a folder of their own: starting over deletes nothing. */
async function putAside(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => [RUN_FILE, JOURNAL_FILE, READINGS_FILE].includes(name))
  if (names.length === 0) return
  await whileWriting(folder, async () => {
    const taken = (await readdir(folder)).filter((name) => name.startsWith('before-')).length
    const aside = join(folder, `before-${taken + 1}`)
    await mkdir(aside)
    for (const name of names) await rename(join(folder, name), join(aside, name))
  })
}

/** A file that grows by whole pieces, one after another: a piece that does not fit is taken back. */
class AppendFile {
  readonly #path: string
  readonly #handle: FileHandle
  #bytes: number
  #last: Promise<unknown> = Promise.resolve()

  private constructor(path: string, handle: FileHandle, bytes: number) {
    this.#path = path
    this.#handle = handle
    this.#bytes = bytes
  }

  static async open(path: string): Promise<AppendFile> {
    return await whileWriting(path, async () => {
      const handle = await open(path, 'a')
      return new AppendFile(path, handle, (await handle.stat()).size)
    })
  }

  append(text: string): Promise<void> {
    const next = this.#last.then(() => this.#write(text))
    // Whoever wants this piece written hears of its failure; the next one is tried anew.
    this.#last = next.catch(() => {})
    return next
  }

  async #write(text: string): Promise<void> {
    const piece = Buffer.from(text)
    try {
      await whileWriting(this.#path, async () => {
        await this.#handle.appendFile(piece)
        await this.#handle.sync()
      })
    } catch (error) {
      await this.#handle.truncate(this.#bytes)
      throw error
    }
    this.#bytes += piece.length
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}
