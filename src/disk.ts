/** What the file system refuses, told as what to do about it. */
import { WhicheditError } from './errors.ts'

/** No room: on the disk, in the user's share of it, or below the limit on a file's size. */
const NO_ROOM: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])
const NOT_ALLOWED: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS'])

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

/** The code of an error that came from the system (`ENOENT`), if it did. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('errno' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
