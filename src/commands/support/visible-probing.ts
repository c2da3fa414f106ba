/** Probing with its progress shown on standard error: what `probe` and `advise` have in common before a result is printed. */
import type { Context } from '../../context.ts'
import type { StoredRun } from '../../evidence/store.ts'
import { printable } from '../../printable.ts'
import { createLanesDisplay } from './lanes-display.ts'
import { type Probed, type ProbingHost, type ProbingRequest, probe } from './probing.ts'

/** Who runs the probing, and how it is shown. */
export interface ProbingViewer {
  readonly config: ProbingHost['config']
  readonly quiet: boolean
  readonly unicode: boolean
  /** Prints a line for people, never into a result. */
  readonly tell: (line: string) => void
}

/**
 * Measures methods, or goes on where the same measurement stopped, and shows how it comes along.
 * @throws as {@link probe}
 */
export function probeVisibly(request: ProbingRequest, ctx: Context, viewer: ProbingViewer): Promise<Probed> {
  const { config, quiet, unicode, tell } = viewer
  const methods = request.methods.map(({ name }) => name)
  const display = createLanesDisplay(process.stderr, { methods, unicode, now: ctx.now, signal: ctx.signal })
  return probe(request, ctx, {
    config,
    onOpen: (run, notes) => {
      if (!quiet) for (const line of [...describeStart(run), ...notes]) tell(line)
    },
    onEvent: quiet ? () => {} : display.report,
  })
}

/** What an earlier, unfinished run has left, if this goes on with one. */
function describeStart({ info, records, notes }: StoredRun): string[] {
  const done = records.filter(({ kind }) => kind === 'case').length
  return [
    ...(done === 0 ? [] : [`Going on with run ${info.id}: ${done} cases are there already.`]),
    ...notes.map(printable),
  ]
}
