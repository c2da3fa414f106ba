/**
 * The one error class and the table of all its codes. A message says what was expected, what was found and what to try;
 * `{name}` in a template is filled from the error's values. Exit codes are those of the command line (docs/architecture.md).
 */

/** How the command line ends when an error of this code reaches it: 1 failure, 2 wrong use or invalid file, 4 no method qualifies, 66 input missing, 75 try again. */
export type ExitCode = 1 | 2 | 4 | 66 | 75

interface ErrorSpec {
  readonly message: string
  readonly exit: ExitCode
}

/** Every error the product raises on purpose. Keep the rows sorted. */
export const ERRORS = {
  E_BATCH: {
    message:
      '{title} edits one fact at a time, found {found}. Edit them one by one, each with the earlier patches as its history.',
    exit: 2,
  },
  E_HPARAM: {
    message: '{method}: {setting}: expected {expected}, found {found}. See `whichedit methods show {method}`.',
    exit: 2,
  },
  E_INTERNAL: { message: 'internal: {what}. This is a defect of whichedit, please report it.', exit: 1 },
  E_NO_FACTS: { message: '{title} has nothing to edit: expected at least one fact, found none.', exit: 2 },
  E_SETTINGS: { message: '{problems}', exit: 2 },
  E_SETTINGS_MISSING: { message: 'expected a YAML file at {file}, found none. Check the path.', exit: 66 },
  E_SETTINGS_UNREADABLE: { message: 'expected a YAML file at {file}, could not read it: {reason}.', exit: 66 },
  E_SHAPE: { message: '{where}: {what}', exit: 1 },
} as const satisfies Record<string, ErrorSpec>

/** A code of {@link ERRORS}. */
export type ErrorCode = keyof typeof ERRORS

/** What fills a message template. */
export type ErrorValues = Readonly<Record<string, string | number>>

/** An error with a code, its values and, where there is one, the error that caused it. */
export class WhicheditError extends Error {
  override readonly name = 'WhicheditError'
  readonly code: ErrorCode
  readonly values: ErrorValues

  constructor(code: ErrorCode, values: ErrorValues, options?: { cause?: unknown }) {
    super(fillTemplate(ERRORS[code].message, values), options)
    this.code = code
    this.values = values
  }

  /** The exit code of the command line for this error. */
  get exit(): ExitCode {
    return ERRORS[this.code].exit
  }
}

function fillTemplate(template: string, values: ErrorValues): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole))
}
