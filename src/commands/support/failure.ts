/**
 * What the command line says and how it ends when something goes wrong. One description serves the terminal and `--json`,
 * so that both end with the same code. Expected failures are told plainly; a defect keeps its stack.
 */
import { Errors } from '@oclif/core'
import { WhicheditError } from '../../errors.ts'

/** Version of every JSON document the commands print. */
export const SCHEMA_VERSION = 1

/** How a process ends: done, failure, wrong use, a gate missed, nothing qualifies, input missing, try again, Ctrl-C, terminated. */
export type Exit = 0 | 1 | 2 | 3 | 4 | 66 | 75 | 130 | 143

/** The user or the system asked the work to stop; what was finished is kept. */
export class Interruption extends Error {
  override readonly name = 'Interruption'
  readonly signal: 'SIGINT' | 'SIGTERM'

  constructor(signal: 'SIGINT' | 'SIGTERM', message = 'Stopped. What was finished is kept: the same command goes on.') {
    super(message)
    this.signal = signal
  }
}

/** A failure as it is told. */
export interface Failure {
  readonly code: string
  readonly message: string
  readonly suggestions: readonly string[]
  readonly exit: number
  /** Present for defects only. */
  readonly stack?: string
}

/** Turns anything thrown into what is told about it. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof Interruption) {
    const exit = error.signal === 'SIGINT' ? 130 : 143
    return { code: `E_${error.signal}`, message: error.message, suggestions: [], exit }
  }
  if (error instanceof WhicheditError) return describeKnown(error)
  if (!(error instanceof Error)) return { code: 'E_INTERNAL', message: String(error), suggestions: [], exit: 1 }
  // By name: the prompts may come from a second copy of the library.
  if (error.name === 'ExitPromptError') {
    return { code: 'E_SIGINT', message: 'Stopped. Nothing was saved.', suggestions: [], exit: 130 }
  }
  if (error.name === 'AbortError' && error.cause !== undefined) return describeFailure(error.cause)
  if (error instanceof Errors.CLIError) return describeUse(error)
  return describeDefect(error)
}

/** The JSON document for a failure. */
export function toFailureJson(failure: Failure): object {
  const { code, message, suggestions, exit } = failure
  return { schemaVersion: SCHEMA_VERSION, error: { code, message, suggestions, exit } }
}

/** The failure as lines for a terminal: code and message, then what to try; the stack only for a defect. */
export function formatFailure(failure: Failure): string {
  if (failure.exit === 130 || failure.exit === 143) return failure.message
  const head = failure.stack === undefined ? failure.message : failure.stack
  return [`${failure.code}  ${head}`, ...failure.suggestions.map((suggestion) => `Try: ${suggestion}`)].join('\n')
}

function describeKnown(error: WhicheditError): Failure {
  const base = { code: error.code, message: error.message, suggestions: [], exit: error.exit }
  return error.code === 'E_INTERNAL' && error.stack !== undefined ? { ...base, stack: error.stack } : base
}

/** oclif's own complaints: a flag or an argument that does not fit, a command that does not exist. */
function describeUse(error: Errors.CLIError): Failure {
  const [message, hint] = error.message.split('\nSee more help with --help')
  const suggestions = [...(error.suggestions ?? []), ...(hint === undefined ? [] : ['--help shows what is allowed'])]
  const line = (message ?? '').trim().replace(/:?\s*\n\s*/g, ': ')
  return { code: error.code ?? 'E_USAGE', message: line, suggestions, exit: error.oclif.exit ?? 2 }
}

function describeDefect(error: Error): Failure {
  // The system's own refusals (a full disk, a read-only folder) are told by their code; they are nobody's defect.
  if ('code' in error && 'syscall' in error && typeof error.code === 'string') {
    return { code: error.code, message: error.message, suggestions: [], exit: 1 }
  }
  const base = { code: 'E_INTERNAL', message: error.message, suggestions: [], exit: 1 }
  return error.stack === undefined ? base : { ...base, stack: error.stack }
}
