/** `facts import`: a published data set in the product's own format, to look at, shorten and change. */
import { Args, Flags } from '@oclif/core'
import { readFacts } from '../../facts/index.ts'
import { printable } from '../../printable.ts'
import { BaseCommand } from '../support/base.ts'
import { formatFacts, writeFacts } from '../support/fact-file.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { FLAGS } from '../support/flags.ts'

/** Converts a data set. */
export default class FactsImport extends BaseCommand {
  static override summary = "Convert CounterFact, ZsRE, KnowEdit, MQuAKE or ParaRel to whichedit's own format."
  static override description =
    'The format is found from the first record. Commands take such files as they are, too: convert one to change it.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> counterfact.json --out my-facts.jsonl',
    '<%= config.bin %> <%= command.id %> pararel.json > my-facts.jsonl',
  ]
  static override args = { file: Args.string({ required: true, description: 'the file to convert' }) }
  static override flags = {
    out: FLAGS.out,
    force: Flags.boolean({ description: 'write over an existing file' }),
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(FactsImport)
    const { file, format, records, facts, notes } = await readFacts(args.file)
    const result = { schemaVersion: SCHEMA_VERSION, file, format: format.name, records, notes }
    if (flags.out === undefined) {
      this.log(formatFacts(facts).trimEnd())
      return { ...result, facts }
    }
    await writeFacts(flags.out, facts, flags.force)
    const noted = notes.map(({ text }) => `\n- ${printable(text)}`).join('')
    const counts = `${facts.length} ${facts.length === 1 ? 'fact' : 'facts'} of ${records} ${records === 1 ? 'record' : 'records'}`
    this.log(`Wrote ${counts} in the format ${format.title} to ${printable(flags.out)}.${noted}`)
    this.log(`\`whichedit facts check ${printable(flags.out)}\` looks them through.`)
    return { ...result, out: flags.out, facts: facts.length }
  }
}
