/**
 * What a long job may use besides its arguments: randomness, cancellation, progress, a clock and a cache folder.
 * Nothing in the library reads the clock, draws a number or writes a file in any other way.
 */
import type { Random } from './tensor/random.ts'

/** One step of a long job, as a person would name it. */
export interface ProgressEvent {
  /** What is being done: `covariance of mlp-inner.5`. */
  readonly task: string
  /** Units done and in all; `total` is absent where it is unknown. */
  readonly done: number
  readonly total?: number
  /** What the numbers count: `tokens`, `steps`, `bytes`. */
  readonly unit: string
  /** How far off what is being trained still is. */
  readonly loss?: number
}

/** What a long job may use. */
export interface Context {
  /** Seeded randomness; take a named stream of it for each purpose. */
  readonly random: Random
  /** Aborted when the user stops the job; long loops call `signal.throwIfAborted()`. */
  readonly signal: AbortSignal
  /** Takes a step of progress; must not throw. */
  readonly progress: (event: ProgressEvent) => void
  /** A folder for files that can always be made again (covariances, converted weights, sentence vectors). */
  readonly cacheDir: string
  /** Milliseconds from a monotonic clock. */
  readonly now: () => number
}
