/** `trace`: where a model recalls a fact, by causal tracing, as heat maps of layers and tokens. */
import { extname } from 'node:path'
import { Args, Flags } from '@oclif/core'
import type { Context } from '../context.ts'
import { writeWhole } from '../disk.ts'
import {
  averageTraces,
  embeddingDeviation,
  NOISE,
  proposeLayers,
  SAMPLES,
  TOKEN_ROLES,
  type Trace,
  type TracedFact,
  type TraceSettings,
  traceFact,
  windowFor,
} from '../editors/steps/causal-trace.ts'
import { WhicheditError } from '../errors.ts'
import { DEFAULT_FACTS } from '../facts/index.ts'
import { loadModel } from '../models/index.ts'
import type { LanguageModel } from '../models/model.ts'
import { DEFAULT_MODEL } from '../models/shipped.ts'
import { printable } from '../printable.ts'
import { type HeatMap, renderHeatMap, renderHeatMapSvg } from '../report/heat-map.ts'
import { mapAverage, mapTrace, tellAverage, tellTrace } from '../report/trace-maps.ts'
import { BaseCommand } from './support/base.ts'
import { SCHEMA_VERSION } from './support/failure.ts'
import { FLAGS } from './support/flags.ts'
import { modelPlaces } from './support/places.ts'
import { knownFacts, oneFact } from './support/traced-facts.ts'

const CASES = 10

/** Traces facts. */
export default class TraceCommand extends BaseCommand {
  static override summary = 'Show where a model recalls facts: causal tracing, as heat maps.'
  static override description =
    "Noise on the subject's embeddings makes the model lose the answer; then one activation at a time is put back as it was, and the map shows how much of the answer's probability returns (Meng et al. 2022). One fact with --fact, its subject in braces; else an average over facts that the model knows, with the layers it proposes for methods that locate and edit."
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> smollm2-135m --fact "The capital of {France} is"',
    '<%= config.bin %> <%= command.id %> smollm2-135m --facts my-facts.jsonl --cases 5 --out trace.svg',
  ]
  static override args = {
    model: Args.string({
      default: DEFAULT_MODEL,
      description: 'the language model: a name, a folder or a GGUF file',
    }),
  }
  static override flags = {
    fact: Flags.string({
      exclusive: ['facts', 'cases'],
      helpValue: 'PROMPT',
      description: 'one prompt, its subject in braces: "The capital of {France} is"',
    }),
    answer: Flags.string({
      dependsOn: ['fact'],
      helpValue: 'TEXT',
      description: "the answer that is followed [default: the model's own]",
    }),
    facts: FLAGS.facts,
    cases: FLAGS.cases,
    seed: FLAGS.seed,
    samples: Flags.integer({
      env: 'WHICHEDIT_SAMPLES',
      min: 1,
      max: 100,
      default: SAMPLES,
      helpValue: 'N',
      description: 'draws of the noise',
    }),
    window: Flags.integer({
      env: 'WHICHEDIT_WINDOW',
      min: 1,
      helpValue: 'N',
      description:
        'layers whose feed-forward or attention is put back together [default: 10 of 48, the same share of others]',
    }),
    out: Flags.string({
      char: 'o',
      env: 'WHICHEDIT_OUT',
      helpValue: 'FILE.svg',
      description: 'write the maps as a picture',
    }),
  }

  async run(): Promise<object> {
    const { args, flags } = await this.parse(TraceCommand)
    const ctx = this.context(flags.seed)
    const { fact: prompt, facts = DEFAULT_FACTS, cases = CASES, out, samples } = flags
    if (out !== undefined && extname(out) !== '.svg') throw new WhicheditError('E_PICTURE', { file: printable(out) })
    const model = await loadModel(args.model, modelPlaces(), ctx)
    try {
      const traced =
        prompt === undefined ? await knownFacts(model, facts, cases, ctx) : [await oneFact(model, prompt, flags.answer)]
      const window = flags.window ?? windowFor(model.config)
      const settings = { deviation: await embeddingDeviation(model, traced), noise: NOISE, samples, window }
      const traces = await traceAll(model, traced, settings, ctx)
      const { maps, told, result } = prompt === undefined ? describeAverage(traces) : describeOne(traced, traces)
      for (const map of maps) this.log(`${renderHeatMap(map, this.display())}\n`)
      for (const line of [told, ...(model.notice === null ? [] : [model.notice])]) this.log(printable(line))
      if (out !== undefined) {
        await writeWhole(out, renderHeatMapSvg(maps))
        this.log(`Wrote ${printable(out)}.`)
      }
      const { name, id, notice } = model
      return { schemaVersion: SCHEMA_VERSION, model: { name, id, notice }, settings, ...result }
    } finally {
      await model.close()
    }
  }
}

async function traceAll(
  model: LanguageModel,
  facts: readonly TracedFact[],
  settings: TraceSettings,
  ctx: Context,
): Promise<Trace[]> {
  const traces: Trace[] = []
  for (const fact of facts) {
    // Sites are counted where there is one fact only, else facts.
    const progress = facts.length === 1 ? ctx.progress : () => {}
    traces.push(await traceFact({ model, fact, settings }, { ...ctx, progress }))
    if (facts.length > 1) ctx.progress({ task: 'tracing', done: traces.length, total: facts.length, unit: 'facts' })
  }
  return traces
}

interface Described {
  readonly maps: readonly HeatMap[]
  readonly told: string
  readonly result: object
}

function describeAverage(traces: readonly Trace[]): Described {
  const average = averageTraces(traces)
  const result = { ...average, roles: TOKEN_ROLES, proposed: proposeLayers(average) }
  return { maps: mapAverage(average), told: tellAverage(average), result }
}

function describeOne([fact]: readonly TracedFact[], [trace]: readonly Trace[]): Described {
  if (fact === undefined || trace === undefined)
    throw new WhicheditError('E_INTERNAL', { what: 'trace: nothing traced' })
  const { prompt, answer } = fact
  const { restored, ...rest } = trace
  const rows = Object.fromEntries(
    Object.entries(restored).map(([site, { shape, data }]) => [site, { shape, data: [...data] }]),
  )
  return {
    maps: mapTrace(trace),
    told: tellTrace(prompt, answer, trace),
    result: { prompt, answer, ...rest, restored: rows },
  }
}
