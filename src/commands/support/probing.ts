/** Probing, from what a user says to evidence on disk: what `probe` and `advise` have in common. */
import { readFile } from 'node:fs/promises'
import { arch, availableParallelism, cpus, platform, totalmem } from 'node:os'
import { join } from 'node:path'
import type { Context } from '../../context.ts'
import type { Editor, Hparams } from '../../editors/editor.ts'
import { settleHparams } from '../../editors/hparams.ts'
import { WhicheditError } from '../../errors.ts'
import { type LaneEvent, type LanesEnd, runLanes } from '../../evidence/lanes.ts'
import { estimateMemory } from '../../evidence/memory-estimate.ts'
import {
  CHAT_NEW_TOKENS,
  ITEMS_PER_PROBE,
  MAX_NEW_TOKENS,
  makePlan,
  type Plan,
  pendingJobs,
} from '../../evidence/plan.ts'
import { type PreparedMethod, prepareMethods } from '../../evidence/prepare-methods.ts'
import type { MachineInfo, MethodInfo } from '../../evidence/record.ts'
import { takeShippedPreparations } from '../../evidence/shipped-preparations.ts'
import { type Sharing, shareMachine } from '../../evidence/side-by-side.ts'
import { readSites, type StoredSites, type TunedModel } from '../../evidence/sites.ts'
import { RunStore, type StoredRun } from '../../evidence/store.ts'
import type { Fact } from '../../facts/fact.ts'
import { readFacts, readLearningFacts } from '../../facts/index.ts'
import { inChat } from '../../models/chat-template.ts'
import { type Footprint, measureWeights } from '../../models/footprint.ts'
import { findEncoder, openNetwork } from '../../models/index.ts'
import { describeModel, type FoundModel } from '../../models/locate.ts'
import { noticeOf, shippedPreparations } from '../../models/shipped.ts'
import { PROBES } from '../../probes/index.ts'
import type { Probe } from '../../probes/probe.ts'
import { Interruption } from './failure.ts'
import { type Fit, type Room, reasonNotToFit } from './fit.ts'
import { machineMemory, memoryForModel } from './machine-memory.ts'
import { modelPlaces, RUNS_FOLDER, SITES_FOLDER } from './places.ts'
import { describeSites } from './sites-table.ts'

/** What is to be probed. */
export interface ProbingRequest {
  readonly model: string
  /** Ask through the model's chat template. */
  readonly chat?: boolean
  readonly facts: string
  readonly methods: readonly Editor[]
  readonly cases: number
  /** `single`, `batch-16`, `stream-16`: how the edits come that a model holds when it is asked. */
  readonly regimes: readonly string[]
  readonly seed: number
  /** A file of plain text that preparations learn from, documents separated by empty lines. */
  readonly text?: string | undefined
  /** What a method may take of memory; null: what there is. */
  readonly maxMemory?: number | null
  readonly fresh?: boolean
  readonly retryErrors?: boolean
}

/** Who watches, and where the program lies. */
export interface ProbingHost {
  /** The package's folder and version. */
  readonly config: { readonly root: string; readonly version: string }
  /** Called once, when the run is open and before any work, with what people should know of it. */
  readonly onOpen: (run: StoredRun, notes: readonly string[]) => void
  readonly onEvent: (event: LaneEvent) => void
}

/** A run that is done. */
export interface Probed extends StoredRun, Omit<LanesEnd, 'isStopped'> {}

/**
 * Measures methods on a model, or goes on with the same measurement where it stopped.
 * @throws an Interruption that tells how much is kept, when stopped; what the files, the model or the disk raise
 */
export async function probe(request: ProbingRequest, ctx: Context, host: ProbingHost): Promise<Probed> {
  const places = modelPlaces()
  const memoryBytes = memoryForModel(request.maxMemory ?? null)
  const { plan, unfit, sharing, notes: remarks } = await planProbing(request, ctx, { ...host, memoryBytes })
  const { chat = false, fresh = false, retryErrors = false } = request
  const store = await RunStore.open(RUNS_FOLDER, plan.info, {
    owner: { pid: process.pid, isAlive },
    fresh,
    retryErrors,
  })
  try {
    await leaveOut(store, unfit)
    host.onOpen(store, remarks)
    const { isStopped, done, total } = await runLanes({
      plan,
      store,
      model: request.model,
      chat,
      memoryBytes,
      places,
      cacheDir: ctx.cacheDir,
      sharing,
      entry: laneEntry(host.config),
      signal: ctx.signal,
      report: host.onEvent,
    })
    if (isStopped) throw interruption(ctx.signal, done, total)
    const { folder, info, records, notes } = store
    return { folder, info, records, notes, done, total }
  } finally {
    await store.close()
  }
}

/** Who watches preparations, and where the program lies. */
export type PreparingHost = Pick<ProbingHost, 'config' | 'onEvent'>

/**
 * Makes what methods prepare, as probing the same would, and keeps it in the cache.
 * @throws an Interruption when stopped; what the files, the model or the disk raise
 */
export async function prepare(request: ProbingRequest, ctx: Context, host: PreparingHost): Promise<PreparedMethod[]> {
  const memoryBytes = memoryForModel(request.maxMemory ?? null)
  const { plan, unfit } = await planProbing(request, ctx, { ...host, memoryBytes })
  return prepareMethods({
    plan,
    unfit,
    model: request.model,
    chat: request.chat ?? false,
    memoryBytes,
    places: modelPlaces(),
    cacheDir: ctx.cacheDir,
    entry: laneEntry(host.config),
    signal: ctx.signal,
    report: host.onEvent,
  })
}

/** The file that a lane's process runs. */
export function laneEntry({ root }: ProbingHost['config']): string {
  return join(root, 'bin', 'lane.js')
}

/** A plan, and what cannot be part of it. */
export interface Probing {
  readonly plan: Plan
  /** Methods that do not fit into memory, and why. */
  readonly unfit: ReadonlyMap<string, WhicheditError>
  readonly sharing: Sharing
  readonly notes: readonly string[]
}

async function planProbing(
  request: ProbingRequest,
  ctx: Context,
  { config, memoryBytes }: Pick<ProbingHost, 'config'> & { readonly memoryBytes: number },
): Promise<Probing> {
  const subject = await findSubject(request, ctx, memoryBytes)
  const { settings, spent, notes } = await settleMethods(request.methods, subject)
  const probing = await planMethods({ subject, settings, probes: Object.values(PROBES), spent }, ctx, config)
  return { ...probing, notes: [...probing.notes, ...notes] }
}

/** What is asked about which model, found and read: nothing is loaded yet. */
export interface Subject {
  readonly request: ProbingRequest
  readonly facts: readonly Fact[]
  readonly format: string
  readonly text: readonly string[] | null
  readonly found: FoundModel
  readonly footprint: Footprint
}

/** Finds the model of a request and reads its facts. @throws what the files raise */
export async function findSubject(request: ProbingRequest, ctx: Context, memoryBytes: number): Promise<Subject> {
  const { facts, format } = await readFacts(request.facts)
  const text = request.text === undefined ? null : await readDocuments(request.text)
  const found = await describeModel(request.model, ctx, modelPlaces(), { memoryBytes })
  const { network, weights } = openNetwork(found.config, found.weights)
  const footprint = { config: network.config, ...measureWeights(weights) }
  return { request, facts, format: format.name, text, found, footprint }
}

/** The model of a subject, as layers that were found for it know it. */
export function tunedModel({
  request,
  found,
  footprint,
}: Pick<Subject, 'request' | 'found' | 'footprint'>): TunedModel {
  const { name, fingerprint } = found
  return { name, fingerprint, chat: request.chat ?? false, layers: footprint.config.layers }
}

/** Settings of methods, and what is to be known of those that were found here. */
interface Settled {
  readonly settings: ReadonlyMap<Editor, Hparams>
  /** Subjects that layers were chosen by: methods are tried on others. */
  readonly spent: readonly string[]
  readonly notes: readonly string[]
}

/** The settings of methods for a model, with the layers that were found for it. @throws E_SITES, E_SETTINGS */
async function settleMethods(methods: readonly Editor[], subject: Subject): Promise<Settled> {
  const settings = new Map<Editor, Hparams>()
  const spent: string[] = []
  const notes: string[] = []
  for (const editor of methods) {
    const stored = await readSites(SITES_FOLDER, tunedModel(subject), editor)
    const sites = stored?.isCurrent ? stored.found.sites : null
    const { hparams, origins } = await settleHparams(editor, subject.footprint.config, { sites })
    settings.set(editor, hparams)
    if (stored === null) continue
    const isUsed = Object.values(origins).includes('found')
    if (isUsed) spent.push(...stored.found.facts.subjects)
    notes.push(...describeStored(editor, stored, isUsed))
  }
  return { settings, spent, notes }
}

function describeStored({ name }: Editor, { found, isCurrent }: StoredSites, isUsed: boolean): string[] {
  if (isUsed) return [`${name}: ${describeSites(found.sites)}, found on ${found.sweptAt.slice(0, 10)}.`]
  return isCurrent ? [] : [`${name}: layers found for an older version of it are not used; \`models tune\` again.`]
}

/** What is to be planned. */
export interface MethodsToPlan {
  readonly subject: Subject
  readonly settings: ReadonlyMap<Editor, Hparams>
  readonly probes: readonly Probe[]
  /** Subjects that no case may be about. */
  readonly spent: readonly string[]
}

/**
 * Plans methods with their settings on a subject, after its files were made ready.
 * @throws E_MEMORY where no method fits; what the files raise
 */
export async function planMethods(
  { subject, settings, probes, spent }: MethodsToPlan,
  ctx: Context,
  config: ProbingHost['config'],
): Promise<Probing> {
  const { request, facts, format, text, found, footprint } = subject
  const editors = [...settings.keys()]
  const { availableBytes } = machineMemory()
  const needs = [...settings].map(([editor, hparams]): Need => {
    const { name, title } = editor
    return { name, title, ownBytes: estimateMemory(editor, footprint, hparams).peakBytes }
  })
  const unfit = findUnfit(needs, footprint.weightsBytes, { availableBytes, limitBytes: request.maxMemory ?? null })
  const sharing = shareMachine({
    weightsBytes: footprint.weightsBytes,
    laneBytes: Math.max(...needs.map(({ ownBytes }) => ownBytes)),
    cores: availableParallelism(),
    availableBytes,
  })
  const files = await found.open()
  const shipped = shippedPreparations(request.model)
  if (shipped !== null) await takeShippedPreparations(shipped, ctx.cacheDir)
  ctx.signal.throwIfAborted()
  const encoder = editors.some(isSearching) ? await findEncoder(ctx, modelPlaces()) : null
  const methods = [...settings].map(([editor, hparams]): MethodInfo => {
    const { name, title, family, version } = editor
    const searches = isSearching(editor)
    return { name, title, family, version, hparams, ...(searches ? { encoder: encoder?.fingerprint ?? null } : {}) }
  })
  const { architecture, layers, width } = footprint.config
  const { name, fingerprint: id } = request.chat ? inChat(files) : files
  const notice = noticeOf(found.config)
  const plan = makePlan({
    model: { id, name, architecture, layers, width, ...(notice === null ? {} : { notice }) },
    data: { name: request.facts, format, facts, learning: await readLearningFacts(request.facts), spent },
    methods,
    probes,
    cases: request.cases,
    regimes: request.regimes,
    settings: {
      seed: request.seed,
      itemsPerProbe: ITEMS_PER_PROBE,
      maxNewTokens: request.chat ? CHAT_NEW_TOKENS : MAX_NEW_TOKENS,
    },
    text,
    machine: describeMachine(),
    versions: { whichedit: config.version, node: process.versions.node },
    createdAt: new Date().toISOString(),
  })
  const { usedAs, because } = found.use
  const notes = [
    ...(notice === null ? [] : [notice]),
    ...(because === null ? [] : [`Weights are kept as ${usedAs}: ${because}.`]),
    ...[...unfit.values()].map(({ message }) => `Left out: ${message}`),
  ]
  return { plan, unfit, sharing, notes }
}

/** Whether a method finds sentences by their vectors. */
export function isSearching({ needs }: Editor): boolean {
  return needs.includes('sentence-vectors')
}

/** What a method takes besides the weights, at most. */
type Need = Omit<Fit, 'weightsBytes'> & { readonly name: string }

/** The methods that do not fit. @throws E_MEMORY where none does: the reason of the one that takes least */
function findUnfit(needs: readonly Need[], weightsBytes: number, room: Room): ReadonlyMap<string, WhicheditError> {
  const judged = needs.map((need) => ({ ...need, reason: reasonNotToFit({ ...need, weightsBytes }, room) }))
  const unfit = judged.flatMap(({ name, reason }): [string, WhicheditError][] => (reason ? [[name, reason]] : []))
  const [least] = judged.toSorted((a, b) => a.ownBytes - b.ownBytes)
  if (unfit.length === judged.length && least?.reason) throw least.reason
  return new Map(unfit)
}

/** Keeps why methods are left out, as of any that cannot be prepared; the others run. */
async function leaveOut(store: RunStore, unfit: ReadonlyMap<string, WhicheditError>): Promise<void> {
  for (const regime of store.info.regimes) {
    const jobs = pendingJobs(store.info, store.records).filter((job) => job.regime === regime)
    const pending = new Set(jobs.map(({ method }) => method))
    for (const [method, { code, message }] of unfit) {
      if (!pending.has(method)) continue
      await store.append([{ method, regime, kind: 'failure', factId: null, stage: 'prepare', code, message }])
    }
  }
}

/** The documents of a text file: what stands between empty lines. @throws E_TEXT */
export async function readDocuments(file: string): Promise<string[]> {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file))
  } catch (cause) {
    const found = cause instanceof TypeError ? 'something else' : cause instanceof Error ? cause.message : String(cause)
    throw new WhicheditError('E_TEXT', { file, found }, { cause })
  }
  const documents = text.split(/\r?\n[^\S\n]*\r?\n/).flatMap((part) => (part.trim() === '' ? [] : [part.trim()]))
  if (documents.length === 0) throw new WhicheditError('E_TEXT', { file, found: 'no text' })
  return documents
}

function describeMachine(): MachineInfo {
  const all = cpus()
  const cpu = all[0]?.model.trim() ?? 'unknown'
  return { platform: platform(), arch: arch(), cpu, cores: all.length, memoryBytes: totalmem() }
}

/** Whether a process is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // A process of somebody else's is there, too.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** What a stopped run is told as. */
export function interruption({ reason }: AbortSignal, done: number, total: number): Interruption {
  const signal = reason instanceof Interruption ? reason.signal : 'SIGTERM'
  return new Interruption(signal, `Saved ${done} of ${total} cases; run the same command to go on.`)
}
