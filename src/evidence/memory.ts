/**
 * The peak of a process's own memory over a stretch of time. Where the system tells it (Linux), anonymous memory: what the
 * process has for itself, without the weight files it has mapped, whose pages are counted once for every mapping and can be
 * dropped at any time. Elsewhere the peak of the resident memory since the process began, which is more and never falls.
 *
 * Sampled, on a timer and whenever asked: a peak shorter than the interval, or inside one long computation of JavaScript
 * that has been collected again at its end, is missed.
 */
import { readFileSync } from 'node:fs'

/** Follows the memory of this process. */
export interface MemoryGauge {
  /** Forgets the peak so far. */
  readonly restart: () => void
  /** Bytes, since the last restart. */
  readonly peak: () => number
  readonly stop: () => void
}

const SAMPLE_MS = 25

/** Follows the memory that `read` gives, in bytes. */
export function createMemoryGauge(read: () => number): MemoryGauge {
  let highest = read()
  const sample = (): number => {
    highest = Math.max(highest, read())
    return highest
  }
  const timer = setInterval(sample, SAMPLE_MS)
  timer.unref()
  return {
    restart: () => {
      highest = read()
    },
    peak: sample,
    stop: () => clearInterval(timer),
  }
}

/** Reads this process's anonymous memory in bytes; where the system does not tell it, `fallback`. */
export function readMemory(fallback: () => number): () => number {
  return () => parseAnonymous(readStatus()) ?? fallback()
}

function readStatus(): string {
  try {
    return readFileSync('/proc/self/status', 'utf8')
  } catch {
    return ''
  }
}

/** The anonymous resident memory in a Linux `status` file, in bytes. */
export function parseAnonymous(status: string): number | undefined {
  const [, kibibytes] = /^RssAnon:\s+(\d+) kB$/m.exec(status) ?? []
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
}
