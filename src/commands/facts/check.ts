/** `facts check`: what a file of facts holds, what was left out of it and why, and which of its edits contradict each other. */
import { Args } from '@oclif/core'
import { formatCitation } from '../../citation.ts'
import type { Fact } from '../../facts/fact.ts'
import { type FactFile, readFacts } from '../../facts/index.ts'
import { countTests, findConflicts } from '../../facts/summary.ts'
import { printable } from '../../printable.ts'
import { BaseCommand } from '../support/base.ts'
import { formatColumns } from '../support/columns.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'

/** Checks a file of facts. */
export default class FactsCheck extends BaseCommand {
  static override summary = 'Check a file of facts: its format, its tests, and what cannot be used.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> my-facts.jsonl',
    '<%= config.bin %> <%= command.id %> countries --json',
  ]
  static override args = {
    facts: Args.string({ required: true, description: 'a file of facts, or a built-in set' }),
  }

  async run(): Promise<object> {
    const { args } = await this.parse(FactsCheck)
    const { columns } = this.display()
    const read = await readFacts(args.facts)
    const { file, format, records, facts, notes } = read
    const tests = countTests(facts)
    const conflicts = findConflicts(facts)
    const rows = Object.entries(tests).map(([kind, count]) => [kind, String(count.facts), String(count.prompts)])
    this.log(describeFile(read))
    this.log(`\n${formatColumns([['TESTS', 'FACTS', 'PROMPTS'], ...rows], columns)}`)
    this.logList(
      'Noticed',
      notes.map(({ text }) => text),
    )
    this.logList('Edits that contradict each other', conflicts.map(describeConflict))
    this.logList('How the records are understood', format.remarks)
    const { name, title, licence, paper, remarks } = format
    return {
      schemaVersion: SCHEMA_VERSION,
      file,
      format: { name, title, licence, paper, remarks },
      records,
      facts: facts.length,
      tests,
      notes,
      conflicts: conflicts.map((group) =>
        group.map(({ id, subject, prompt, targetNew }) => ({ id, subject, prompt, targetNew })),
      ),
    }
  }

  private logList(title: string, lines: readonly string[]): void {
    if (lines.length > 0) this.log(`\n${title}:\n${lines.map((line) => `- ${printable(line)}`).join('\n')}`)
  }
}

function describeFile({ file, format, records, facts }: FactFile): string {
  const source = format.paper === null ? '' : `\nSource: ${formatCitation(format.paper)}`
  const counts = `${records} ${records === 1 ? 'record' : 'records'}, ${facts.length} usable as facts`
  return `${printable(file)}: ${counts}, in the format ${format.title}${source}`
}

function describeConflict(group: readonly Fact[]): string {
  const targets = group.map(({ id, targetNew }) => `${targetNew} (${id})`).join(', ')
  return `${group[0]?.prompt ?? ''} → ${targets}`
}
