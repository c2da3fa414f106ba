/**
 * The Hugging Face cache as its own tools lay it out, so that they and we find each other's models:
 * `models--<owner>--<name>/` holds `blobs/<checksum>` (contents), `snapshots/<commit>/<path>` (names, links to contents) and
 * `refs/<branch>` (which commit a branch stood for).
 */
import { copyFile, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { makeFolder, systemCode, writeWhole } from '../disk.ts'

/** Where models are looked for besides paths. */
export interface ModelPlaces {
  /** The Hugging Face cache: the folder that holds `models--<owner>--<name>` folders. */
  readonly hubCache: string
}

/** A state of a repository. */
export interface Snapshot {
  /** `<owner>/<name>` */
  readonly repository: string
  /** The commit. */
  readonly revision: string
}

/** The branch that a repository is read from when none is named. */
export const MAIN = 'main'

/** Says whether a reference has the form of a repository's name: `<owner>/<name>`, or a bare name as the first models have. */
export function isRepository(reference: string): boolean {
  return /^(\w[\w.-]*\/)?\w[\w.-]*$/.test(reference)
}

/** The folder of a repository (`<owner>/<name>`) in the Hugging Face cache. */
export function hubFolder(repository: string, hubCache: string): string {
  return join(hubCache, `models--${repository.replace('/', '--')}`)
}

/** The folder of a commit's files, whether it is there or not. */
export function snapshotFolder({ repository, revision }: Snapshot, hubCache: string): string {
  return join(hubFolder(repository, hubCache), 'snapshots', revision)
}

/** The folder of a repository's contents, named by their checksums. */
export function blobsFolder(repository: string, hubCache: string): string {
  return join(hubFolder(repository, hubCache), 'blobs')
}

/** The commit that the cache knows a branch by; undefined where it knows none, or what it says is no plain name. */
export async function revisionOf(repository: string, hubCache: string, branch = MAIN): Promise<string | undefined> {
  const text = await readFile(refFile(repository, hubCache, branch), 'utf8').catch(() => '')
  const revision = text.trim()
  return /^\w+$/.test(revision) ? revision : undefined
}

/**
 * Gives contents a name in a snapshot: a link, or a copy where links are not allowed. What had the name before is replaced.
 * @throws E_DISK_FULL, E_NOT_WRITABLE
 */
export async function nameBlob(blob: string, path: string): Promise<void> {
  const link = relative(dirname(path), blob)
  if ((await readlink(path).catch(() => undefined)) === link) return
  await makeFolder(dirname(path))
  await rm(path, { force: true })
  try {
    await symlink(link, path)
  } catch (error) {
    const code = systemCode(error)
    if (code === 'EPERM') await copyFile(blob, path)
    // Another process gave the same name.
    else if (code !== 'EEXIST') throw error
  }
}

/** Notes which commit a branch stands for now. @throws E_DISK_FULL, E_NOT_WRITABLE */
export function writeRef({ repository, revision }: Snapshot, hubCache: string, branch = MAIN): Promise<void> {
  return writeWhole(refFile(repository, hubCache, branch), revision)
}

/**
 * Notes which commit the main branch stands for, unless that is known already: a note that is there was written by the
 * hub's own tools, which know better what is newest.
 */
export async function writeFirstRef({ repository, revision }: Snapshot, hubCache: string): Promise<void> {
  const file = refFile(repository, hubCache, MAIN)
  await makeFolder(dirname(file))
  await writeFile(file, revision, { flag: 'wx' }).catch((error: unknown) => {
    if (systemCode(error) !== 'EEXIST') throw error
  })
}

function refFile(repository: string, hubCache: string, branch: string): string {
  return join(hubFolder(repository, hubCache), 'refs', branch)
}
