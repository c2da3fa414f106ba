/**
 * What a run will do, decided before anything is run. Pure: settings in, jobs out. The run's id is a hash of all that
 * determines its results, so that the same command finds its own unfinished run; times, machine and versions of programs
 * are no part of it.
 */
import { createHash } from 'node:crypto'
import type { Material } from '../editors/editor.ts'
import { WhicheditError } from '../errors.ts'
import { chooseCases, chooseMaterial, leaveOutSubjects } from '../facts/cases.ts'
import type { Fact } from '../facts/fact.ts'
import { printable } from '../printable.ts'
import type { Probe, ProbeItem } from '../probes/probe.ts'
import { createRandom, type Random } from '../tensor/random.ts'
import {
  type JournalRecord,
  type MachineInfo,
  type MethodInfo,
  type ModelInfo,
  parseRegime,
  type Regime,
  type RunInfo,
  type RunSettings,
} from './record.ts'

/** Prompts of one probe asked about one fact; CounterFact has ten neighbours a fact, and five tell nearly as much. */
export const ITEMS_PER_PROBE = 5

/** Tokens of a free answer: the beginning of a sentence, in which an answer stands if it is one. */
export const MAX_NEW_TOKENS = 12

/** The same in a chat, where an answer is often a whole sentence that says the prompt again before it comes to the point. */
export const CHAT_NEW_TOKENS = 32

/** What a run is to do. */
export interface PlanRequest {
  readonly model: ModelInfo
  readonly data: {
    readonly name: string
    readonly format: string
    readonly facts: readonly Fact[]
    /** What methods may learn from, whichever cases are tried; null: the facts that have nothing to do with the cases. */
    readonly learning: readonly Fact[] | null
    /** Subjects that settings were chosen by: no case is about one of them. Default: none. */
    readonly spent?: readonly string[]
  }
  readonly methods: readonly MethodInfo[]
  readonly probes: readonly Probe[]
  /** How many facts to try; all, where there are fewer. */
  readonly cases: number
  /** `single`, `batch-16`, `stream-16`, `stream-16+simie`: how the edits come that a model holds when it is asked. */
  readonly regimes: readonly string[]
  readonly settings: Omit<RunSettings, 'text'>
  /** Plain text that preparations learn from; null: sample the model. */
  readonly text: readonly string[] | null
  readonly machine: MachineInfo
  readonly versions: Readonly<Record<string, string>>
  /** ISO 8601, UTC. */
  readonly createdAt: string
}

/** What a run does: its description, the facts of its cases in their order, and what methods may learn from. */
export interface Plan {
  readonly info: RunInfo
  readonly facts: readonly Fact[]
  /** Facts that are edited beside those of the cases where a batch or a stream is longer, and not asked about. */
  readonly companions: readonly Fact[]
  readonly material: Material
}

/** Facts that are edited into one model, in their order. */
export interface Group {
  readonly facts: readonly Fact[]
  /** The ids of those that are asked about. */
  readonly cases: readonly string[]
}

/** One fact in one regime of one method, with all its questions: what is done and kept, or not, as a whole. */
export interface Job {
  readonly method: string
  readonly regime: string
  readonly factId: string
}

/**
 * Chooses the cases by the seed (more cases contain fewer) and describes the run. Methods may learn from the facts that have
 * nothing to do with those that are edited, in the data's own order.
 * @throws E_REGIME for a word that names none, E_TOO_FEW_FACTS where a regime needs more than there are
 */
export function makePlan(request: PlanRequest): Plan {
  const random = createRandom(request.settings.seed)
  const fresh = leaveOutSubjects(request.data.facts, request.data.spent ?? [])
  const facts = chooseCases(fresh, request.cases, random)
  const regimes = request.regimes.map(readRegime)
  const edited = chooseCases(fresh, Math.max(...regimes.map((one) => countEdited(one, facts.length))), random)
  for (const { name, edits } of regimes) {
    if (edits > edited.length) throw new WhicheditError('E_TOO_FEW_FACTS', { regime: name, found: edited.length })
  }
  const described: Omit<RunInfo, 'id'> = {
    schemaVersion: 1,
    createdAt: request.createdAt,
    model: request.model,
    data: {
      name: request.data.name,
      hash: hashOf(request.data.facts),
      format: request.data.format,
      cases: facts.map((fact) => fact.id),
      facts: request.data.facts.length,
      ...(request.data.learning === null ? {} : { learning: hashOf(request.data.learning) }),
    },
    methods: request.methods,
    probes: request.probes.map(({ name, criterion, version }) => ({ name, criterion, version })),
    regimes: [...new Set(regimes.map(({ name }) => name))],
    settings: { ...request.settings, text: request.text === null ? null : hashOf(request.text) },
    machine: request.machine,
    versions: request.versions,
  }
  const { learning } = request.data
  const learnt =
    learning === null ? chooseMaterial(request.data.facts, edited) : chooseMaterial(learning, request.data.facts)
  const material = { text: request.text, facts: learnt }
  return { info: { id: idOf(described), ...described }, facts, companions: edited.slice(facts.length), material }
}

/** @throws E_REGIME */
function readRegime(name: string): Regime {
  const regime = parseRegime(name)
  if (regime === undefined) throw new WhicheditError('E_REGIME', { found: printable(name) })
  return regime
}

/** Facts that groups of equal size take to hold so many cases. */
function countEdited({ edits }: Regime, cases: number): number {
  return Math.ceil(cases / edits) * edits
}

/**
 * The models that a regime makes of a plan, each with the facts it holds: the cases in their order, cut into groups of equal
 * size, the last filled up with companions. Inside a group facts stand in an order of the regime's own, so that no case is
 * always the oldest of a stream.
 */
export function groupFacts(
  { facts, companions, info }: Pick<Plan, 'facts' | 'companions' | 'info'>,
  name: string,
): Group[] {
  const regime = readRegime(name)
  const order = createRandom(info.settings.seed).stream('order').stream(regime.order)
  const size = countEdited(regime, facts.length)
  // Where the data has no more facts, the last group is filled up with cases of the first.
  const edited = [...facts, ...companions.slice(0, size - facts.length), ...facts].slice(0, size)
  return Array.from({ length: edited.length / regime.edits }, (_, index) => {
    const at = index * regime.edits
    const group = edited.slice(at, at + regime.edits)
    const cases = group.slice(0, Math.max(0, facts.length - at)).map(({ id }) => id)
    return { facts: order.stream(String(index)).shuffle(group), cases }
  })
}

/** Those of the groups that have a case still to be asked, with these cases only. */
export function pendingGroups(groups: readonly Group[], pending: ReadonlySet<string>): Group[] {
  return groups
    .map(({ facts, cases }) => ({ facts, cases: cases.filter((id) => pending.has(id)) }))
    .filter(({ cases }) => cases.length > 0)
}

/** The jobs of a run that have no records yet, method after method. A method whose lane failed has none left. */
export function pendingJobs(info: RunInfo, records: readonly JournalRecord[]): Job[] {
  const keyOf = ({ method, regime, factId }: Job): string => JSON.stringify([method, regime, factId])
  const done = new Set(records.flatMap((record) => (record.kind === 'case' ? [keyOf(record)] : [])))
  const laneOf = ({ method, regime }: Pick<Job, 'method' | 'regime'>): string => JSON.stringify([method, regime])
  const failed = new Set(
    records.flatMap((record) => (record.kind === 'failure' && record.factId === null ? [laneOf(record)] : [])),
  )
  return info.methods
    .flatMap(({ name: method }) => info.regimes.map((regime) => ({ method, regime })))
    .filter((lane) => !failed.has(laneOf(lane)))
    .flatMap((lane) => info.data.cases.map((factId) => ({ ...lane, factId })))
    .filter((job) => !done.has(keyOf(job)))
}

/** One question of a plan and the probe that asks it. */
export interface PlannedItem {
  readonly probe: Probe
  readonly item: ProbeItem
}

/** The questions about a fact: of each probe at most `itemsPerProbe`, drawn by the seed, the same for every method. */
export function planItems(fact: Fact, probes: readonly Probe[], itemsPerProbe: number, random: Random): PlannedItem[] {
  return probes.flatMap((probe) => {
    const stream = random.stream('items').stream(probe.name).stream(fact.id)
    const drawn = stream.shuffle(probe.items(fact)).slice(0, itemsPerProbe)
    return drawn.sort((a, b) => a.item - b.item).map((item) => ({ probe, item }))
  })
}

/** Characters of a run's id: 64 bits, far beyond chance. */
const ID_LENGTH = 16

function idOf(info: Omit<RunInfo, 'id'>): string {
  const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1)
  return hashOf({
    schemaVersion: info.schemaVersion,
    model: info.model.id,
    data: info.data.hash,
    learning: info.data.learning,
    cases: info.data.cases,
    // The order in which methods are named changes nothing; neither does what they are called.
    methods: info.methods
      .map(({ name, version, hparams, encoder }) => ({ name, version, hparams, encoder }))
      .sort(byName),
    probes: info.probes.map(({ name, version }) => ({ name, version })).sort(byName),
    regimes: info.regimes,
    settings: info.settings,
  }).slice(0, ID_LENGTH)
}

/** SHA-256 of a value as JSON with sorted keys. */
function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value, sortKeys)).digest('hex')
}

function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** How many cases of a run are complete and how many there are, over all methods. */
export function countCases(info: RunInfo, records: readonly JournalRecord[]): { done: number; total: number } {
  const total = info.methods.length * info.regimes.length * info.data.cases.length
  return { done: records.filter(({ kind }) => kind === 'case').length, total }
}
