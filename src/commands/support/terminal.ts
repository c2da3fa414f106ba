/** What the terminal at hand can show and whether somebody sits at it. The rest of the commands ask here, never `process`. */

/** How results are to be shown. */
export interface Display {
  /** Whether standard output takes colour. */
  readonly color: boolean
  /** Width of the output in characters. */
  readonly columns: number
  /** False where the locale is not UTF-8: then only ASCII is printed. */
  readonly unicode: boolean
}

/** The words of `--color`. */
export type ColorChoice = 'auto' | 'always' | 'never'

const DEFAULT_COLUMNS = 80

/** Somebody can answer a question: a terminal on both ends, not a build machine, not a dumb terminal. */
export function isInteractive(noInput: boolean): boolean {
  const { CI, TERM } = process.env
  const isTerminal = process.stdin.isTTY === true && process.stderr.isTTY === true
  return isTerminal && !noInput && (CI === undefined || CI === '' || CI === 'false') && TERM !== 'dumb'
}

/**
 * Makes the choice of colour known to everything that writes, libraries and child processes included, through the two
 * variables they all read.
 */
export function applyColorChoice(choice: ColorChoice): void {
  if (choice === 'auto') return
  delete process.env[choice === 'always' ? 'NO_COLOR' : 'FORCE_COLOR']
  process.env[choice === 'always' ? 'FORCE_COLOR' : 'NO_COLOR'] = '1'
}

/** Whether a stream takes colour: FORCE_COLOR, then NO_COLOR, then what the stream is. */
export function hasColor(stream: NodeJS.WriteStream): boolean {
  const { FORCE_COLOR, NO_COLOR, TERM } = process.env
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false'
  if (NO_COLOR !== undefined && NO_COLOR !== '') return false
  return stream.isTTY === true && TERM !== 'dumb'
}

/** What standard output can show. */
export function describeDisplay(): Display {
  const asked = Number.parseInt(process.env.COLUMNS ?? '', 10)
  const columns = asked > 0 ? asked : (process.stdout.columns ?? DEFAULT_COLUMNS)
  return { color: hasColor(process.stdout), columns, unicode: isUnicode() }
}

function isUnicode(): boolean {
  const { LC_ALL, LC_CTYPE, LANG } = process.env
  const locale = [LC_ALL, LC_CTYPE, LANG].find((value) => value !== undefined && value !== '')
  // No locale at all is a container or Windows: there UTF-8 is the rule by now.
  return locale === undefined || /utf-?8/i.test(locale)
}
