/** The line between a lane's process and the one that started it, at the lane's end. */
import { WhicheditError } from '../../errors.ts'
import type { FromLane, LaneChannel, ToLane } from '../../evidence/lane.ts'

/** After the other end has gone, nobody waits for the work in flight: it is cut short where it cannot be stopped. */
const LINGER_MS = 2_000

/** Opens the line. @throws E_INTERNAL in a process that was not started as a lane */
export function openLaneChannel(): LaneChannel {
  if (process.send === undefined) throw new WhicheditError('E_INTERNAL', { what: 'a lane that nobody started' })
  // Ctrl-C reaches every process of a terminal; whether a lane stops is decided at the other end.
  process.on('SIGINT', () => {})
  return {
    send: (message: FromLane) =>
      new Promise((resolve, reject) => {
        process.send?.(message, (error: Error | null) => (error === null ? resolve() : reject(error)))
      }),
    onMessage: (take) => process.on('message', (message: ToLane) => take(message)),
    onClose: (take) =>
      process.on('disconnect', () => {
        take()
        setTimeout(() => process.exit(), LINGER_MS).unref()
      }),
    now: () => performance.now(),
    // Linux and macOS agree on kibibytes here: libuv sees to it.
    peakResidentBytes: () => process.resourceUsage().maxRSS * 1024,
  }
}
