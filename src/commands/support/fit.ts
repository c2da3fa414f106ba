/** Which methods fit into memory: told from estimates, before anything is loaded. */
import { WhicheditError } from '../../errors.ts'
import { formatBytes } from './bytes.ts'

/** What a method takes and what there is for it, in bytes. */
export interface Fit {
  readonly title: string
  /** Mapped: as long as memory is short of them, the system reads them again and again. */
  readonly weightsBytes: number
  /** The most that the method takes besides. */
  readonly ownBytes: number
}

/** What there is. */
export interface Room {
  /** Of the machine, free or only keeping files at hand. */
  readonly availableBytes: number
  /** What the user allows a method to take besides the weights; null: anything. */
  readonly limitBytes: number | null
}

/** An estimate is at most about so much of what is really taken: what is beyond a limit by more is so for sure. */
const MOST_OVER = 1.5

/**
 * Says why a method does not fit; null where it does. The machine must have room for the most that it may take. A limit of the user's is
 * held against what it takes at least: whether a method that comes close keeps to it, its measured peak will tell.
 */
export function reasonNotToFit({ title, weightsBytes, ownBytes }: Fit, room: Room): WhicheditError | null {
  const { availableBytes, limitBytes } = room
  const parts = `${formatBytes(weightsBytes)} of weights, up to ${formatBytes(ownBytes)} to work`
  const needed = weightsBytes + ownBytes
  if (needed > availableBytes) {
    const found = `${formatBytes(availableBytes)} available on this machine`
    return new WhicheditError('E_MEMORY', { title, needed: formatBytes(needed), parts, found })
  }
  const least = ownBytes / MOST_OVER
  if (limitBytes === null || least <= limitBytes) return null
  const found = `a limit of ${formatBytes(limitBytes)}`
  return new WhicheditError('E_MEMORY', { title, needed: `at least ${formatBytes(least)}`, parts, found })
}
