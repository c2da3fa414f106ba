/** `methods list`: every method in a line. */
import { BaseCommand } from '../support/base.ts'
import { formatColumns } from '../support/columns.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { allMethods } from '../support/methods.ts'

/** Lists the editing methods. */
export default class MethodsList extends BaseCommand {
  static override summary = 'List the editing methods.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<object> {
    await this.parse(MethodsList)
    const methods = allMethods().map(({ name, title, family, batch, needs, summary }) => ({
      name,
      title,
      family,
      batch,
      needs,
      summary,
    }))
    const rows = methods.map(({ name, title, family, summary }) => [name, title, family, summary])
    this.log(formatColumns([['METHOD', 'TITLE', 'FAMILY', 'WHAT IT DOES'], ...rows], this.display().columns))
    this.log('\n`whichedit methods show METHOD` tells its paper, its needs and its settings.')
    return { schemaVersion: SCHEMA_VERSION, methods }
  }
}
