/** The whole process: from its arguments to its exit code. `bin/run.js` does nothing but call it. */
import { Config, Errors, run } from '@oclif/core'
import { printableLines } from '../../printable.ts'
import { suggest } from '../../suggest.ts'
import { describeFailure, formatFailure, toFailureJson } from './failure.ts'

/** What a bare `whichedit` does. */
const DEFAULT_COMMAND = 'advise'

/**
 * Runs the command that `argv` names and ends the process with its code. `root` is the address of a file in the package.
 */
export async function main(argv: readonly string[], root: string): Promise<never> {
  ignoreClosedPipes()
  const words = withDefaultCommand(argv)
  const config = await Config.load(root)
  let exit = 0
  try {
    await run(words, config)
  } catch (error) {
    exit = tell(error, words, config)
  }
  await drain()
  // Native sessions may still hold threads; the work is done.
  process.exit(exit === 0 ? (process.exitCode ?? 0) : exit)
}

/** `whichedit` and `whichedit --model x` mean `advise`; `--help` and `--version` stay what they are. */
function withDefaultCommand(argv: readonly string[]): string[] {
  const [first] = argv
  const isCommand = first !== undefined && (!first.startsWith('-') || ['--help', '-h', '--version'].includes(first))
  return isCommand ? [...argv] : [DEFAULT_COMMAND, ...argv]
}

/** Tells what no command has told yet (a command that does not exist, a defect in loading one); gives the exit code. */
function tell(error: unknown, argv: readonly string[], config: Config): number {
  if (error instanceof Errors.ExitError) return error.oclif.exit ?? 1
  const failure = describeFailure(addSuggestions(error, argv, config))
  if (argv.includes('--json')) process.stdout.write(`${JSON.stringify(toFailureJson(failure), null, 2)}\n`)
  else process.stderr.write(`${printableLines(formatFailure(failure))}\n`)
  return failure.exit
}

/** oclif's "command not found" gains a code and the nearest commands. */
function addSuggestions(error: unknown, argv: readonly string[], config: Config): unknown {
  const found = error instanceof Errors.CLIError && /^command (\S+) not found$/.exec(error.message)
  if (!found) return error
  const words = argv.filter((word) => !word.startsWith('-')).join(' ')
  const names = config.commandIDs.map((id) => id.replaceAll(':', ' '))
  const suggestions = [...suggest(words, names).map((name) => `${config.bin} ${name}`), `${config.bin} --help`]
  return new Errors.CLIError(`there is no command "${words}"`, { code: 'E_UNKNOWN_COMMAND', exit: 2, suggestions })
}

/** A reader that goes away (`| head`) is no error. */
function ignoreClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
  }
}

/** Waits until what was written has left the process: a pipe's buffer is lost on exit. */
async function drain(): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    if (!stream.destroyed && stream.writable) await new Promise((resolve) => stream.write('', resolve))
  }
}
