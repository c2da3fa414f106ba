/** `facts build`: complete cases of a table of one's own facts, to look through and then to probe. */
import { Args, Flags } from '@oclif/core'
import { keepKnownHops } from '../../evidence/known-hops.ts'
import { addParaphrases } from '../../evidence/model-paraphrases.ts'
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
import { FLAGS, modelFlag } from '../support/flags.ts'
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
fact, and with --paraphrases it writes paraphrases of its own. Everything made is marked under "review": look it through, then take the mark out.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> my-facts.csv --out my-facts.jsonl',
    '<%= config.bin %> <%= command.id %> my-facts.csv --templates words.yaml --model smollm2-135m --out my-facts.jsonl',
    '<%= config.bin %> <%= command.id %> my-facts.csv --model smollm2-135m --paraphrases 2 --out my-facts.jsonl',
  ]
  static override args = { file: Args.string({ required: true, description: 'the table' }) }
  static override flags = {
    out: FLAGS.out,
    force: Flags.boolean({ description: 'write over an existing file' }),
    templates: Flags.string({ helpValue: 'FILE', description: 'your own wordings by relation, as YAML' }),
    seed: FLAGS.seed,
    paraphrases: Flags.integer({
      min: 1,
      max: 16,
      dependsOn: ['model'],
      helpValue: 'N',
      description: 'add up to N paraphrases a fact that --model writes',
    }),
    model: modelFlag('keep a one-hop question only if this model knows its second fact'),
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(FactsBuild)
    const templates = flags.templates === undefined ? {} : await readSettings(flags.templates, TEMPLATES)
    const { facts: built, notes } = await buildFacts(args.file, templates)
    const { paraphrases = 0, seed, model } = flags
    const { facts, dropped, added } =
      model === undefined ? { facts: built, dropped: 0, added: 0 } : await this.ask(built, { model, paraphrases, seed })
    const tests = countTests(facts)
    const result = {
      schemaVersion: SCHEMA_VERSION,
      file: args.file,
      notes,
      tests,
      droppedHops: dropped,
      addedParaphrases: added,
    }
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
    if (added > 0) this.log(`\nAdded ${added} paraphrases in the model's words: read them before you trust them.`)
    for (const { text } of notes) this.log(`\nNoticed: ${printable(text)}`)
    this.log(
      `\n\`whichedit facts check ${out}\` tells what is missing or odd, \`whichedit probe --facts ${out}\` takes it.`,
    )
    return { ...result, out: flags.out, facts: facts.length }
  }

  /** Leaves out hops that the model cannot answer before any edit, and adds paraphrases in its words. */
  private async ask(facts: readonly Fact[], { model: reference, paraphrases, seed }: Asked) {
    const ctx = this.context(seed)
    const model = await loadModel(reference, modelPlaces(), ctx)
    if (model.notice !== null) this.logToStderr(printable(model.notice))
    const report = (task: string, unit: string) => (done: number, total: number) =>
      ctx.progress({ task, done, total, unit })
    try {
      const asking = { maxNewTokens: ANSWER_TOKENS, signal: ctx.signal }
      const known = await keepKnownHops(model, facts, asking, report('asking second facts', 'questions'))
      if (paraphrases === 0) return { ...known, added: 0 }
      const request = { perFact: paraphrases, random: ctx.random, signal: ctx.signal }
      return {
        ...known,
        ...(await addParaphrases(model, known.facts, request, report('writing paraphrases', 'facts'))),
      }
    } finally {
      await model.close()
    }
  }
}

/** What a model is asked for. */
interface Asked {
  readonly model: string
  /** For each fact. */
  readonly paraphrases: number
  readonly seed: number
}
