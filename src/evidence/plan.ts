/**
 * What a run will do, decided before anything is run. Pure: settings in, jobs out. The run's id is a hash of all that
 * determines its results, so that the same command finds its own unfinished run; times, machine and versions of programs
 * are no part of it.
 */
import { createHash } from 'node:crypto'
import type { Material } from '../editors/editor.ts'
import { chooseCases, chooseMaterial } from '../facts/cases.ts'
import type { Fact } from '../facts/fact.ts'
import type { Probe, ProbeItem } from '../probes/probe.ts'
import { createRandom, type Random } from '../tensor/random.ts'
import type { JournalRecord, MachineInfo, MethodInfo, ModelInfo, RunInfo, RunSettings } from './record.ts'

/** The one regime there is so far: each fact edited alone into the unedited model. */
export const SINGLE = 'single'

/** Prompts of one probe asked about one fact; CounterFact has ten neighbours a fact, and five tell nearly as much. */
export const ITEMS_PER_PROBE = 5

/** Tokens of a free answer: the beginning of a sentence, in which an answer stands if it is one. */
export const MAX_NEW_TOKENS = 12

/** The same in a chat, where an answer is often a whole sentence that says the prompt again before it comes to the point. */
export const CHAT_NEW_TOKENS = 32

/** What a run is to do. */
export interface PlanRequest {
  readonly model: ModelInfo
  readonly data: { readonly name: string; readonly format: string; readonly facts: readonly Fact[] }
  readonly methods: readonly MethodInfo[]
  readonly probes: readonly Probe[]
  /** How many facts to try; all, where there are fewer. */
  readonly cases: number
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
  readonly material: Material
}

/** One edit of one fact by one method, with all its questions: what is done and kept, or not, as a whole. */
export interface Job {
  readonly method: string
  readonly regime: string
  readonly factId: string
}

/**
 * Chooses the cases by the seed (more cases contain fewer) and describes the run. Methods may learn from the facts that have
 * nothing to do with a case, in the data's own order.
 */
export function makePlan(request: PlanRequest): Plan {
  const facts = chooseCases(request.data.facts, request.cases, createRandom(request.settings.seed))
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
    },
    methods: request.methods,
    probes: request.probes.map(({ name, criterion, version }) => ({ name, criterion, version })),
    regimes: [SINGLE],
    settings: { ...request.settings, text: request.text === null ? null : hashOf(request.text) },
    machine: request.machine,
    versions: request.versions,
  }
  const material = { text: request.text, facts: chooseMaterial(request.data.facts, facts) }
  return { info: { id: idOf(described), ...described }, facts, material }
}

/** The jobs of a run that have no records yet, method after method. A method whose lane failed has none left. */
export function pendingJobs(info: RunInfo, records: readonly JournalRecord[]): Job[] {
  const keyOf = ({ method, regime, factId }: Job): string => JSON.stringify([method, regime, factId])
  const done = new Set(records.flatMap((record) => (record.kind === 'case' ? [keyOf(record)] : [])))
  const failed = new Set(
    records.flatMap((record) => (record.kind === 'failure' && record.factId === null ? [record.method] : [])),
  )
  return info.methods
    .filter(({ name }) => !failed.has(name))
    .flatMap(({ name: method }) => info.regimes.map((regime) => ({ method, regime })))
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
