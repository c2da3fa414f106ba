/** What the file system refuses, told as what to do about it. */
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { WhicheditError } from './errors.ts'

/** No room: on the disk, in the user's share of it, or below the limit on a file's size. */
const NO_ROOM: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])
/** No permission, a file system that is read-only, or a file where a folder should be. */
const NOT_ALLOWED: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS', 'EEXIST', 'ENOTDIR'])

/**
 * Runs a step that writes `path`.
 * @throws E_DISK_FULL, E_NOT_WRITABLE; what has another cause is thrown as it is.
 */
export async function whileWriting<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    const code = systemCode(error)
    if (code !== undefined && NO_ROOM.has(code)) {
      throw new WhicheditError('E_DISK_FULL', { path, reason: code }, { cause: error })
    }
    if (code !== undefined && NOT_ALLOWED.has(code)) {
      throw new WhicheditError('E_NOT_WRITABLE', { path, reason: code }, { cause: error })
    }
    throw error
  }
}

/**
 * Makes a folder and those above it, where they are missing. One after the other: Node's own recursive form tells ENOENT
 * for a read-only file system, and on some never returns (Node 20.20).
 * @throws E_DISK_FULL, E_NOT_WRITABLE
 */
export function makeFolder(path: string): Promise<void> {
  return whileWriting(path, async () => {
    try {
      await makeOne(path)
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error
      await makeFolder(dirname(path))
      await makeOne(path)
    }
  })
}

/** Makes a folder unless it is there. */
async function makeOne(path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (error) {
    if (systemCode(error) !== 'EEXIST' || !(await stat(path)).isDirectory()) throw error
  }
}

/**
 * Writes a file, whole or not at all, with the folders above it.
 * @throws E_DISK_FULL, E_NOT_WRITABLE
 */
export async function writeWhole(file: string, data: string | Buffer): Promise<void> {
  await makeFolder(dirname(file))
  await whileWriting(file, () => writeFileAtomic(file, data))
}

/** Whoever writes, writes all the time; what has not changed for so long was abandoned. */
const ABANDONED_MS = 60 * 60_000

/** Removes from a folder what killed processes left there under a temporary name. `now` is the file system's own time, in milliseconds. */
export async function sweepAbandoned(folder: string, temporary: RegExp, now: number): Promise<void> {
  for (const entry of await readdir(folder)) {
    if (!temporary.test(entry)) continue
    const path = join(folder, entry)
    const found = await stat(path).catch(() => undefined)
    if (found !== undefined && now - found.mtimeMs > ABANDONED_MS) await rm(path, { recursive: true, force: true })
  }
}

/** The code of an error that came from the system (`ENOENT`), if it did. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('errno' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
