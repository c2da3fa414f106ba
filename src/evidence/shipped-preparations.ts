/**
 * What was prepared for a model that ships, so that a method which must be trained first can be tried at once. It lies beside the model
 * as it would lie in the cache, what it cost with it, and is used where the same would be made: files are found by what determines them.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder, systemCode, writeWhole } from '../disk.ts'

/** Puts what lies prepared in `folder`, if anything, into the cache; what is there already stays. @throws E_NOT_WRITABLE, E_DISK_FULL */
export async function takeShippedPreparations(folder: string, cacheDir: string): Promise<void> {
  for (const entry of await listFolder(folder)) {
    const [from, to] = [join(folder, entry), join(cacheDir, entry)]
    if ((await stat(from)).isDirectory()) {
      await makeFolder(to)
      await takeShippedPreparations(from, to)
    } else if (!(await exists(to))) await writeWhole(to, await readFile(from))
  }
}

async function listFolder(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file)
    return true
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return false
    throw error
  }
}
