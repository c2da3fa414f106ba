/**
 * The base of every command: common flags, one way to fail, and what a long job may use. Commands stay thin:
 * parse → one library call → print. It mends what oclif does otherwise (docs/architecture.md): a failure ends with the same
 * code with and without `--json`, in one shape, and a wrong flag never dumps the program's insides.
 */
import { Command, type Interfaces } from '@oclif/core'
import type { Context } from '../../context.ts'
import { printableLines } from '../../printable.ts'
import { createRandom } from '../../tensor/random.ts'
import { describeFailure, type Exit, formatFailure, toFailureJson } from './failure.ts'
import { BASE_FLAGS } from './flags.ts'
import { createProgress, type Progress, SILENT } from './progress.ts'
import { type SignalWatch, watchSignals } from './signals.ts'
import { applyColorChoice, type ColorChoice, type Display, describeDisplay, isInteractive } from './terminal.ts'

type Values = Interfaces.OutputFlags<Interfaces.FlagInput>

/** The common flags as given. */
interface Choices {
  readonly noInput: boolean
  readonly yes: boolean
  readonly quiet: boolean
  readonly verbose: boolean
}

/**
 * The base of every command. `run` parses with `await this.parse(TheCommand)`, takes its {@link Context} from `context()`,
 * prints through `this.log` (nothing else goes to standard output) and returns the object that `--json` prints.
 */
export abstract class BaseCommand extends Command {
  static override readonly enableJsonFlag = true
  static override readonly baseFlags = BASE_FLAGS

  /** The common flags; known once `parse` has run. */
  protected choices: Choices = { noInput: false, yes: false, quiet: false, verbose: false }
  #watch: SignalWatch | undefined
  #progress: Progress = SILENT

  /** Whether the user can be asked: a terminal on both ends, no `--no-input`, not a build machine. */
  protected interactive(): boolean {
    return isInteractive(this.choices.noInput)
  }

  /** What standard output can show: colour, width, characters beyond ASCII. */
  protected display(): Display {
    return describeDisplay()
  }

  /**
   * What a long job may use. The first Ctrl-C (or SIGTERM) aborts its signal, the second ends the process at once;
   * progress goes to standard error.
   */
  protected context(seed = 0): Context {
    const now = (): number => performance.now()
    if (!this.choices.quiet) this.#progress = createProgress(process.stderr, now)
    const progress = this.#progress
    this.#watch ??= watchSignals(() => {
      progress.clear()
      process.stderr.write('Stopping; what is finished is kept. Press Ctrl-C again to stop at once.\n')
    })
    const { signal } = this.#watch
    return { random: createRandom(seed), signal, progress: progress.report, cacheDir: this.config.cacheDir, now }
  }

  /** Ends with a code after the work is done: prints the result as `--json` wants it (its lines were logged before). */
  protected endWith(result: object, exit: Exit): never {
    if (this.jsonEnabled()) this.logJson(result)
    return this.exit(exit)
  }

  override log(message = '', ...args: unknown[]): void {
    this.#progress.clear()
    super.log(message, ...args)
  }

  override jsonEnabled(): boolean {
    return super.jsonEnabled() || process.env.WHICHEDIT_JSON === '1' || process.env.WHICHEDIT_JSON === 'true'
  }

  protected override async parse<F extends Values, B extends Values, A extends Values>(
    options?: Interfaces.Input<F, B, A>,
    argv?: string[],
  ): Promise<Interfaces.ParserOutput<F, B, A>> {
    const parsed = await super.parse(options, argv)
    const flags: Values = parsed.flags
    applyColorChoice(flags.color as ColorChoice)
    this.choices = {
      noInput: flags['no-input'] === true,
      yes: flags.yes === true,
      quiet: flags.quiet === true,
      verbose: flags.verbose === true,
    }
    return parsed
  }

  /** Tells the failure in the form asked for and ends with its code. */
  protected override async catch(error: unknown): Promise<never> {
    const failure = describeFailure(error)
    this.#progress.clear()
    // Help, version and an exit asked for by code carry nothing to tell.
    if (failure.code === 'EEXIT') throw error
    if (this.jsonEnabled()) this.logJson(toFailureJson(failure))
    else process.stderr.write(`${printableLines(formatFailure(failure))}\n`)
    return this.exit(failure.exit)
  }

  protected override async finally(): Promise<void> {
    this.#progress.clear()
    this.#watch?.end()
  }
}
