/** `probe`: runs methods on a model and keeps what came out. The same command goes on where it stopped. */
import { Flags } from '@oclif/core'
import { SINGLE } from '../evidence/record.ts'
import { DEFAULT_FACTS } from '../facts/index.ts'
import { DEFAULT_MODEL } from '../models/shipped.ts'
import { printable } from '../printable.ts'
import { BaseCommand } from './support/base.ts'
import { SCHEMA_VERSION } from './support/failure.ts'
import { FLAGS } from './support/flags.ts'
import { readMemoryLimit } from './support/machine-memory.ts'
import { chooseMethods } from './support/methods.ts'
import type { Probed } from './support/probing.ts'
import { PROFILE_FLAGS } from './support/profile-flags.ts'
import { probeVisibly } from './support/visible-probing.ts'
import { DEFAULT_CASES } from './support/wizard.ts'

/** Measures methods on a model. */
export default class Probe extends BaseCommand {
  static override summary = 'Run editing methods on a model and keep what came out.'
  static override description =
    'Edits each fact with each method, asks the edited model everything the data has to ask, and keeps the answers in .whichedit/runs. Stopped with Ctrl-C or killed, the same command goes on where it stopped. `rank` turns the evidence into a ranking.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --model smollm2-135m --facts countries',
    '<%= config.bin %> <%= command.id %> --model smollm2-135m --facts my-facts.jsonl --methods rome,ike --cases 8',
    '<%= config.bin %> <%= command.id %> --model smollm2-135m --chat --facts countries',
    '<%= config.bin %> <%= command.id %> --methods memit,grace --regimes single,batch-16,stream-16',
  ]
  static override flags = {
    model: FLAGS.model,
    chat: FLAGS.chat,
    facts: FLAGS.facts,
    methods: FLAGS.methods,
    cases: FLAGS.cases,
    regimes: Flags.string({
      env: 'WHICHEDIT_REGIMES',
      helpValue: 'A,B',
      default: SINGLE,
      description:
        'how the edits come that a model holds when it is asked: each alone (single), together (batch-16), one after another (stream-16), or so that later ones leave earlier ones alone (stream-16+simie: SimIE around methods that change weights)',
    }),
    seed: FLAGS.seed,
    text: FLAGS.text,
    'max-memory': PROFILE_FLAGS['max-memory'],
    fresh: Flags.boolean({ description: 'start over; what an earlier run of the same kind has found is put aside' }),
    'retry-errors': Flags.boolean({ description: 'try again what failed in an earlier run' }),
  }

  async run(): Promise<object> {
    const { flags } = await this.parse(Probe)
    const { model = DEFAULT_MODEL, facts = DEFAULT_FACTS, cases = DEFAULT_CASES } = flags
    const { chat, seed, text, fresh, 'retry-errors': retryErrors } = flags
    const methods = chooseMethods(flags.methods)
    const maxMemory = readMemoryLimit(flags['max-memory'])
    const regimes = flags.regimes.split(',').map((word) => word.trim())
    const request = { model, facts, chat, methods, cases, regimes, seed, text, maxMemory, fresh, retryErrors }
    const probed = await probeVisibly(request, this.context(seed), {
      config: this.config,
      quiet: this.choices.quiet,
      unicode: this.display().unicode,
      tell: (line) => this.logToStderr(line),
    })
    this.#tell(probed)
    return summarise(probed)
  }

  #tell({ folder, info, done, total, records }: Probed): void {
    const failures = records.filter(({ kind }) => kind === 'failure').length
    const failed = failures === 0 ? '' : ` ${failures} failed; --retry-errors tries them again.`
    this.log(`${done} of ${total} cases are in ${printable(folder)}.${failed}`)
    this.log(`\`${this.config.bin} rank --run ${info.id}\` ranks them.`)
    if (info.model.notice !== undefined) this.log(printable(info.model.notice))
  }
}

function summarise({ folder, info, done, total, records }: Probed): object {
  const failures = records.flatMap((record) => (record.kind === 'failure' ? [record] : []))
  return { schemaVersion: SCHEMA_VERSION, run: info.id, folder, cases: { done, total }, info, failures }
}
