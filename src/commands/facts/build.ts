/** `facts build`: complete cases of a table of one's own facts, to look through and then to probe. */
import { Args, Flags } from '@oclif/core'
import { keepKnownHops } from '../../evidence/known-hops.ts'
import { TEMPLATES } from '../../facts/build-words.ts'
import type { Fact } from '../../facts/fact.ts'
import { buildFacts } from '../../facts/index.ts'
import { countTests } from '../../facts/summary.ts'
import { loadModel } from '../../models/index.ts'
import { printable } from '../../printable.ts'
import { readSettings } from '../../settings.ts'
import { BaseCommand } from '../support/base.ts'
import { formatColumns } from '../support/columns.ts'
import { formatFacts, writeFacts } from '../support/fact-file.ts'
import { SCHEMA_VERSION } from '../support/failure.ts'
import { FLAGS } from '../support/flags.ts'
import { modelPlaces } from '../support/places.ts'

/** Tokens of an answer to a second fact, at least. */
const ANSWER_TOKENS = 8

/** Builds cases. */
export default class FactsBuild extends BaseCommand {
  static override summary = 'Make complete cases of a table of your own facts.'
  static override description = `The table is CSV with a header, or JSON Lines with the same fields:
  subject     what the fact is about
  relation    a noun such as headquarters; or, in its place,
  prompt      what the model is to continue, with {} for the subject
  targetNew   what it is to say; a row without it is true and stays so, and gives neighbours and second facts to others
  targetOld   what is true now
  aliases     other names of the subject, separated by |

Paraphrases, neighbours, other relations, aliases, reversed and one-hop questions are made from templates, from the other
rows, and from the built-in world of facts; with --model a one-hop question is kept only if that model knows its second
fact. Everything made is marked under "review": look it through, then take the mark out.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> my-facts.csv --out my-facts.jsonl',
    '<%= config.bin %> <%= command.id %> my-facts.csv --templates words.yaml --model smollm2-135m --out my-facts.jsonl',
  ]
  static override args = { file: Args.string({ required: true, description: 'the table' }) }
  static override flags = {
    out: FLAGS.out,
    force: Flags.boolean({ description: 'write over an existing file' }),
    templates: Flags.string({ helpValue: 'FILE', description: 'your own wordings by relation, as YAML' }),
    model: FLAGS.model,
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(FactsBuild)
    const templates = flags.templates === undefined ? {} : await readSettings(flags.templates, TEMPLATES)
    const { facts: built, notes } = await buildFacts(args.file, templates)
    const { facts, dropped } =
      flags.model === undefined ? { facts: built, dropped: 0 } : await this.ask(built, flags.model)
    const tests = countTests(facts)
    const result = { schemaVersion: SCHEMA_VERSION, file: args.file, notes, tests, droppedHops: dropped }
    if (flags.out === undefined) {
      this.log(formatFacts(facts).trimEnd())
      return { ...result, facts }
    }
    await writeFacts(flags.out, facts, flags.force)
    const out = printable(flags.out)
    const rows = Object.entries(tests).map(([kind, count]) => [kind, String(count.facts), String(count.prompts)])
    this.log(`Wrote ${facts.length} ${facts.length === 1 ? 'case' : 'cases'} to ${out}, all tests marked for review.`)
    this.log(`\n${formatColumns([['TESTS', 'FACTS', 'PROMPTS'], ...rows], this.display().columns)}`)
    if (dropped > 0) this.log(`\nLeft out ${dropped} one-hop questions whose second fact the model does not know.`)
    for (const { text } of notes) this.log(`\nNoticed: ${printable(text)}`)
    this.log(
      `\n\`whichedit facts check ${out}\` tells what is missing or odd, \`whichedit probe --facts ${out}\` takes it.`,
    )
    return { ...result, out: flags.out, facts: facts.length }
  }

  /** Leaves out hops that the model cannot answer before any edit. */
  private async ask(facts: readonly Fact[], reference: string) {
    const ctx = this.context()
    const model = await loadModel(reference, modelPlaces(), ctx)
    try {
      const asking = { maxNewTokens: ANSWER_TOKENS, signal: ctx.signal }
      return await keepKnownHops(model, facts, asking, (done, total) => {
        ctx.progress({ task: 'asking second facts', done, total, unit: 'questions' })
      })
    } finally {
      await model.close()
    }
  }
}
