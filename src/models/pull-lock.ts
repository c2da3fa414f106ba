/**
 * One process at a time brings a repository: others wait, and find everything there. The lock lies where Python's tools keep theirs;
 * its time is renewed (proper-lockfile), and one that is no longer renewed, because its owner was killed, is taken over.
 */
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { lock } from 'proper-lockfile'
import type { Context } from '../context.ts'
import { makeFolder } from '../disk.ts'
import { hubFolder, type ModelPlaces } from './hub-cache.ts'

const STALE_MS = 10_000
const LOOK_AGAIN_MS = 250

/**
 * Runs a step that writes a repository's folder, after whoever else is at it has ended.
 * @throws what the step throws; the signal's reason when aborted.
 */
export async function whileAlone<T>(
  repository: string,
  { hubCache }: ModelPlaces,
  ctx: Context,
  step: () => Promise<T>,
): Promise<T> {
  const folder = hubFolder(repository, join(hubCache, '.locks'))
  await makeFolder(folder)
  const release = await acquire(join(folder, 'pull'), repository, ctx)
  try {
    return await step()
  } finally {
    await release()
  }
}

async function acquire(file: string, repository: string, ctx: Context): Promise<() => Promise<void>> {
  // Who lost the lock while it was asleep goes on: contents are checked and moved in a way that two may do at once.
  let isLost = false
  const options = { realpath: false, stale: STALE_MS, onCompromised: () => (isLost = true) }
  for (let looks = 1; ; looks++) {
    ctx.signal.throwIfAborted()
    try {
      const release = await lock(file, options)
      return async () => {
        if (!isLost) await release()
      }
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ELOCKED')) throw error
    }
    ctx.progress({ task: `waiting for another process that brings ${repository}`, done: looks, unit: 'looks' })
    await setTimeout(LOOK_AGAIN_MS, undefined, { signal: ctx.signal }).catch(() => ctx.signal.throwIfAborted())
  }
}
