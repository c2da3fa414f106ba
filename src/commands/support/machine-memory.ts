/** What memory this machine has for us: its own, or that of the container that the process is in. */
import { freemem, totalmem } from 'node:os'
import { WhicheditError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import { parseSize, SIZE_FORM } from '../../scoring/quantity.ts'

/** Memory in bytes. */
export interface MachineMemory {
  readonly totalBytes: number
  /** Not taken by anybody; what only keeps files at hand counts as free. */
  readonly availableBytes: number
}

/** Reads this machine's memory. */
export function machineMemory(): MachineMemory {
  // 0 where there is no limit; on some systems a number beyond all memory.
  const limit = process.constrainedMemory() || Number.POSITIVE_INFINITY
  const inContainer = Math.max(0, limit - process.memoryUsage.rss())
  // macOS counts as free only what nothing was ever put into: of use to nobody. It makes room when asked.
  const free = process.platform === 'darwin' ? totalmem() : freemem()
  return { totalBytes: Math.min(totalmem(), limit), availableBytes: Math.min(free, inContainer) }
}

/** Reads what a user allows; null where nothing is said. @throws E_MAX_MEMORY for what is no size */
export function readMemoryLimit(limit: string | undefined): number | null {
  if (limit === undefined) return null
  const bytes = parseSize(limit)
  if (bytes === undefined) throw new WhicheditError('E_MAX_MEMORY', { form: SIZE_FORM, found: printable(limit) })
  return bytes
}

/** What a model may count on: this machine's memory, or less where the user allows less. */
export function memoryForModel(limitBytes: number | null): number {
  return Math.min(machineMemory().totalBytes, limitBytes ?? Number.POSITIVE_INFINITY)
}
