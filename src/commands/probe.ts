/** `probe`: runs methods on a model and keeps what came out. The same command goes on where it stopped. */
import { Flags } from '@oclif/core'
import { WhicheditError } from '../errors.ts'
import type { StoredRun } from '../evidence/store.ts'
import { printable } from '../printable.ts'
import { BaseCommand } from './support/base.ts'
import { SCHEMA_VERSION } from './support/failure.ts'
import { FLAGS } from './support/flags.ts'
import { createLanesDisplay } from './support/lanes-display.ts'
import { chooseMethods } from './support/methods.ts'
import { type Probed, probe } from './support/probing.ts'

const DEFAULT_CASES = 16

/** Measures methods on a model. */
export default class Probe extends BaseCommand {
  static override summary = 'Run editing methods on a model and keep what came out.'
  static override description =
    'Edits each fact with each method, asks the edited model everything the data has to ask, and keeps the answers in .whichedit/runs. Stopped with Ctrl-C or killed, the same command goes on where it stopped. `rank` turns the evidence into a ranking.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --model smollm2-135m --facts countries',
    '<%= config.bin %> <%= command.id %> --model smollm2-135m --facts my-facts.jsonl --methods rome,ike --cases 8',
  ]
  static override flags = {
    model: FLAGS.model,
    facts: FLAGS.facts,
    methods: FLAGS.methods,
    cases: FLAGS.cases,
    seed: FLAGS.seed,
    text: Flags.string({
      env: 'WHICHEDIT_TEXT',
      helpValue: 'FILE',
      description: 'plain text that preparations learn from; without it the model is sampled',
    }),
    fresh: Flags.boolean({ description: 'start over; what an earlier run of the same kind has found is put aside' }),
    'retry-errors': Flags.boolean({ description: 'try again what failed in an earlier run' }),
  }

  async run(): Promise<object> {
    const { flags } = await this.parse(Probe)
    const ctx = this.context(flags.seed)
    const methods = chooseMethods(flags.methods)
    const display = createLanesDisplay(process.stderr, {
      methods: methods.map(({ name }) => name),
      unicode: this.display().unicode,
      now: ctx.now,
      signal: ctx.signal,
    })
    const { cases = DEFAULT_CASES, seed, text, fresh, 'retry-errors': retryErrors } = flags
    const probed = await probe({ ...this.#subject(flags), methods, cases, seed, text, fresh, retryErrors }, ctx, {
      config: this.config,
      onOpen: (run) => this.#announce(run),
      onEvent: this.choices.quiet ? () => {} : display.report,
    })
    this.#tell(probed)
    return this.#summarise(probed)
  }

  /** The two things that have no default. @throws E_MISSING_INPUT */
  #subject({ model, facts }: { model?: string | undefined; facts?: string | undefined }) {
    if (model !== undefined && facts !== undefined) return { model, facts }
    const missing = [...(model === undefined ? ['--model'] : []), ...(facts === undefined ? ['--facts'] : [])]
    throw new WhicheditError('E_MISSING_INPUT', { flags: missing.join(', '), variables: '' })
  }

  /** One line where an earlier run goes on. */
  #announce({ info, records, notes }: StoredRun): void {
    if (this.choices.quiet) return
    const done = records.filter(({ kind }) => kind === 'case').length
    if (done > 0) this.logToStderr(`Going on with run ${info.id}: ${done} cases are there already.`)
    for (const note of notes) this.logToStderr(printable(note))
  }

  #tell({ folder, info, done, total, records }: Probed): void {
    const failures = records.filter(({ kind }) => kind === 'failure').length
    const failed = failures === 0 ? '' : ` ${failures} failed; --retry-errors tries them again.`
    this.log(`${done} of ${total} cases are in ${printable(folder)}.${failed}`)
    this.log(`\`${this.config.bin} rank --run ${info.id}\` ranks them.`)
  }

  #summarise({ folder, info, done, total, records }: Probed): object {
    const failures = records.flatMap((record) => (record.kind === 'failure' ? [record] : []))
    return { schemaVersion: SCHEMA_VERSION, run: info.id, folder, cases: { done, total }, info, failures }
  }
}
