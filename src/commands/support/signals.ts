/** Ctrl-C and SIGTERM: the first asks the job to stop and keep what it has, the second stops at once. */
import { Interruption } from './failure.ts'

/** A watch over the signals that stop a job. */
export interface SignalWatch {
  /** Aborted by the first signal, with an {@link Interruption} as its reason. */
  readonly signal: AbortSignal
  /** Gives the signals back to the system. */
  readonly end: () => void
}

const STOPPING = { SIGINT: 130, SIGTERM: 143 } as const

/** Watches until {@link SignalWatch.end}. `onFirst` tells the user that the job is being stopped. */
export function watchSignals(onFirst: () => void): SignalWatch {
  const controller = new AbortController()
  const stop = (name: keyof typeof STOPPING) => (): void => {
    if (controller.signal.aborted) process.exit(STOPPING[name])
    onFirst()
    controller.abort(new Interruption(name))
  }
  const handlers = { SIGINT: stop('SIGINT'), SIGTERM: stop('SIGTERM') }
  process.on('SIGINT', handlers.SIGINT)
  process.on('SIGTERM', handlers.SIGTERM)
  const end = (): void => {
    process.off('SIGINT', handlers.SIGINT)
    process.off('SIGTERM', handlers.SIGTERM)
  }
  return { signal: controller.signal, end }
}
