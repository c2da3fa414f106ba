/**
 * Shows how the lanes of a run come along, on standard error: on a terminal a block with a line for each method that is
 * rewritten in place, else a line when a stage begins or ends and one every half minute.
 */
import type { LaneEvent } from '../../evidence/lanes.ts'
import { printable } from '../../printable.ts'
import { formatEvent, type ProgressStream } from './progress.ts'

/** A display of lanes. */
export interface LanesDisplay {
  /** Takes what happens in a lane; never throws. */
  readonly report: (event: LaneEvent) => void
}

/** Surroundings of a display. */
export interface LanesDisplayOptions {
  readonly methods: readonly string[]
  readonly unicode: boolean
  /** Milliseconds from a monotonic clock. */
  readonly now: () => number
  /** Once it is aborted nothing is drawn any more: what is said then stands below the block. */
  readonly signal: AbortSignal
}

/** Often enough to look alive, rarely enough to cost nothing. */
const REDRAW_MS = 100
/** Off a terminal: rarely enough for a log. */
const REPEAT_MS = 30_000
const BAR_WIDTH = 12

/** Makes a display for a stream. */
export function createLanesDisplay(stream: ProgressStream, options: LanesDisplayOptions): LanesDisplay {
  return stream.isTTY === true ? createBlock(stream, options) : createLog(stream, options)
}

function createBlock(stream: ProgressStream, { methods, unicode, now, signal }: LanesDisplayOptions): LanesDisplay {
  const events = new Map<string, LaneEvent>()
  const width = Math.max(...methods.map((name) => name.length))
  let drawnAt = Number.NEGATIVE_INFINITY
  let isDrawn = false
  const draw = (): void => {
    const lines = methods.map((name) => {
      const event = events.get(name)
      const bar = event === undefined ? '' : drawBar(event.done / event.total, unicode)
      // One column stays free: a full line would wrap and could not be rewritten.
      return `${name.padEnd(width)}  ${bar} ${formatLane(event)}`.slice(0, (stream.columns ?? 80) - 1)
    })
    // Up to the block's first line, and away with everything from there on.
    stream.write(`${isDrawn ? `\u001b[${methods.length}A` : ''}\r\u001b[J${lines.join('\n')}\n`)
    isDrawn = true
    drawnAt = now()
  }
  const report = (event: LaneEvent): void => {
    const isNews = events.get(event.method)?.stage !== event.stage
    events.set(event.method, event)
    if (!signal.aborted && (isNews || now() - drawnAt >= REDRAW_MS)) draw()
  }
  return { report }
}

function createLog(stream: ProgressStream, { now, signal }: LanesDisplayOptions): LanesDisplay {
  const printed = new Map<string, { stage: LaneEvent['stage']; at: number }>()
  const report = (event: LaneEvent): void => {
    const last = printed.get(event.method)
    if (signal.aborted || (event.stage === last?.stage && now() - last.at < REPEAT_MS)) return
    printed.set(event.method, { stage: event.stage, at: now() })
    stream.write(`${event.method}: ${formatLane(event)}\n`)
  }
  return { report }
}

function drawBar(share: number, unicode: boolean): string {
  const filled = Math.round(share * BAR_WIDTH)
  const [full, empty] = unicode ? ['█', '░'] : ['#', '.']
  return full.repeat(filled) + empty.repeat(BAR_WIDTH - filled)
}

/** `3/8  reliability 67  locality 100  v* of Angola  12/20 steps`; rates as whole numbers from 0 to 100. */
export function formatLane(event: LaneEvent | undefined): string {
  if (event === undefined) return 'waiting'
  const { stage, done, total, rates, failures, step } = event
  const parts = [
    `${done}/${total}`,
    ...Object.entries(rates).map(([criterion, rate]) => `${criterion} ${Math.round(100 * rate)}`),
    ...(failures > 0 ? [`${failures} failed`] : []),
    ...(stage === 'open' ? ['opening the model'] : []),
    ...(stage === 'prepare' && step === undefined ? ['preparing'] : []),
    ...(step === undefined ? [] : [formatEvent(step)]),
  ]
  return printable(parts.join('  '))
}
