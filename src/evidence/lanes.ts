/**
 * Carries out a plan: each method and regime in a process of its own, so that each has its own peak memory, and no more of them at a
 * time than slow no other's clock. This process is the only one that writes evidence.
 */
import type { ProgressEvent } from '../context.ts'
import type { ModelPlaces } from '../models/locate.ts'
import type { Criterion } from '../probes/probe.ts'
import type { FromLane, LaneOrder } from './lane.ts'
import { countCases, type Group, groupFacts, type Plan, pendingGroups, pendingJobs } from './plan.ts'
import type { FailureRecord, JournalRecord, MethodInfo } from './record.ts'
import type { Sharing } from './side-by-side.ts'
import type { RunStore } from './store.ts'
import { describeLoss, type LaneEnd, superviseLane } from './supervise.ts'

/** What happens in a lane, for whoever watches. */
export interface LaneEvent {
  readonly method: string
  /** `open`: the model is being opened; `end`: nothing is left to do for this method. */
  readonly stage: 'open' | 'prepare' | 'case' | 'end'
  /** Cases of this method that are complete, and all of them. */
  readonly done: number
  readonly total: number
  /** What the method is at right now, in its own words. */
  readonly step?: ProgressEvent
  /** Mean so far of each criterion that has a value, in [0, 1]. */
  readonly rates: Readonly<Partial<Record<Criterion, number>>>
  /** Cases, or the whole lane, that failed. */
  readonly failures: number
}

/** What carrying out a plan needs. */
export interface LanesRequest {
  readonly plan: Plan
  readonly store: RunStore
  /** Reference of the model, as the user gave it. */
  readonly model: string
  /** Whether it is asked through its chat template. */
  readonly chat: boolean
  /** What the model may count on: decides how its weights are used. */
  readonly memoryBytes: number
  readonly places: ModelPlaces
  readonly cacheDir: string
  readonly sharing: Sharing
  /** File that a lane's process runs; it must call `serveLane`. */
  readonly entry: string
  readonly signal: AbortSignal
  readonly report: (event: LaneEvent) => void
}

/** How far a run has come: `isStopped` when it was stopped before its end. */
export interface LanesEnd {
  readonly isStopped: boolean
  readonly done: number
  readonly total: number
}

/** A lane whose process dies so often is given up: what it needs is not there. */
const MAX_DEATHS = 3

/**
 * Does what is left of a plan. What is finished when it is stopped, or when an error ends it, is kept.
 * @throws what a lane throws that is no outcome of its method; the others are stopped
 */
export async function runLanes(request: LanesRequest): Promise<LanesEnd> {
  const { store, signal, sharing } = request
  const failing = new AbortController()
  const shared = { ...request, signal: AbortSignal.any([signal, failing.signal]) }
  const [first, ...others] = store.info.methods
  // What it asks the unedited model is asked for all methods.
  if (first !== undefined) await runMethod(shared, first)
  const waiting = others.values()
  const takeTurns = async (): Promise<void> => {
    try {
      for (const method of waiting) if (!shared.signal.aborted) await runMethod(shared, method)
    } catch (error) {
      failing.abort()
      throw error
    }
  }
  const ends = await Promise.allSettled(Array.from({ length: sharing.lanes }, takeTurns))
  for (const end of ends) if (end.status === 'rejected') throw end.reason
  return { isStopped: signal.aborted, ...countCases(store.info, store.records) }
}

async function runMethod(request: LanesRequest, method: MethodInfo): Promise<void> {
  const { store, signal } = request
  const tell = (stage: LaneEvent['stage'], step?: ProgressEvent): void =>
    request.report({ ...summarise(store, method.name), stage, ...(step === undefined ? {} : { step }) })
  for (const regime of store.info.regimes) {
    const name = { method, regime }
    for (let deaths = 0; !signal.aborted && groupsFor(request, name).length > 0; deaths++) {
      tell('open')
      const take = createTaker(store, tell)
      const end = await superviseLane(orderFor(request, name), { entry: request.entry, signal, take })
      if (end.kind !== 'died') break
      await recordDeath(store, name, { end, isLast: deaths + 1 === MAX_DEATHS })
    }
  }
  if (!signal.aborted) tell('end')
}

interface LaneName {
  readonly method: MethodInfo
  readonly regime: string
}

/** Takes what a lane sends: records and readings to the disk, the rest to whoever watches. */
function createTaker(store: RunStore, tell: (stage: 'prepare' | 'case', step?: ProgressEvent) => void) {
  let stage: 'prepare' | 'case' = 'prepare'
  return async (message: FromLane): Promise<void> => {
    if (message.kind === 'readings') return await store.appendReadings(message.readings)
    if (message.kind === 'records') await store.append(message.records)
    if (message.kind === 'begin') stage = message.factId === null ? 'prepare' : 'case'
    if (message.kind === 'step') tell(stage, message.step)
    if (message.kind === 'records' || message.kind === 'begin') tell(stage)
  }
}

function groupsFor({ plan, store }: LanesRequest, { method, regime }: LaneName): Group[] {
  const jobs = pendingJobs(store.info, store.records)
  const own = jobs.filter((job) => job.method === method.name && job.regime === regime)
  return pendingGroups(groupFacts(plan, regime), new Set(own.map(({ factId }) => factId)))
}

function orderFor(request: LanesRequest, name: LaneName): LaneOrder {
  const { method, regime } = name
  const { plan, store, model, chat, memoryBytes, places, cacheDir, sharing } = request
  const { seed, itemsPerProbe, maxNewTokens } = store.info.settings
  const groups = groupsFor(request, name)
  const isPrepared = store.records.some(
    (record) =>
      record.method === method.name && record.regime === regime && record.kind === 'cost' && record.cost === 'prepare',
  )
  const readings = groups.flatMap(({ cases }) => cases.flatMap((id) => store.readings.get(id) ?? []))
  const { material } = plan
  return {
    method: method.name,
    probes: store.info.probes.map(({ name }) => name),
    model,
    chat,
    memoryBytes,
    session: sharing.session,
    places,
    cacheDir,
    work: {
      hparams: method.hparams,
      regime,
      groups,
      material,
      isPrepared,
      readings,
      seed,
      itemsPerProbe,
      maxNewTokens,
    },
  }
}

/** Keeps what became of the case that was in flight; of the whole lane, where there was none or it happens again and again. */
async function recordDeath(
  store: RunStore,
  { method, regime }: LaneName,
  { end, isLast }: { end: LaneEnd & { kind: 'died' }; isLast: boolean },
): Promise<void> {
  const { during } = end
  const stage = during === null ? 'prepare' : 'edit'
  const name = { method: method.name, regime }
  const { code, message } = describeLoss(method.title, end)
  const failure: Omit<FailureRecord, 'factId'> = { ...name, kind: 'failure', stage, code, message }
  if (during !== null) {
    const factId = during
    await store.append([
      { ...failure, factId },
      { ...name, kind: 'case', factId, report: {}, wallS: 0 },
    ])
  }
  if (during === null || isLast) await store.append([{ ...failure, factId: null }])
}

function summarise(store: RunStore, method: string): Omit<LaneEvent, 'stage' | 'step'> {
  const own = store.records.filter((record) => record.method === method)
  return {
    method,
    done: own.filter(({ kind }) => kind === 'case').length,
    total: store.info.data.cases.length * store.info.regimes.length,
    rates: meanRates(own),
    failures: own.filter(({ kind }) => kind === 'failure').length,
  }
}

/** The mean of each criterion's values; a display, not a score: each answer counts the same. */
function meanRates(records: readonly JournalRecord[]): Partial<Record<Criterion, number>> {
  const sums = new Map<Criterion, { sum: number; count: number }>()
  for (const record of records) {
    if (record.kind !== 'probe' || record.value === null) continue
    const { sum, count } = sums.get(record.criterion) ?? { sum: 0, count: 0 }
    sums.set(record.criterion, { sum: sum + record.value, count: count + 1 })
  }
  return Object.fromEntries([...sums].map(([criterion, { sum, count }]) => [criterion, sum / count]))
}
