/** Hashes of files' contents, remembered so that a second start need not read gigabytes again. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Context } from '../context.ts'
import { systemCode, writeWhole } from '../disk.ts'
import { WhicheditError } from '../errors.ts'
import { readJsonObject } from './json.ts'

const CHUNK_BYTES = 2 ** 20

/** The sha256 of a value as JSON, in hexadecimal digits. */
export function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex')
}

/** The sha256 of a file's contents, in hexadecimal digits; streamed. */
export async function sha256Of(file: string, ctx: Context): Promise<string> {
  const { size: total } = await stat(file)
  const hash = createHash('sha256')
  let done = 0
  for await (const chunk of createReadStream(file, { highWaterMark: CHUNK_BYTES })) {
    ctx.signal.throwIfAborted()
    hash.update(chunk)
    done += chunk.length
    ctx.progress({ task: `reading ${basename(file)}`, done, total, unit: 'bytes' })
  }
  return hash.digest('hex')
}

/**
 * The sha256 of a file, kept in `ctx.cacheDir` for as long as the file's real path, size and time of change stay the same.
 */
export async function contentHash(file: string, ctx: Context): Promise<string> {
  const real = await realpath(file)
  const { size, mtimeMs } = await stat(real)
  const folder = join(ctx.cacheDir, 'hashes')
  const note = join(folder, `${hashOf([real])}.json`)
  // A note that is missing or damaged is as good as none.
  const known = await readJsonObject(note).catch(() => undefined)
  if (known?.size === size && known.mtimeMs === mtimeMs && typeof known.sha256 === 'string') return known.sha256
  const sha256 = await sha256Of(file, ctx)
  try {
    await writeWhole(note, JSON.stringify({ file: real, size, mtimeMs, sha256 }))
  } catch (error) {
    // Without a note the file is read again next time: a cache that cannot be written is no reason to stop.
    if (!(error instanceof WhicheditError) && systemCode(error) === undefined) throw error
  }
  return sha256
}
