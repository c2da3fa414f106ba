/**
 * Brings a model from the Hugging Face hub into its cache, laid out as Python's tools do it: contents by checksum, names as links.
 * A file appears under its final name only when it is whole and right, and a branch is noted only when all files have theirs.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Context } from '../context.ts'
import { makeFolder, whileWriting } from '../disk.ts'
import { WhicheditError } from '../errors.ts'
import { contentHash, sha256Of } from './content-hash.ts'
import { requireSpace } from './convert.ts'
import { fetchFile, type Hub, type RemoteFile, type Repository, type RepositoryName, readRepository } from './hub.ts'
import { blobsFolder, MAIN, type ModelPlaces, nameBlob, snapshotFolder, writeRef } from './hub-cache.ts'

/** What is to be brought. */
export interface Wanted extends RepositoryName {
  /** Chooses from what the repository holds. */
  readonly choose: (repository: Repository) => readonly RemoteFile[]
}

/** What was brought. */
export interface PulledRepository {
  /** The folder of its files, or its only file. */
  readonly path: string
  readonly commit: string
  readonly bytes: number
  /** As the owner states it; null where none is stated. */
  readonly license: string | null
  /** False where everything was there already. */
  readonly fetched: boolean
}

/**
 * Brings what is chosen of a repository. A stopped pull goes on where it stopped.
 * @throws E_HUB_NOT_FOUND, E_HUB_REVISION, E_HUB_GATED, E_HUB_TOKEN, E_HUB_UNREACHABLE, E_HUB_ANSWER, E_HUB_FILES, E_DOWNLOAD, E_CHECKSUM,
 * E_DISK_FULL, E_NOT_WRITABLE; the signal's reason when aborted.
 */
export async function pullRepository(
  wanted: Wanted,
  hub: Hub,
  { hubCache }: ModelPlaces,
  ctx: Context,
): Promise<PulledRepository> {
  const repository = await readRepository(wanted, hub, ctx)
  const files = wanted.choose(repository)
  const snapshot = { repository: repository.repository, revision: repository.commit }
  const blobs = blobsFolder(snapshot.repository, hubCache)
  const folder = snapshotFolder(snapshot, hubCache)
  const missing = await whileWriting(blobs, async () => {
    await makeFolder(blobs)
    const missing = await bringContents(repository, files, { blobs, hub, ctx })
    for (const { path, checksum } of files) await nameBlob(join(blobs, checksum.digest), join(folder, path))
    const { revision = MAIN } = wanted
    if (revision !== repository.commit) await writeRef(snapshot, hubCache, revision)
    return missing
  })
  const [only, ...more] = files
  return {
    path: only !== undefined && more.length === 0 ? join(folder, only.path) : folder,
    commit: repository.commit,
    bytes: totalOf(files),
    license: repository.license ?? null,
    fetched: missing > 0,
  }
}

/** What bringing contents takes. */
interface Bringing {
  readonly blobs: string
  readonly hub: Hub
  readonly ctx: Context
}

/** Brings the contents that are not there yet, small ones first: what is wrong with them is known before the large ones come. */
async function bringContents(
  repository: Repository,
  files: readonly RemoteFile[],
  bringing: Bringing,
): Promise<number> {
  const { blobs, ctx } = bringing
  const missing: RemoteFile[] = []
  for (const file of files) if (!(await isThere(file, blobs, ctx))) missing.push(file)
  const begun = await Promise.all(missing.map(({ checksum }) => sizeOf(partOf(checksum.digest, blobs))))
  await requireSpace(blobs, totalOf(missing) - begun.reduce((sum, bytes) => sum + bytes, 0))
  for (const file of missing.sort((a, b) => a.bytes - b.bytes)) {
    try {
      await bringOne(repository, file, bringing)
    } catch (error) {
      ctx.signal.throwIfAborted()
      // Another process may have finished the same file.
      if (!(await isThere(file, blobs, ctx))) throw error
    }
  }
  return missing.length
}

async function bringOne(repository: Repository, file: RemoteFile, { blobs, hub, ctx }: Bringing): Promise<void> {
  const { path, bytes, checksum } = file
  const part = partOf(checksum.digest, blobs)
  await fetchFile(repository, file, part, hub, ctx)
  const found = checksum.kind === 'sha256' ? await sha256Of(part, ctx) : await gitHashOf(part, bytes, ctx)
  if (found !== checksum.digest) {
    await rm(part, { force: true })
    throw new WhicheditError('E_CHECKSUM', { name: path, expected: checksum.digest, found })
  }
  await rename(part, join(blobs, checksum.digest))
}

/** Says whether contents are there and right; large ones are read once, and their hash remembered. */
async function isThere(
  { bytes, checksum: { kind, digest } }: RemoteFile,
  blobs: string,
  ctx: Context,
): Promise<boolean> {
  const blob = join(blobs, digest)
  if ((await stat(blob).catch(() => undefined))?.size !== bytes) return false
  return (kind === 'sha256' ? await contentHash(blob, ctx) : await gitHashOf(blob, bytes, ctx)) === digest
}

/** The hash that git names a file's contents by. */
async function gitHashOf(file: string, bytes: number, ctx: Context): Promise<string> {
  const hash = createHash('sha1').update(`blob ${bytes}\0`)
  await pipeline(createReadStream(file), hash, { signal: ctx.signal })
  return hash.digest('hex')
}

function partOf(digest: string, blobs: string): string {
  return join(blobs, `${digest}.part`)
}

function totalOf(files: readonly RemoteFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0)
}

async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => undefined))?.size ?? 0
}
