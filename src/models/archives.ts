/**
 * Reads members of zip files, and of zips within zips. Names in an archive are compared, never followed. A zip within a zip is
 * unpacked into a folder of its own first, because a zip's directory stands at its end.
 */
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Entry, openPromise, type ZipFile } from 'yauzl'
import type { Context } from '../context.ts'
import { sweepAbandoned } from '../disk.ts'
import { WhicheditError } from '../errors.ts'
import { requireSpace } from './convert.ts'

/** An archive that is open. */
interface Archive {
  readonly zip: ZipFile
  readonly entries: ReadonlyMap<string, Entry>
}

/** The archives opened for one job; to be closed when it is done. */
export class Archives {
  readonly #ctx: Context
  readonly #open = new Map<string, Archive>()
  /** The file each zip within a zip was unpacked to. */
  readonly #unpacked = new Map<string, string>()
  #temporary: string | undefined

  constructor(ctx: Context) {
    this.#ctx = ctx
  }

  /** Opens the member of an archive that `path` leads to: its name there and, where that is a zip itself, in that. */
  async read(file: string, [member = '', ...inner]: readonly string[]): Promise<Readable> {
    if (inner.length > 0) return this.read(await this.#unpack(file, member), inner)
    const { zip, entries } = await this.#archive(file)
    return zip.openReadStreamPromise(entryOf(entries, member, file))
  }

  /** Closes the archives and removes what was unpacked. */
  async close(): Promise<void> {
    for (const { zip } of this.#open.values()) zip.close()
    if (this.#temporary !== undefined) await rm(this.#temporary, { recursive: true, force: true })
  }

  async #archive(file: string): Promise<Archive> {
    const known = this.#open.get(file)
    if (known !== undefined) return known
    const zip = await openPromise(file, { lazyEntries: true, autoClose: false })
    const entries = new Map<string, Entry>()
    const archive = { zip, entries }
    this.#open.set(file, archive)
    for await (const entry of zip.eachEntry()) entries.set(entry.fileName, entry)
    return archive
  }

  async #unpack(file: string, member: string): Promise<string> {
    const key = JSON.stringify([file, member])
    const known = this.#unpacked.get(key)
    if (known !== undefined) return known
    const { entries } = await this.#archive(file)
    const { uncompressedSize: total } = entryOf(entries, member, file)
    const folder = await this.#makeTemporary(dirname(file))
    await requireSpace(folder, total)
    const target = join(folder, `${this.#unpacked.size}.zip`)
    const source = reporting(
      await this.read(file, [member]),
      { task: `unpacking ${basename(member)}`, total },
      this.#ctx,
    )
    await pipeline(source, createWriteStream(target), { signal: this.#ctx.signal })
    this.#unpacked.set(key, target)
    return target
  }

  async #makeTemporary(parent: string): Promise<string> {
    if (this.#temporary !== undefined) return this.#temporary
    const folder = await mkdtemp(join(parent, 'zip-'))
    this.#temporary = folder
    await sweepAbandoned(parent, /^zip-/, (await stat(folder)).mtimeMs)
    return folder
  }
}

/** Passes bytes on and tells how many of `total` went by. */
export async function* reporting(
  chunks: AsyncIterable<Buffer>,
  { task, total }: { readonly task: string; readonly total: number },
  ctx: Context,
): AsyncIterable<Buffer> {
  let done = 0
  for await (const chunk of chunks) {
    done += chunk.length
    ctx.progress({ task, done, total, unit: 'bytes' })
    yield chunk
  }
}

function entryOf(entries: ReadonlyMap<string, Entry>, member: string, file: string): Entry {
  const entry = entries.get(member)
  if (entry === undefined)
    throw new WhicheditError('E_INTERNAL', { what: `archives: no ${member} in ${basename(file)}` })
  return entry
}
