/**
 * Shows the progress of a long job on standard error, so that results stay clean: one line that is rewritten on a terminal,
 * else a line when a task begins and one every half minute.
 */
import type { ProgressEvent } from '../../context.ts'
import { printable } from '../../printable.ts'

/** Where progress goes. */
export interface ProgressStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** A display of progress. */
export interface Progress {
  /** Takes a step; never throws. */
  readonly report: (event: ProgressEvent) => void
  /** Takes the rewritten line away, before something else is printed or at the end. */
  readonly clear: () => void
}

/** Often enough to look alive, rarely enough to cost nothing. */
const REDRAW_MS = 100
/** Off a terminal: rarely enough for a log. */
const REPEAT_MS = 30_000
const CLEAR_LINE = '\r\u001b[2K'

/** Shows nothing. */
export const SILENT: Progress = { report: () => {}, clear: () => {} }

/** Makes a display for a stream; `now` is a monotonic clock in milliseconds. */
export function createProgress(stream: ProgressStream, now: () => number): Progress {
  return stream.isTTY === true ? createLiveLine(stream, now) : createLog(stream, now)
}

function createLiveLine(stream: ProgressStream, now: () => number): Progress {
  let drawnAt = Number.NEGATIVE_INFINITY
  let isDrawn = false
  const report = (event: ProgressEvent): void => {
    if (now() - drawnAt < REDRAW_MS && event.done !== event.total) return
    drawnAt = now()
    isDrawn = true
    // One column stays free: a full line would wrap and could not be rewritten.
    stream.write(CLEAR_LINE + formatEvent(event).slice(0, (stream.columns ?? 80) - 1))
  }
  const clear = (): void => {
    if (isDrawn) stream.write(CLEAR_LINE)
    isDrawn = false
  }
  return { report, clear }
}

function createLog(stream: ProgressStream, now: () => number): Progress {
  let task: string | undefined
  let printedAt = 0
  const report = (event: ProgressEvent): void => {
    if (event.task === task && now() - printedAt < REPEAT_MS) return
    task = event.task
    printedAt = now()
    stream.write(`${formatEvent(event)}\n`)
  }
  return { report, clear: () => {} }
}

/** `covariance of mlp-inner.5  1200/4096 tokens`; bytes in MiB; what trains tells its loss. */
export function formatEvent({ task, done, total, unit, loss }: ProgressEvent): string {
  const amount = unit === 'bytes' ? (value: number) => (value / 2 ** 20).toFixed(1) : String
  const counted = total === undefined ? amount(done) : `${amount(done)}/${amount(total)}`
  const trained = loss === undefined ? '' : `, loss ${loss.toFixed(3)}`
  return printable(`${task}  ${counted} ${unit === 'bytes' ? 'MiB' : unit}${trained}`)
}
