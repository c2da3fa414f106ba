/**
 * `models tune`: finds the layers that methods work best on in a model for which none are published, by causal tracing and a short
 * sweep. What it finds is used from then on in this project. The same command goes on where it was stopped.
 */
import { Args, Flags } from '@oclif/core'
import type { LaneEvent } from '../../evidence/lanes.ts'
import { MOST_CANDIDATES } from '../../evidence/sweep.ts'
import { printable } from '../../printable.ts'
import { formatDuration } from '../../scoring/quantity.ts'
import { BaseCommand } from '../support/base.ts'
import { formatColumns } from '../support/columns.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { FLAGS } from '../support/flags.ts'
import { createLanesDisplay } from '../support/lanes-display.ts'
import { readMemoryLimit } from '../support/machine-memory.ts'
import { chooseMethods } from '../support/methods.ts'
import { PROFILE_FLAGS } from '../support/profile-flags.ts'
import { countFacts, describeSites, describeTraced, failureLines, sitesTable } from '../support/sites-table.ts'
import { type Sweep, TRACED_FACTS, type TunedMethod, type TunedSites, tune } from '../support/tuning.ts'

/** The part of the world for choosing sites and settings. */
const TUNING_FACTS = 'world:prepare'
/** Few: each is edited by each candidate. */
const TUNING_CASES = 8

const NOTHING_WORKS = 'None of them has a mean above 0: these facts, or so few of them, cannot tell layers apart.'
const NOTHING_KNOWN = 'The model knows none of the facts: nothing could be traced.'

/** Finds layers for methods. */
export default class ModelsTune extends BaseCommand {
  static override summary = 'Find the layers on which methods work best in a model.'
  static override description =
    `Published layers are for a few large models; for any other, whichedit takes them at the same relative depth. This tries a few more: what causal tracing proposes for methods that locate and edit, and the layers around, at most ${MOST_CANDIDATES} in all. Each edits the same few facts, which no later case is about, and is asked what \`probe\` asks. The best by the harmonic mean of reliability, generalization and locality is kept in .whichedit/sites and used from then on in this project; of equal ones the nearest to the published depth. Layers published for exactly this model stay in use all the same.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> smollm2-135m --for rome',
    '<%= config.bin %> <%= command.id %> ./my-model --for rome,memit,ft-m --cases 4',
    '<%= config.bin %> <%= command.id %> ./my-model --for grace --facts my-facts.jsonl',
  ]
  static override args = {
    model: Args.string({
      required: true,
      description: 'a name, a folder, a GGUF file or <owner>/<name> in the Hugging Face cache',
    }),
  }
  static override flags = {
    for: Flags.string({ env: 'WHICHEDIT_FOR', helpValue: 'A,B', required: true, description: 'for these methods' }),
    chat: FLAGS.chat,
    facts: Flags.string({
      char: 'f',
      env: 'WHICHEDIT_FACTS',
      helpValue: 'NAME|FILE',
      default: TUNING_FACTS,
      description: 'the facts to try layers on: a built-in set or a file',
    }),
    cases: Flags.integer({
      env: 'WHICHEDIT_CASES',
      min: 1,
      helpValue: 'N',
      default: TUNING_CASES,
      description: "how many facts each candidate edits, half of the data's subjects at most",
    }),
    seed: FLAGS.seed,
    text: FLAGS.text,
    'max-memory': PROFILE_FLAGS['max-memory'],
    fresh: Flags.boolean({ description: 'start over; what an earlier sweep has found is put aside' }),
    'retry-errors': Flags.boolean({ description: 'try again what failed in an earlier sweep' }),
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(ModelsTune)
    const { facts, cases, chat, seed, text, fresh, 'retry-errors': retryErrors } = flags
    const methods = chooseMethods(flags.for)
    const maxMemory = readMemoryLimit(flags['max-memory'])
    const ctx = this.context(seed)
    const request = { model: args.model, chat, facts, methods, cases, seed, text, maxMemory, fresh, retryErrors }
    const tell = (line: string): void => {
      if (!this.choices.quiet) this.logToStderr(printable(line))
    }
    const tuned = await tune(request, ctx, {
      config: this.config,
      onStart: (start) => tell(describeStart(start)),
      onTraced: (traced) => tell(traced === null ? NOTHING_KNOWN : describeTraced(traced)),
      onSweep: (sweep) => {
        tell(describeSweep(sweep, args.model))
        return this.#watch(sweep, ctx, tell)
      },
    })
    for (const one of tuned) this.#tell(one)
    const result = { schemaVersion: SCHEMA_VERSION, model: args.model, tuned }
    return tuned.some((one) => 'failure' in one) ? this.endWith(result, 1) : result
  }

  /** Shows how the candidates come along, and once, when the first edit was timed, how long the rest will take. */
  #watch(
    { candidates }: Sweep,
    { now, signal }: { now: () => number; signal: AbortSignal },
    tell: (line: string) => void,
  ) {
    const names = candidates.map(({ sites }) => describeSites(sites))
    const { unicode } = this.display()
    const display = createLanesDisplay(process.stderr, { methods: names, unicode, now, signal })
    let isTold = false
    return (candidate: number, event: LaneEvent, leftS: number | null): void => {
      if (this.choices.quiet) return
      if (!isTold && leftS !== null && leftS > 0) {
        isTold = true
        tell(`About ${formatDuration(leftS)} to go.`)
      }
      display.report({ ...event, method: names[candidate] ?? event.method })
    }
  }

  #tell(tuned: TunedMethod): void {
    if ('skipped' in tuned) this.log(`${tuned.method}: ${tuned.skipped}.`)
    else if ('failure' in tuned) this.log(`${tuned.method}: ${printable(tuned.failure.message)}`)
    else this.#tellFound(tuned)
  }

  #tellFound({ method, found, published, isPublished, file }: TunedSites): void {
    const { facts, traced } = found
    this.log(formatColumns(sitesTable(found), this.display().columns))
    for (const line of failureLines(found)) this.log(line)
    const by = `${countFacts(facts.cases.length)} of ${printable(facts.name)}`
    this.log(`${method}: ${describeSites(found.sites)} by ${by}; published: ${describeSites(published)}.`)
    if (traced !== null) this.log(describeTraced(traced))
    if (found.candidates.every(({ mean }) => mean === null || mean === 0)) this.log(NOTHING_WORKS)
    this.log(
      isPublished
        ? 'Layers are published for exactly this model, and stay in use.'
        : `In use from now on; ${printable(file)} has it.`,
    )
  }
}

function describeStart({ cases, traced, methods }: { cases: number; traced: boolean; methods: number }): string {
  const most = methods * MOST_CANDIDATES
  const trace = traced ? `Traces up to ${TRACED_FACTS} facts, then tries` : 'Tries'
  return `${trace} at most ${most} candidates, each of which is prepared and edits ${countFacts(cases)}: ${most * cases} edits at most.`
}

function describeSweep({ editor, candidates, cases, isPublished }: Sweep, model: string): string {
  const names = candidates.map(({ sites }) => describeSites(sites)).join(', ')
  const kept = isPublished ? ` Layers are published for exactly ${model}: what is found is shown only.` : ''
  return `${editor.name}: ${names}; ${candidates.length * cases} edits.${kept}`
}
