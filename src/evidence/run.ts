/**
 * The one place where editors and probes meet: a lane takes one method through its cases. For each fact the method makes
 * its patch, the patched model is asked all questions in one batch, the probes judge what the two models said, and the
 * records of the case go out together, the one that completes it last. What an edit throws is an outcome and the lane goes
 * on; what the machine refuses (a full disk) and what the user stops end it.
 */
import type { Context } from '../context.ts'
import { systemCode } from '../disk.ts'
import type { Editor, Hparams, Material } from '../editors/editor.ts'
import { WhicheditError } from '../errors.ts'
import type { Fact } from '../facts/fact.ts'
import type { LanguageModel } from '../models/model.ts'
import type { Patch } from '../models/patch.ts'
import type { Judgement, Probe } from '../probes/probe.ts'
import type { MemoryGauge } from './memory.ts'
import { type PlannedItem, planItems, SINGLE } from './plan.ts'
import { type PreparationCost, rememberCost } from './preparation-cost.ts'
import { areReadingsOf, askAll, readUnedited, timeExtraQuery } from './readings.ts'
import type { CaseReadings, CostRecord, FailureRecord, JournalRecord, ProbeRecord, RecordBase } from './record.ts'

/** What a lane is to do: plain data, so that it can be sent to another process. */
export interface LaneWork {
  readonly hparams: Hparams
  /** The facts of the cases still to be done, in their order. */
  readonly facts: readonly Fact[]
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
  const base: RecordBase = { method: lane.editor.name, regime: SINGLE }
  lane.sink.begin(null)
  const preparation = await attempt('prepare', ctx, () => prepare(lane, work, ctx))
  if ('failure' in preparation) {
    await lane.sink.commit([{ ...base, kind: 'failure', factId: null, ...preparation.failure }])
    return
  }
  if (!work.isPrepared) await lane.sink.commit(preparationRecords(base, preparation.value))
  const known = new Map(work.readings.map((readings) => [readings.factId, readings]))
  for (const fact of work.facts) {
    ctx.signal.throwIfAborted()
    lane.sink.begin(fact.id)
    const records = await runCase(lane, { ...work, base, fact, prepared: preparation.value.prepared, known }, ctx)
    await lane.sink.commit(records)
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

interface CaseWork extends LaneWork {
  readonly base: RecordBase
  readonly fact: Fact
  readonly prepared: unknown
  readonly known: Map<string, CaseReadings>
}

/** All records of a case, the last of which completes it. */
async function runCase(lane: Lane, work: CaseWork, ctx: Context): Promise<JournalRecord[]> {
  const { base, fact } = work
  const start = ctx.now()
  const items = planItems(fact, lane.probes, work.itemsPerProbe, ctx.random)
  const unedited = await uneditedReadings(lane, work, items, ctx)
  lane.memory.restart()
  const edit = await attempt('edit', ctx, () => editFact(lane, work, ctx))
  const observed =
    'failure' in edit
      ? edit
      : await attempt('probe', ctx, () => observe(lane, { ...work, items, unedited, ...edit.value }, ctx))
  const name = { ...base, factId: fact.id }
  const costs: CostRecord[] = [
    ...('failure' in edit ? [] : editCosts(name, edit.value)),
    { ...name, kind: 'cost', cost: 'memory', value: lane.memory.peak(), unit: 'bytes' },
  ]
  const outcome: (ProbeRecord | CostRecord | FailureRecord)[] =
    'failure' in observed ? [{ ...name, kind: 'failure', ...observed.failure }] : observed.value
  const report = 'failure' in edit ? {} : edit.value.patch.report
  return [...outcome, ...costs, { ...name, kind: 'case', report, wallS: secondsSince(start, ctx) }]
}

/** What the unedited model says, asked only where no lane has asked before. */
async function uneditedReadings(
  { model, sink }: Lane,
  { fact, known, maxNewTokens }: CaseWork,
  items: readonly PlannedItem[],
  { signal }: Context,
): Promise<CaseReadings> {
  const found = known.get(fact.id)
  if (found !== undefined && areReadingsOf(found, items)) return found
  const readings = await readUnedited(model, { fact, items }, { maxNewTokens, signal })
  await sink.keepReadings(readings)
  return readings
}

interface Edit {
  readonly patch: Patch
  readonly seconds: number
}

async function editFact({ model, editor }: Lane, work: CaseWork, ctx: Context): Promise<Edit> {
  const { hparams, prepared, fact, base } = work
  const random = ctx.random.stream('edit').stream(base.method).stream(base.regime).stream(fact.id)
  const start = ctx.now()
  const patch = await editor.edit({ model, facts: [fact], hparams, prepared, history: [] }, { ...ctx, random })
  const seconds = secondsSince(start, ctx)
  for (const [name, value] of Object.entries(patch.report)) {
    if (!Number.isFinite(value)) throw new WhicheditError('E_NOT_FINITE', { where: name, found: String(value) })
  }
  return { patch, seconds }
}

function editCosts(name: RecordBase & { factId: string }, { patch, seconds }: Edit): CostRecord[] {
  return [
    { ...name, kind: 'cost', cost: 'edit', value: seconds, unit: 's' },
    { ...name, kind: 'cost', cost: 'patch', value: bytesOf(patch.parts), unit: 'bytes' },
  ]
}

interface Observing extends CaseWork {
  readonly items: readonly PlannedItem[]
  readonly unedited: CaseReadings
  readonly patch: Patch
}

/** Asks the edited model everything and judges it. */
async function observe(lane: Lane, work: Observing, ctx: Context): Promise<(ProbeRecord | CostRecord)[]> {
  const { base, fact, items, unedited, maxNewTokens } = work
  const edited = lane.model.withPatch(work.patch)
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
