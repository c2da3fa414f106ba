/** `facts check`: what a file of facts holds, what was left out of it and why, and which of its edits contradict each other. */
import { Args } from '@oclif/core'
import { formatCitation } from '../../citation.ts'
import type { Fact } from '../../facts/fact.ts'
import { FINDINGS, type Finding, findMistakes } from '../../facts/findings.ts'
import { type FactFile, readFacts } from '../../facts/index.ts'
import { countTests, findConflicts, type TestCount } from '../../facts/summary.ts'
import { findModel } from '../../models/locate.ts'
import { noticeOf } from '../../models/shipped.ts'
import { printable } from '../../printable.ts'
import { BaseCommand } from '../support/base.ts'
import { formatColumns } from '../support/columns.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { modelFlag } from '../support/flags.ts'
import { modelPlaces } from '../support/places.ts'
import { type TokenView, viewTokens } from '../support/token-view.ts'

/** Checks a file of facts. */
export default class FactsCheck extends BaseCommand {
  static override summary = 'Check a file of facts: its format, its tests, and what cannot be used.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> my-facts.jsonl',
    '<%= config.bin %> <%= command.id %> countries --json',
    '<%= config.bin %> <%= command.id %> my-facts.jsonl --model smollm2-135m',
  ]
  static override flags = {
    model: modelFlag("show how this model's tokenizer cuts each fact"),
  }
  static override args = {
    facts: Args.string({ required: true, description: 'a file of facts, or a built-in set' }),
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(FactsCheck)
    const { columns } = this.display()
    const read = await readFacts(args.facts)
    const { file, format, records, facts, notes } = read
    const tests = countTests(facts)
    const conflicts = findConflicts(facts)
    const findings = findMistakes(facts)
    const rows = Object.entries(tests).map(([kind, count]) => [kind, String(count.facts), String(count.prompts)])
    this.log(describeFile(read))
    this.log(`\n${formatColumns([['TESTS', 'FACTS', 'PROMPTS'], ...rows], columns)}`)
    this.logList(
      'Noticed',
      notes.map(({ text }) => text),
    )
    this.logList('Edits that contradict each other', conflicts.map(describeConflict))
    if (findings.length > 0) this.log(`\nLook at these:\n${describeFindings(findings).join('\n')}`)
    if (format.strict) this.logList('Missing', describeMissing(tests, facts.length))
    this.logList('Not reviewed yet', describeReview(facts))
    this.logList('How the records are understood', format.remarks)
    const tokens = flags.model === undefined ? [] : await this.viewAll(facts, flags.model)
    const { name, title, licence, paper, remarks } = format
    return {
      schemaVersion: SCHEMA_VERSION,
      file,
      format: { name, title, licence, paper, remarks },
      records,
      facts: facts.length,
      tests,
      notes,
      findings,
      ...(flags.model === undefined ? {} : { tokens }),
      conflicts: conflicts.map((group) =>
        group.map(({ id, subject, prompt, targetNew }) => ({ id, subject, prompt, targetNew })),
      ),
    }
  }

  /** Shows how the model's tokenizer cuts each fact. */
  private async viewAll(facts: readonly Fact[], model: string): Promise<TokenView[]> {
    const { tokenizer, config } = await findModel(model, this.context(), modelPlaces())
    const notice = noticeOf(config)
    if (notice !== null) this.log(`\n${printable(notice)}`)
    const views = await Promise.all(facts.map((fact) => viewTokens(fact, tokenizer)))
    const rows = views.map(({ id, subject, target }) => [id, quote(subject.at(-1) ?? ''), target.map(quote).join(' ')])
    const head = ['ID', "SUBJECT'S LAST TOKEN", 'NEW TARGET']
    this.log(`\n${formatColumns([head, ...rows], this.display().columns)}`)
    const problems = views.flatMap(({ id, problem }) => (problem === null ? [] : [`${id}: ${problem}`]))
    this.logList('Subjects that end inside a token', problems)
    return views
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

/** A token as it is, its leading space visible. */
const quote = (token: string): string => `"${printable(token)}"`

/** So many mistakes of a rule are named; the rest is counted. */
const NAMED_FINDINGS = 5

function describeFindings(findings: readonly Finding[]): string[] {
  return Object.entries(FINDINGS).flatMap(([rule, text]) => {
    const found = findings.filter((finding) => finding.rule === rule)
    if (found.length === 0) return []
    const named = found.slice(0, NAMED_FINDINGS).map(({ id, prompt }) => `  ${printable(`${id}: ${prompt}`)}`)
    return [`- ${text}: ${found.length}`, ...named, ...(found.length > NAMED_FINDINGS ? ['  …'] : [])]
  })
}

/** Kinds of tests that some facts lack. */
function describeMissing(tests: Readonly<Record<string, TestCount>>, facts: number): string[] {
  const lacking = Object.entries(tests).filter(([, count]) => count.facts < facts)
  return lacking.map(([kind, count]) => `${kind}: ${facts - count.facts} of ${facts} facts have none`)
}

/** Kinds of tests that a program made, with how many facts have them. */
function describeReview(facts: readonly Fact[]): string[] {
  const kinds = facts.flatMap(({ review }) => review ?? [])
  return [...new Set(kinds)].map((kind) => `${kind}: of ${kinds.filter((other) => other === kind).length} facts`)
}

function describeConflict(group: readonly Fact[]): string {
  const targets = group.map(({ id, targetNew }) => `${targetNew} (${id})`).join(', ')
  return `${group[0]?.prompt ?? ''} → ${targets}`
}
