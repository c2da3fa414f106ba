/**
 * `advise`, and a bare `whichedit`: asks what is not given, probes every method, ranks them, and says which command repeats it
 * without a question.
 */
import { existsSync } from 'node:fs'
import { Flags } from '@oclif/core'
import { WhicheditError } from '../errors.ts'
import { SINGLE } from '../evidence/record.ts'
import { DEFAULT_FACTS, FACT_SETS } from '../facts/index.ts'
import { findInHub, KNOWN_MODELS } from '../models/known.ts'
import { DEFAULT_MODEL, SHIPPED_MODELS } from '../models/shipped.ts'
import { printable } from '../printable.ts'
import { renderTable } from '../report/table.ts'
import { type Profile, readProfile } from '../scoring/profile.ts'
import { rankMethods } from '../scoring/rank.ts'
import { bestMethod, type Ranking } from '../scoring/ranking.ts'
import { editSettings } from '../settings.ts'
import { createAsker } from './support/asker.ts'
import { BaseCommand } from './support/base.ts'
import { FLAGS } from './support/flags.ts'
import { chooseMethods } from './support/methods.ts'
import { modelPlaces } from './support/places.ts'
import { formatProfileFlags, hasPriorities, PROFILE_FLAGS, profileChanges, quote } from './support/profile-flags.ts'
import { type FoundProfile, listProfiles, loadProfile, PROJECT_PROFILE, writeProfile } from './support/profiles.ts'
import { probeVisibly } from './support/visible-probing.ts'
import { type Answers, askMissing, DEFAULT_CASES, type Offers, type Preset } from './support/wizard.ts'

/** How the command ends where it worked but has no method to recommend. */
const NONE_QUALIFIES = 4

/** What is asked for besides the wizard's answers. */
interface Request extends Answers {
  readonly chat: boolean
  readonly seed: number
  readonly methods?: string | undefined
  readonly text?: string | undefined
}

/** Finds out which method fits. */
export default class Advise extends BaseCommand {
  static override summary = 'Find out which method fits: ask, probe, rank.'
  static override description =
    'On a terminal it asks for what no flag gives; elsewhere missing answers are named and it ends with 2. ' +
    'Ends with 4 where no method qualifies.'
  static override examples = [
    '<%= config.bin %>',
    '<%= config.bin %> <%= command.id %> --profile balanced --no-input',
    '<%= config.bin %> <%= command.id %> --model smollm2-135m --facts countries --cases 16 --profile balanced --no-input',
    '<%= config.bin %> <%= command.id %> --model ./my-model --facts my-facts.json --weights reliability=50,locality=50',
  ]
  static override flags = {
    model: FLAGS.model,
    chat: FLAGS.chat,
    facts: FLAGS.facts,
    cases: FLAGS.cases,
    methods: FLAGS.methods,
    seed: FLAGS.seed,
    text: FLAGS.text,
    profile: FLAGS.profile,
    ...PROFILE_FLAGS,
    save: Flags.string({ env: 'WHICHEDIT_SAVE', helpValue: 'FILE', description: 'save the profile that comes out' }),
  }

  async run(): Promise<object> {
    const { flags } = await this.parse(Advise)
    const methods = chooseMethods(flags.methods)
    const answers = await this.#complete(flags)
    const { chat, seed, text } = flags
    const profile = await loadProfile(answers.profile, this.config, profileChanges(answers))
    if (answers.save !== undefined) await saveProfile(profile, answers.save)
    const { model, facts, cases } = answers
    const maxMemory = profile.profile.limits.memory
    const regimes = [regimeFor(profile.profile.workload, cases)]
    const probing = { model, chat, facts, methods, cases, regimes, seed, text, maxMemory }
    const probed = await probeVisibly(probing, this.context(seed), {
      config: this.config,
      quiet: this.choices.quiet,
      unicode: this.display().unicode,
      tell: (line) => this.logToStderr(line),
    })
    const { info: run, records, notes } = probed
    const ranking = rankMethods({
      profile: profile.profile,
      evidence: [{ run, records }],
      seed,
      reading: 'free-running',
    })
    return this.#tell(
      { ...ranking, notes: [...ranking.notes, ...notes] },
      { ...answers, chat, seed, text, methods: flags.methods },
    )
  }

  /** Asks for what is missing, or refuses where nobody can be asked. */
  async #complete(given: Partial<Answers>): Promise<Answers> {
    if (!this.interactive()) return requireAnswers(given)
    const asker = await createAsker({ input: process.stdin, output: process.stderr })
    return askMissing(asker, given, await this.#offers())
  }

  async #offers(): Promise<Offers> {
    const places = modelPlaces()
    const models = KNOWN_MODELS.filter(({ kind }) => kind === 'language-model').map(async (model) => ({
      value: model.name,
      name: `${model.name}: ${model.title}`,
      description: (await findInHub(model, places))
        ? 'on this machine'
        : `first: ${this.config.bin} models pull ${model.name}`,
    }))
    return {
      models: [
        ...SHIPPED_MODELS.map(({ name, title }) => ({ value: name, name: `${name}: ${title}`, description: 'ships' })),
        ...(await Promise.all(models)),
      ],
      facts: Object.entries(FACT_SETS).map(([value, title]) => ({ value, name: `${value}: ${title}` })),
      presets: await this.#presets(),
      unicode: this.display().unicode,
    }
  }

  /** Every profile that has a name and can be read. */
  async #presets(): Promise<Preset[]> {
    const found = await Promise.all(
      (await listProfiles(this.config)).map(async ({ name, file }) => {
        const profile = await readProfile(file).catch(() => undefined)
        return profile === undefined ? [] : [{ name, profile }]
      }),
    )
    return found.flat()
  }

  #tell(ranking: Ranking, request: Request): Ranking {
    this.log(renderTable(ranking, this.display()).trimEnd())
    this.log(`\nThe same again, without questions:\n  ${printable(formatCommand(this.config.bin, request))}`)
    this.log(`With other priorities, on the same evidence: ${this.config.bin} rank --weights …`)
    return bestMethod(ranking) === undefined ? this.endWith(ranking, NONE_QUALIFIES) : ranking
  }
}

function requireAnswers(given: Partial<Answers>): Answers {
  const { model = DEFAULT_MODEL, facts = DEFAULT_FACTS, cases = DEFAULT_CASES } = given
  const hasProfile = given.profile !== undefined || hasPriorities(given) || existsSync(PROJECT_PROFILE)
  if (hasProfile) return { ...given, model, facts, cases }
  throw new WhicheditError('E_MISSING_INPUT', { flags: '--profile (or --weights, or --order)' })
}

/** As the workload's edits come, as many of them as there are cases: so many are edited in any regime. */
function regimeFor({ arrival, edits }: Profile['workload'], cases: number): string {
  const together = Math.min(edits, cases)
  return arrival === SINGLE || together === 1 ? SINGLE : `${arrival}-${together}`
}

/** Writes the profile with its changes under a title of its own. */
async function saveProfile({ text, profile }: FoundProfile, file: string): Promise<void> {
  const title = `My ${profile.title.toLowerCase()}`
  await writeProfile(file, editSettings(text, [{ path: ['title'], value: title }], file), false)
}

/** The command that gives the same answers as flags; a saved profile stands for those about priorities. */
function formatCommand(
  bin: string,
  { model, chat, facts, cases, seed, methods, text, profile, save, ...answers }: Request,
): string {
  const settings = { model, facts, cases, methods, seed, text, profile: save ?? profile }
  const words = Object.entries(settings).flatMap(([flag, value]) =>
    value === undefined ? [] : [`--${flag}`, quote(String(value))],
  )
  const changes = save === undefined ? formatProfileFlags(answers) : []
  return [bin, 'advise', ...words, ...(chat ? ['--chat'] : []), ...changes, '--no-input'].join(' ')
}
