/**
 * One program at a time on a run. The lock is a folder whose time is renewed (proper-lockfile); one that is no longer
 * renewed is taken over. So that a run killed a moment ago can go on at once, the owner's process is noted beside it, and a
 * lock whose owner is known to have ended is removed. Looking, removing and taking happen under a second lock, held for
 * milliseconds: otherwise two programs could each remove the other's new lock.
 */
import { readFile, rmdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { check, lock } from 'proper-lockfile'
import { systemCode, whileWriting, writeWhole } from '../disk.ts'
import { WhicheditError } from '../errors.ts'

/** The process that wants a lock. */
export interface Owner {
  readonly pid: number
  /** Whether a process of this machine is still there. */
  readonly isAlive: (pid: number) => boolean
}

/** A lock held. */
export interface Lock {
  /** @throws E_RUN_LOCKED when another program has taken the lock over. */
  readonly assertHeld: () => void
  readonly release: () => Promise<void>
}

const STALE_MS = 10_000
/** Held for milliseconds: whoever waits this long waits for a dead one. */
const GUARD = { realpath: false, stale: 5_000, retries: { retries: 80, minTimeout: 100, maxTimeout: 100 } }

/**
 * Takes the lock of a run's folder.
 * @throws E_RUN_LOCKED, E_NOT_WRITABLE, E_DISK_FULL
 */
export async function lockRun(folder: string, id: string, owner: Owner): Promise<Lock> {
  return await whileWriting(folder, async () => {
    const releaseGuard = await lock(join(folder, 'guard'), GUARD)
    try {
      return await takeLock(folder, id, owner)
    } finally {
      await releaseGuard()
    }
  })
}

async function takeLock(folder: string, id: string, owner: Owner): Promise<Lock> {
  const file = join(folder, 'run')
  const ownerFile = join(folder, 'owner.json')
  const holder = await readOwner(ownerFile)
  const options = { realpath: false, stale: STALE_MS }
  if (await check(file, options)) {
    const hasEnded = holder !== undefined && holder.host === hostname() && !owner.isAlive(holder.pid)
    if (!hasEnded) throw lockedBy(id, holder?.pid)
    await rmdir(`${file}.lock`)
  }
  // Before the lock and whole: a program killed here leaves no lock, and one killed later is known.
  await writeWhole(ownerFile, JSON.stringify({ pid: owner.pid, host: hostname() }))
  let isLost = false
  const release = await lock(file, {
    ...options,
    onCompromised: () => {
      isLost = true
    },
  })
  return {
    assertHeld: () => {
      if (isLost) throw lockedBy(id, undefined)
    },
    release: async () => {
      if (!isLost) await release()
    },
  }
}

function lockedBy(id: string, pid: number | undefined): WhicheditError {
  return new WhicheditError('E_RUN_LOCKED', { id, pid: pid ?? '(unknown)' })
}

/** Who took the lock last; undefined where that is not known. */
async function readOwner(file: string): Promise<{ pid: number; host: string } | undefined> {
  try {
    const found: unknown = JSON.parse(await readFile(file, 'utf8'))
    if (typeof found !== 'object' || found === null || !('pid' in found) || !('host' in found)) return undefined
    const { pid, host } = found
    return Number.isSafeInteger(pid) && typeof pid === 'number' && typeof host === 'string' ? { pid, host } : undefined
  } catch (error) {
    if (error instanceof SyntaxError || systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
