/**
 * Brings a model from the Hugging Face hub into its cache, laid out as Python's tools do it: contents by checksum, names as links.
 * A file appears under its final name only when it is whole and right, and a branch is noted only when all files have theirs.
 */
import { createHash, randomUUID } from 'node:crypto'
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Context } from '../context.ts'
import { makeFolder, whileWriting } from '../disk.ts'
import { WhicheditError } from '../errors.ts'
import { reporting } from './archives.ts'
import { contentHash } from './content-hash.ts'
import { requireSpace } from './convert.ts'
import { fetchFile, type Hub, type RemoteFile, type Repository, type RepositoryName, readRepository } from './hub.ts'
import { blobsFolder, MAIN, type ModelPlaces, nameBlob, snapshotFolder, writeRef } from './hub-cache.ts'
import { whileAlone } from './pull-lock.ts'

/** What is to be brought. */
export interface Wanted extends RepositoryName {
  /** Chooses from what the repository holds. */
  readonly choose: (repository: Repository) => readonly RemoteFile[]
  /** Looks at each file once it is there, small ones first: what it throws ends the pull before the large ones come. */
  readonly look?: (file: RemoteFile, path: string) => Promise<void>
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
  places: ModelPlaces,
  ctx: Context,
): Promise<PulledRepository> {
  const repository = await readRepository(wanted, hub, ctx)
  const files = wanted.choose(repository)
  const { hubCache } = places
  const snapshot = { repository: repository.repository, revision: repository.commit }
  const blobs = blobsFolder(snapshot.repository, hubCache)
  const folder = snapshotFolder(snapshot, hubCache)
  const bring = async (): Promise<number> => {
    await makeFolder(blobs)
    const missing = await bringContents(repository, files, { blobs, hub, ctx, look: wanted.look })
    for (const { path, checksum } of files) await nameBlob(join(blobs, checksum.digest), join(folder, path))
    const { revision = MAIN } = wanted
    if (revision !== repository.commit) await writeRef(snapshot, hubCache, revision)
    return missing
  }
  const missing = await whileWriting(blobs, () => whileAlone(snapshot.repository, places, ctx, bring))
  const [only, ...more] = files
  return {
    path: only !== undefined && more.length === 0 ? join(folder, only.path) : folder,
    commit: repository.commit,
    bytes: totalOf(files),
    license: repository.license ?? null,
    fetched: missing > 0,
  }
}

const CHUNK_BYTES = 2 ** 20

/** What bringing contents takes. */
interface Bringing {
  readonly blobs: string
  readonly hub: Hub
  readonly ctx: Context
  readonly look: Wanted['look']
}

/** Brings the contents that are not there yet, small ones first: what is wrong with them is known before the large ones come. */
async function bringContents(
  repository: Repository,
  files: readonly RemoteFile[],
  bringing: Bringing,
): Promise<number> {
  const { blobs, ctx } = bringing
  const missing: RemoteFile[] = []
  for (const file of files) {
    if (await isThere(file, blobs, ctx)) await bringing.look?.(file, join(blobs, file.checksum.digest))
    else missing.push(file)
  }
  const begun = await Promise.all(missing.map(({ checksum }) => sizeOf(partOf(checksum.digest, blobs))))
  await requireSpace(blobs, totalOf(missing) - begun.reduce((sum, bytes) => sum + bytes, 0))
  for (const file of missing.sort((a, b) => a.bytes - b.bytes)) {
    const failure = await bringOne(repository, file, bringing).catch((error: unknown) => error)
    ctx.signal.throwIfAborted()
    // Another process may have finished the same file.
    if (failure !== undefined && !(await isThere(file, blobs, ctx))) throw failure
    await bringing.look?.(file, join(blobs, file.checksum.digest))
  }
  return missing.length
}

async function bringOne(repository: Repository, file: RemoteFile, { blobs, hub, ctx }: Bringing): Promise<void> {
  const { path, checksum } = file
  const part = partOf(checksum.digest, blobs)
  await fetchFile(repository, file, part, hub, ctx)
  const handle = await open(part, 'r')
  try {
    const found = await digestOf(handle, file, ctx)
    const { ino } = await handle.stat()
    if (found === checksum.digest) return await take(part, ino, (own) => rename(own, join(blobs, checksum.digest)))
    await take(part, ino, (own) => rm(own))
    throw new WhicheditError('E_CHECKSUM', { name: path, expected: checksum.digest, found })
  } finally {
    await handle.close()
  }
}

/**
 * Takes the very file that was checked away from its name, and uses it. Where the lock was lost, another process may have finished
 * the file meanwhile and a third have begun anew under the name.
 */
async function take(part: string, ino: number, use: (own: string) => Promise<void>): Promise<void> {
  const own = `${part}.${randomUUID()}`
  await rename(part, own)
  if ((await stat(own)).ino === ino) return use(own)
  await rename(own, part)
  throw new WhicheditError('E_DOWNLOAD', { name: part, reason: 'another process was at work on it' })
}

/** Says whether contents are there and right; large ones are read once, and their hash remembered. */
async function isThere(file: RemoteFile, blobs: string, ctx: Context): Promise<boolean> {
  const { kind, digest } = file.checksum
  const blob = join(blobs, digest)
  if ((await stat(blob).catch(() => undefined))?.size !== file.bytes) return false
  if (kind === 'sha256') return (await contentHash(blob, ctx)) === digest
  const handle = await open(blob, 'r')
  try {
    return (await digestOf(handle, file, ctx)) === digest
  } finally {
    await handle.close()
  }
}

/** The sha256 of a large file's contents, the hash that git names a small one's by. */
async function digestOf(handle: FileHandle, { path, bytes, checksum }: RemoteFile, ctx: Context): Promise<string> {
  const hash = checksum.kind === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${bytes}\0`)
  const chunks = handle.createReadStream({ autoClose: false, highWaterMark: CHUNK_BYTES })
  for await (const chunk of reporting(chunks, { task: `reading ${path}`, total: bytes }, ctx)) {
    ctx.signal.throwIfAborted()
    hash.update(chunk)
  }
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
