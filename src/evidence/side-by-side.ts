/**
 * How many lanes run side by side. A large model's products keep all cores busy: there lanes run one after another, each on all of
 * them. A small model's are over before a second core has begun (atlas, 2.5 million parameters, on two cores: one thread takes
 * 1.0 times as long as two): there each lane has a core of its own, and none slows another's clock.
 */
import type { SessionOptions } from '../graph/session.ts'

/** How the lanes of a run share a machine. */
export interface Sharing {
  /** Lanes at a time. */
  readonly lanes: number
  /** How each of them opens the model. */
  readonly session: SessionOptions
}

/** What decides it. */
export interface Shared {
  readonly weightsBytes: number
  /** The most that a lane takes besides the weights. */
  readonly laneBytes: number
  readonly cores: number
  /** Memory there is for all lanes. */
  readonly availableBytes: number
}

/** Weights of a small model: a thread's products over them are quick, and each session can have a copy in the layout it likes. */
const SMALL_BYTES = 32 * 2 ** 20
/** Sessions of a lane that hold such a copy. */
const COPIES = 8

/** Shares a machine among lanes. */
export function shareMachine({ weightsBytes, laneBytes, cores, availableBytes }: Shared): Sharing {
  if (weightsBytes > SMALL_BYTES) return { lanes: 1, session: {} }
  const fitting = Math.floor(availableBytes / (laneBytes + COPIES * weightsBytes))
  return { lanes: Math.max(1, Math.min(cores, fitting)), session: { threads: 1, prepack: true } }
}
