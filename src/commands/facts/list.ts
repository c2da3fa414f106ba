/** `facts list`: the built-in sets, or the facts of one set or file. */
import { Args } from '@oclif/core'
import type { Fact } from '../../facts/fact.ts'
import { FACT_SETS, readFacts } from '../../facts/index.ts'
import { printable } from '../../printable.ts'
import { BaseCommand } from '../support/base.ts'
import { formatColumns } from '../support/columns.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'

/** Lists built-in sets of facts, or the facts of one. */
export default class FactsList extends BaseCommand {
  static override summary = 'List the built-in sets of facts, or the facts of a set or file.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> countries',
    '<%= config.bin %> <%= command.id %> my-facts.jsonl --json',
  ]
  static override args = {
    facts: Args.string({ description: 'a built-in set or a file; without it the built-in sets are listed' }),
  }

  async run(): Promise<object> {
    const { args } = await this.parse(FactsList)
    return args.facts === undefined ? this.listSets() : this.listFacts(args.facts)
  }

  private async listSets(): Promise<object> {
    const sets = await Promise.all(
      Object.entries(FACT_SETS).map(async ([name, about]) => {
        const { facts } = await readFacts(name)
        return { name, about, facts: facts.length }
      }),
    )
    const rows = sets.map(({ name, facts, about }) => [name, String(facts), about])
    this.log(formatColumns([['SET', 'FACTS', 'ABOUT'], ...rows], this.display().columns))
    this.log('\n`whichedit facts list SET` lists one; a file of your own goes in its place.')
    return { schemaVersion: SCHEMA_VERSION, sets }
  }

  private async listFacts(file: string): Promise<object> {
    const { facts, format } = await readFacts(file)
    const head = ['ID', 'SUBJECT', 'NEW TARGET', 'TESTS', 'PROMPT']
    this.log(formatColumns([head, ...facts.map(toRow)], this.display().columns))
    this.log(`\n${facts.length} ${facts.length === 1 ? 'fact' : 'facts'} in the format ${format.title}.`)
    return { schemaVersion: SCHEMA_VERSION, file, format: format.name, facts }
  }
}

function toRow({ id, subject, targetNew, tests, prompt }: Fact): string[] {
  const count = Object.values(tests).reduce((sum, prompts) => sum + prompts.length, 0)
  return [id, subject, targetNew, String(count), prompt].map(printable)
}
