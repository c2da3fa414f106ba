/**
 * A short sweep over layers: which to try, and trying them. Each candidate is a run of its own, of one method with its layers, on
 * the same few facts and with the questions of `probe`; so it is stopped, resumed and read like any other. What the records say
 * about the candidates is judged where rankings are made (`scoring/choose-sites.ts`).
 */
import { join } from 'node:path'
import type { Sites } from '../editors/hparams.ts'
import type { ProposedLayers } from '../editors/steps/causal-trace.ts'
import { WhicheditError } from '../errors.ts'
import { mean } from '../tensor/stats.ts'
import { type LaneEvent, type LanesRequest, runLanes } from './lanes.ts'
import { countCases, type Plan } from './plan.ts'
import type { CaseReadings, CostRecord, JournalRecord } from './record.ts'
import type { TriedSites } from './sites.ts'
import { type OpenOptions, RunStore, readRun, type StoredRun } from './store.ts'

/** Layers to be tried. */
export interface Candidate extends Pick<TriedSites, 'sites' | 'origin'> {
  /** How far they lie from the published ones, in layers. */
  readonly offset: number
}

/** What candidates are chosen by. */
export interface CandidateRequest {
  /** The layers that the method has without a sweep. */
  readonly published: Sites
  /** What tracing proposes; null where it says nothing about the method. */
  readonly proposed: ProposedLayers | null
  /** Layers of the model. */
  readonly layers: number
}

/** So many candidates at most: each is prepared anew. */
export const MOST_CANDIDATES = 5
/** A neighbour lies this share of the model's layers away, one layer at least: two layers of 32. */
const STEP = 1 / 16

/**
 * The layers to try, at most {@link MOST_CANDIDATES}: the published ones; those that tracing proposes; the neighbours of these, a
 * step below and above; the neighbours of the published ones; the next neighbours of these. Where tracing proposes is its peak for one
 * layer; a range moves as a block, its middle to the middle of the layers that tracing proposes.
 */
export function listCandidates({ published, proposed, layers }: CandidateRequest): Candidate[] {
  const [first, last] = [Math.min(...Object.values(published)), Math.max(...Object.values(published))]
  const [lowest, highest] = [-first, layers - 1 - last]
  const step = Math.max(1, Math.round(STEP * layers))
  const around = (offset: number, steps: number): number[] => [offset - steps * step, offset + steps * step]
  const traced = proposed === null ? [] : [offsetTo(proposed, first, last)]
  const fitting = traced.map((offset) => Math.min(Math.max(offset, lowest), highest))
  const offsets = [0, ...fitting, ...fitting.flatMap((offset) => around(offset, 1)), ...around(0, 1), ...around(0, 2)]
  return [...new Set(offsets)]
    .filter((offset) => offset >= lowest && offset <= highest)
    .slice(0, MOST_CANDIDATES)
    .map((offset) => ({ sites: moveSites(published, offset), origin: originOf(offset, fitting), offset }))
}

/** How far a block must move to stand where tracing proposes. */
function offsetTo({ peak, range: [low, high] }: ProposedLayers, first: number, last: number): number {
  return first === last ? peak - first : Math.round((low + high) / 2 - (first + last) / 2)
}

function originOf(offset: number, traced: readonly number[]): TriedSites['origin'] {
  if (offset === 0) return 'published'
  return traced.includes(offset) ? 'traced' : 'near'
}

function moveSites(sites: Sites, offset: number): Sites {
  return Object.fromEntries(Object.entries(sites).map(([name, layer]) => [name, layer + offset]))
}

/** What trying candidates needs: a plan for each, and what carrying out plans does. */
export interface SweepRequest extends Omit<LanesRequest, 'plan' | 'store' | 'report'>, OpenOptions {
  /** Where the candidates' runs lie. */
  readonly root: string
  readonly plans: readonly Plan[]
  /** Takes what happens to a candidate, by its place, and how many seconds are left for all, once that can be told. */
  readonly report: (candidate: number, event: LaneEvent, leftS: number | null) => void
}

/** How far a sweep has come. */
export interface SweepEnd {
  readonly isStopped: boolean
  /** Of all candidates. */
  readonly done: number
  readonly total: number
  /** The candidates' runs, in their order; fewer where it was stopped. */
  readonly runs: readonly StoredRun[]
}

/**
 * Does what is left of the candidates' runs, one after another; what the unedited model says is asked once for all of them.
 * @throws as `runLanes`; what is finished is kept
 */
export async function runSweep(request: SweepRequest): Promise<SweepEnd> {
  const { root, plans, owner, fresh, retryErrors, report, ...lanes } = request
  const runs: StoredRun[] = []
  const readings = new Map<string, CaseReadings>()
  const cases = plans.map(({ info }) => info.data.cases.length)
  const earlier = fresh === true ? [] : await Promise.all(plans.map(({ info }) => readEarlier(join(root, info.id))))
  let isStopped = false
  for (const [place, plan] of plans.entries()) {
    const store = await RunStore.open(root, plan.info, {
      owner,
      ...(fresh === undefined ? {} : { fresh }),
      ...(retryErrors === undefined ? {} : { retryErrors }),
    })
    try {
      for (const [id, known] of readings) if (!store.readings.has(id)) await store.appendReadings(known)
      const tell = (event: LaneEvent): void =>
        report(place, event, secondsLeft([...runs.map(recordsOf), store.records, ...earlier.slice(place + 1)], cases))
      const end = await runLanes({ ...lanes, plan, store, report: tell })
      for (const [id, known] of store.readings) readings.set(id, known)
      const { folder, info, records, notes } = store
      runs.push({ folder, info, records, notes })
      isStopped = end.isStopped
    } finally {
      await store.close()
    }
    if (isStopped) break
  }
  const done = runs.reduce((sum, { info, records }) => sum + countCases(info, records).done, 0)
  return { isStopped, done, total: cases.reduce((sum, count) => sum + count, 0), runs }
}

const recordsOf = ({ records }: StoredRun): readonly JournalRecord[] => records

/** What an earlier sweep has left of a candidate; what cannot be read is told when it is opened. */
async function readEarlier(folder: string): Promise<readonly JournalRecord[]> {
  return readRun(folder).then(recordsOf, (error: unknown) => {
    if (error instanceof WhicheditError) return []
    throw error
  })
}

/**
 * Seconds that the rest of a sweep takes if it goes on as so far; null before the first case is done.
 * @param begun the records of the candidates that were begun
 * @param cases how many cases each candidate has, also those not begun
 */
export function secondsLeft(begun: readonly (readonly JournalRecord[])[], cases: readonly number[]): number | null {
  const preparations = begun.map((records) => records.flatMap((one) => (isPreparation(one) ? [one.value] : [])))
  const edits = begun.map((records) => records.flatMap((one) => (one.kind === 'case' ? [one.wallS] : [])))
  if (edits.flat().length === 0 || preparations.flat().length === 0) return null
  const [prepareS, editS] = [mean(preparations.flat()), mean(edits.flat())]
  return cases.reduce((sum, count, i) => {
    if (begun[i]?.some((one) => one.kind === 'failure' && one.factId === null)) return sum
    const left = count - (edits[i]?.length ?? 0)
    return sum + left * editS + ((preparations[i]?.length ?? 0) === 0 ? prepareS : 0)
  }, 0)
}

function isPreparation(record: JournalRecord): record is CostRecord {
  return record.kind === 'cost' && record.cost === 'prepare'
}
