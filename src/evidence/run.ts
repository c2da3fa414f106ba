/**
 * The one place where editors and probes meet: a lane takes one method through its cases in one regime. The method makes the
 * patches of a group of facts (of one, where each is edited alone), the patched model is asked all questions of a case in one
 * batch, the probes judge what the two models said, and the records of the case go out together, the one that completes it
 * last. What an edit throws is an outcome and the lane goes on; what the machine refuses (a full disk) and what the user stops
 * end it.
 */
import type { Context } from '../context.ts'
import { systemCode } from '../disk.ts'
import type { Editor, Hparams, Material } from '../editors/editor.ts'
import { editWithSimIE } from '../editors/steps/simie.ts'
import { WhicheditError } from '../errors.ts'
import type { Fact } from '../facts/fact.ts'
import type { LanguageModel } from '../models/model.ts'
import type { Patch } from '../models/patch.ts'
import type { Judgement, Probe } from '../probes/probe.ts'
import type { MemoryGauge } from './memory.ts'
import { type Group, type PlannedItem, planItems } from './plan.ts'
import { type PreparationCost, rememberCost } from './preparation-cost.ts'
import { areReadingsOf, askAll, readUnedited, timeExtraQuery } from './readings.ts'
import {
  type CaseReadings,
  type CostRecord,
  type FailureRecord,
  type JournalRecord,
  type ProbeRecord,
  parseRegime,
  type RecordBase,
} from './record.ts'

/** What a lane is to do: plain data, so that it can be sent to another process. */
export interface LaneWork {
  readonly hparams: Hparams
  readonly regime: string
  /** The groups of facts that have a case still to be done, in their order. */
  readonly groups: readonly Group[]
  readonly material: Material
  /** Whether the cost of the preparation is in the journal already. */
  readonly isPrepared: boolean
  /** What the unedited model said, as far as it is known. */
  readonly readings: readonly CaseReadings[]
  readonly seed: number
  readonly itemsPerProbe: number
  readonly maxNewTokens: number
}

/** Where a lane's results go. */
export interface LaneSink {
  /** Takes a complete group of records. */
  readonly commit: (records: readonly JournalRecord[]) => Promise<void>
  readonly keepReadings: (readings: CaseReadings) => Promise<void>
  /** Called when the work on a case begins; null for the preparation. */
  readonly begin: (factId: string | null) => void
}

/** Who does the work of a lane, and on what. */
export interface Lane {
  readonly model: LanguageModel
  readonly editor: Editor
  readonly probes: readonly Probe[]
  readonly memory: MemoryGauge
  readonly sink: LaneSink
}

/**
 * Takes one method through the cases of its lane.
 * @throws the signal's reason when stopped; E_DISK_FULL, E_NOT_WRITABLE and other refusals of the machine
 */
export async function runLane(lane: Lane, work: LaneWork, ctx: Context): Promise<void> {
  const base: RecordBase = { method: lane.editor.name, regime: work.regime }
  lane.sink.begin(null)
  const preparation = await attempt('prepare', ctx, () => prepare(lane, work, ctx))
  if ('failure' in preparation) {
    await lane.sink.commit([{ ...base, kind: 'failure', factId: null, ...preparation.failure }])
    return
  }
  if (!work.isPrepared) await lane.sink.commit(preparationRecords(base, preparation.value))
  const known = new Map(work.readings.map((readings) => [readings.factId, readings]))
  for (const group of work.groups) {
    ctx.signal.throwIfAborted()
    await runGroup(lane, { ...work, base, group, prepared: preparation.value.prepared, known }, ctx)
  }
}

interface Preparation extends PreparationCost {
  readonly prepared: unknown
}

async function prepare({ model, editor, memory }: Lane, work: LaneWork, ctx: Context): Promise<Preparation> {
  memory.restart()
  const start = ctx.now()
  // All methods draw from the same stream: what one of them has cached is what another would have made.
  const own = { ...ctx, random: ctx.random.stream('prepare') }
  const prepared = await editor.prepare?.({ model, hparams: work.hparams, material: work.material }, own)
  const measured = { seconds: secondsSince(start, ctx), peakBytes: memory.peak() }
  if (editor.prepare === undefined) return { prepared, ...measured }
  const identity = [model.id, editor.name, editor.version, work.hparams, work.material.text]
  return { prepared, ...(await rememberCost(ctx.cacheDir, identity, measured)) }
}

function preparationRecords(base: RecordBase, { seconds, peakBytes }: Preparation): CostRecord[] {
  const cost = { ...base, kind: 'cost', factId: null } as const
  return [
    { ...cost, cost: 'memory', value: peakBytes, unit: 'bytes' },
    { ...cost, cost: 'prepare', value: seconds, unit: 's' },
  ]
}

interface GroupWork extends LaneWork {
  readonly base: RecordBase
  readonly group: Group
  readonly prepared: unknown
  readonly known: Map<string, CaseReadings>
}

/** A case with its questions and what the unedited model said to them. */
interface Case {
  readonly fact: Fact
  readonly items: readonly PlannedItem[]
  readonly unedited: CaseReadings
}

/** Edits a group of facts and asks about its cases, one after another. */
async function runGroup(lane: Lane, work: GroupWork, ctx: Context): Promise<void> {
  const start = ctx.now()
  const cases: Case[] = []
  for (const fact of work.group.facts.filter(({ id }) => work.group.cases.includes(id))) {
    lane.sink.begin(fact.id)
    const items = planItems(fact, lane.probes, work.itemsPerProbe, ctx.random)
    cases.push({ fact, items, unedited: await uneditedReadings(lane, { ...work, fact }, items, ctx) })
  }
  lane.memory.restart()
  const edit = await editGroup(lane, work, ctx)
  const sharedS = secondsSince(start, ctx) / cases.length
  for (const one of cases) {
    ctx.signal.throwIfAborted()
    lane.sink.begin(one.fact.id)
    await lane.sink.commit(await runCase(lane, { ...work, ...one, edit, sharedS }, ctx))
  }
}

interface CaseWork extends GroupWork, Case {
  readonly edit: Edit
  /** This case's share of the time that its group took. */
  readonly sharedS: number
}

/** All records of a case, the last of which completes it. */
async function runCase(lane: Lane, work: CaseWork, ctx: Context): Promise<JournalRecord[]> {
  const { base, fact, edit, sharedS } = work
  const start = ctx.now()
  const made = edit.made.get(fact.id)
  if (made === undefined) throw new WhicheditError('E_INTERNAL', { what: `fact ${fact.id} is in no group of its own` })
  const observed =
    'failure' in made ? made : await attempt('probe', ctx, () => observe(lane, { ...work, edited: edit.edited }, ctx))
  const name = { ...base, factId: fact.id }
  const costs: CostRecord[] = [
    ...('failure' in made ? [] : editCosts(name, made.value)),
    { ...name, kind: 'cost', cost: 'memory', value: lane.memory.peak(), unit: 'bytes' },
  ]
  const outcome: (ProbeRecord | CostRecord | FailureRecord)[] =
    'failure' in observed ? [{ ...name, kind: 'failure', ...observed.failure }] : observed.value
  const wallS = sharedS + secondsSince(start, ctx)
  const report = 'failure' in made ? {} : made.value.report
  return [...outcome, ...costs, { ...name, kind: 'case', report, wallS }]
}

/** What the unedited model says, asked only where no lane has asked before. */
async function uneditedReadings(
  { model, sink }: Lane,
  { fact, known, maxNewTokens }: GroupWork & { readonly fact: Fact },
  items: readonly PlannedItem[],
  { signal }: Context,
): Promise<CaseReadings> {
  const found = known.get(fact.id)
  if (found !== undefined && areReadingsOf(found, items)) return found
  const readings = await readUnedited(model, { fact, items }, { maxNewTokens, signal })
  await sink.keepReadings(readings)
  return readings
}

/** What editing one fact of a group took; of a call that took several facts, its share. */
interface Made {
  readonly report: Patch['report']
  readonly seconds: number
  readonly bytes: number
}

interface Edit {
  /** The model with all edits that succeeded. */
  readonly edited: LanguageModel
  /** What became of each fact. */
  readonly made: ReadonlyMap<string, Outcome<Made>>
}

/**
 * Edits the facts of a group into one model: in one call where they come together and the method takes many, else one after
 * another, each into the model as the earlier ones left it; with SimIE each into the unedited model, of which it makes a change of
 * the edited one. A call that fails leaves the model as it was.
 */
async function editGroup({ model, editor }: Lane, work: GroupWork, ctx: Context): Promise<Edit> {
  const { hparams, prepared, base, group } = work
  const regime = parseRegime(base.regime)
  const isTogether = editor.batch === 'many' && regime?.arrival === 'batch'
  const calls = isTogether ? [group.facts] : group.facts.map((fact) => [fact])
  const made = new Map<string, Outcome<Made>>()
  const history: Patch[] = []
  let edited = model
  for (const facts of calls) {
    ctx.signal.throwIfAborted()
    const random = ctx.random
      .stream('edit')
      .stream(base.method)
      .stream(base.regime)
      .stream(facts[0]?.id ?? '')
    const job = { model: regime?.isSimIE ? model : edited, facts, hparams, prepared, history: [...history] }
    const outcome = await attempt('edit', ctx, async () => {
      const start = ctx.now()
      const own = { ...ctx, random }
      const patch = await (regime?.isSimIE ? editWithSimIE(editor, job, own) : editor.edit(job, own))
      const seconds = secondsSince(start, ctx) / facts.length
      checkReport(patch.report)
      edited = edited.withPatch(patch)
      history.push(patch)
      return { report: patch.report, seconds, bytes: bytesOf([patch.parts, patch.state]) / facts.length }
    })
    for (const { id } of facts) made.set(id, outcome)
  }
  return { edited, made }
}

function checkReport(report: Patch['report']): void {
  for (const [name, value] of Object.entries(report)) {
    if (!Number.isFinite(value)) throw new WhicheditError('E_NOT_FINITE', { where: name, found: String(value) })
  }
}

function editCosts(name: RecordBase & { factId: string }, { bytes, seconds }: Made): CostRecord[] {
  return [
    { ...name, kind: 'cost', cost: 'edit', value: seconds, unit: 's' },
    { ...name, kind: 'cost', cost: 'patch', value: bytes, unit: 'bytes' },
  ]
}

interface Observing extends GroupWork, Case {
  readonly edited: LanguageModel
}

/** Asks the edited model everything and judges it. */
async function observe(lane: Lane, work: Observing, ctx: Context): Promise<(ProbeRecord | CostRecord)[]> {
  const { base, fact, items, unedited, edited, maxNewTokens } = work
  const questions = items.map(({ item }) => item)
  const said = await askAll(edited, questions, { maxNewTokens, signal: ctx.signal })
  const extra = await timeExtraQuery({ base: lane.model, edited }, fact.prompt, ctx)
  const name = { ...base, factId: fact.id }
  const records = items.map((planned, index): ProbeRecord => {
    const [reading, before] = [said[index], unedited.items[index]]
    if (reading === undefined || before === undefined) {
      throw new WhicheditError('E_INTERNAL', { what: `no reading of ${planned.probe.name} ${planned.item.item}` })
    }
    return judgeItem(name, planned, { ...before, edited: reading })
  })
  return [...records, { ...name, kind: 'cost', cost: 'query', value: extra, unit: 's' }]
}

function judgeItem(
  name: RecordBase & { factId: string },
  { probe, item }: PlannedItem,
  answers: CaseReadings['items'][number] & { edited: ProbeRecord['edited'] },
): ProbeRecord {
  const { base, edited, required } = answers
  const judge = (model: ProbeRecord['edited']): Judgement =>
    probe.judge({ item, base, edited: model, ...(required === undefined ? {} : { required }) })
  const judgement = judge(edited)
  // Whether the unedited model agrees with itself says nothing.
  const own = probe.criterion === 'locality' ? { value: null, teacherForced: null } : judge(base)
  return {
    ...name,
    kind: 'probe',
    probe: probe.name,
    item: item.item,
    criterion: probe.criterion,
    prompt: item.prompt,
    targets: item.targets,
    value: judgement.value,
    teacherForced: judgement.teacherForced,
    baseValue: own.value,
    baseTeacherForced: own.teacherForced,
    ...(judgement.value === null ? { reason: judgement.reason } : {}),
    base,
    edited,
  }
}

type Outcome<T> = { readonly value: T } | { readonly failure: Pick<FailureRecord, 'stage' | 'code' | 'message'> }

/** Does a step whose failure says something about the method; what says something about the machine or the user is thrown on. */
async function attempt<T>(stage: FailureRecord['stage'], ctx: Context, step: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await step() }
  } catch (error) {
    ctx.signal.throwIfAborted()
    if (isRefusal(error)) throw error
    const code = error instanceof WhicheditError ? error.code : 'E_INTERNAL'
    return { failure: { stage, code, message: error instanceof Error ? error.message : String(error) } }
  }
}

/** An error that would meet any method here and now. */
function isRefusal(error: unknown): boolean {
  if (error instanceof WhicheditError) return [66, 75].includes(error.exit) || error.code === 'E_NOT_WRITABLE'
  return systemCode(error) !== undefined
}

/** Bytes of plain data: what a patch takes in memory and, nearly, in a file. */
export function bytesOf(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value)
  if (typeof value === 'number') return Float64Array.BYTES_PER_ELEMENT
  if (ArrayBuffer.isView(value)) return value.byteLength
  if (typeof value !== 'object' || value === null) return 0
  return Object.values(value).reduce((sum: number, part) => sum + bytesOf(part), 0)
}

function secondsSince(start: number, { now }: Context): number {
  return (now() - start) / 1000
}
