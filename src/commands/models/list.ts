/** `models list`: the models that have a name, and whether they are on this machine. */
import { listModels } from '../../models/inventory.ts'
import type { ModelKind } from '../../models/kind.ts'
import { printable } from '../../printable.ts'
import { BaseCommand } from '../support/base.ts'
import { formatBytes } from '../support/bytes.ts'
import { formatColumns } from '../support/columns.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { modelPlaces } from '../support/places.ts'

const KINDS = { 'language-model': 'language model', encoder: 'encoder' } satisfies Record<ModelKind, string>

/** Lists models. */
export default class ModelsList extends BaseCommand {
  static override summary = 'List the models that have a name, and those of the Hugging Face cache.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<object> {
    await this.parse(ModelsList)
    const models = await listModels(modelPlaces())
    const rows = models.map(({ name, title, kind, path, bytes }) => {
      const where = path === null ? `not here: whichedit models pull ${name}` : path
      return [name, bytes === null ? '' : formatBytes(bytes), KINDS[kind], title, where].map(printable)
    })
    this.log(formatColumns([['MODEL', 'SIZE', 'KIND', 'WHAT', 'WHERE'], ...rows], this.display().columns))
    this.log('\n--model also takes the path of a model folder or a GGUF file.')
    return { schemaVersion: SCHEMA_VERSION, models }
  }
}
