/**
 * What a preparation costs, remembered. Editors keep what they prepare in the cache, so a second run on the same model would
 * find the work done and call it free. A preparation costs what it took when it was made on this machine: the most that any
 * run of the same method on the same model with the same settings and text has measured.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { systemCode, writeWhole } from '../disk.ts'
import { hashOf } from '../models/content-hash.ts'

/** Time and memory of a preparation. */
export interface PreparationCost {
  readonly seconds: number
  readonly peakBytes: number
}

const COST = z.object({ seconds: z.number().min(0), peakBytes: z.number().min(0) }) satisfies z.ZodType<PreparationCost>

/**
 * The larger of what was measured now and what is remembered, which is remembered from now on.
 * @param identity what determines the preparation, as JSON values
 * @throws E_DISK_FULL, E_NOT_WRITABLE
 */
export async function rememberCost(
  cacheDir: string,
  identity: unknown,
  measured: PreparationCost,
): Promise<PreparationCost> {
  const key = hashOf(identity).slice(0, 32)
  const file = join(cacheDir, 'preparation-costs', `${key}.json`)
  const known = await readCost(file)
  const cost = {
    seconds: Math.max(measured.seconds, known?.seconds ?? 0),
    peakBytes: Math.max(measured.peakBytes, known?.peakBytes ?? 0),
  }
  await writeWhole(file, JSON.stringify(cost))
  return cost
}

/** What is remembered; a file that cannot be understood remembers nothing. */
async function readCost(file: string): Promise<PreparationCost | undefined> {
  try {
    return COST.safeParse(JSON.parse(await readFile(file, 'utf8'))).data
  } catch (error) {
    if (error instanceof SyntaxError || systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
