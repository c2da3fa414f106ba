/**
 * `models train`: makes ahead what methods prepare for a model (statistics of text, trained networks and classifiers, examples), as
 * `probe` would make it for the same facts. What is made lies in the cache; a stopped training goes on where it stopped.
 */
import { Args, Flags } from '@oclif/core'
import type { PreparedMethod } from '../../evidence/prepare-methods.ts'
import { SINGLE } from '../../evidence/record.ts'
import { DEFAULT_FACTS } from '../../facts/index.ts'
import { printable } from '../../printable.ts'
import { BaseCommand } from '../support/base.ts'
import { formatBytes } from '../support/bytes.ts'
import { formatColumns } from '../support/columns.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { FLAGS } from '../support/flags.ts'
import { createLanesDisplay } from '../support/lanes-display.ts'
import { readMemoryLimit } from '../support/machine-memory.ts'
import { chooseMethods } from '../support/methods.ts'
import { prepare } from '../support/probing.ts'
import { PROFILE_FLAGS } from '../support/profile-flags.ts'
import { DEFAULT_CASES } from '../support/wizard.ts'

/** Trains what methods need of a model. */
export default class ModelsTrain extends BaseCommand {
  static override summary = 'Make ahead what methods prepare for a model: statistics, trained networks, classifiers.'
  static override description =
    'Needs no run, but saves time in one: `probe` and `advise` with the same model, facts, cases, seed and text find the work done, and still count what it cost. Methods learn from facts that have nothing to do with the cases. A stopped training goes on where it stopped.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> smollm2-135m --for memit',
    '<%= config.bin %> <%= command.id %> ./my-model --for rome,memit --facts my-facts.jsonl',
  ]
  static override args = {
    model: Args.string({
      required: true,
      description: 'a name, a folder, a GGUF file or <owner>/<name> in the Hugging Face cache',
    }),
  }
  static override flags = {
    for: Flags.string({ env: 'WHICHEDIT_FOR', helpValue: 'A,B', description: 'only for these methods [default: all]' }),
    chat: FLAGS.chat,
    facts: FLAGS.facts,
    cases: FLAGS.cases,
    seed: FLAGS.seed,
    text: FLAGS.text,
    'max-memory': PROFILE_FLAGS['max-memory'],
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(ModelsTrain)
    const { facts = DEFAULT_FACTS, cases = DEFAULT_CASES, chat, seed, text } = flags
    const methods = chooseMethods(flags.for).filter(({ prepare }) => prepare !== undefined)
    const maxMemory = readMemoryLimit(flags['max-memory'])
    const ctx = this.context(seed)
    const names = methods.map(({ name }) => name)
    const { unicode } = this.display()
    const display = createLanesDisplay(process.stderr, { methods: names, unicode, now: ctx.now, signal: ctx.signal })
    const request = { model: args.model, chat, facts, methods, cases, regimes: [SINGLE], seed, text, maxMemory }
    const prepared = await prepare(request, ctx, {
      config: this.config,
      onEvent: this.choices.quiet ? () => {} : display.report,
    })
    this.#tell(prepared)
    const result = { schemaVersion: SCHEMA_VERSION, model: args.model, prepared }
    return prepared.some((one) => 'failure' in one) ? this.endWith(result, 1) : result
  }

  #tell(prepared: readonly PreparedMethod[]): void {
    if (prepared.length === 0) this.log('These methods prepare nothing.')
    const rows = prepared.flatMap((one) =>
      'failure' in one ? [] : [[one.method, `${one.seconds.toFixed(1)} s`, formatBytes(one.peakBytes)]],
    )
    if (rows.length > 0) this.log(formatColumns([['METHOD', 'TOOK', 'MEMORY'], ...rows], this.display().columns))
    for (const one of prepared) if ('failure' in one) this.log(`${one.method}: ${printable(one.failure.message)}`)
  }
}
