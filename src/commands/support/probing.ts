/** Probing, from what a user says to evidence on disk: what `probe` and `advise` have in common. */
import { readFile } from 'node:fs/promises'
import { arch, cpus, platform, totalmem } from 'node:os'
import { join } from 'node:path'
import type { Context } from '../../context.ts'
import type { Editor } from '../../editors/editor.ts'
import { loadHparams } from '../../editors/hparams.ts'
import { WhicheditError } from '../../errors.ts'
import { type LaneEvent, type LanesEnd, runLanes } from '../../evidence/lanes.ts'
import { CHAT_NEW_TOKENS, ITEMS_PER_PROBE, MAX_NEW_TOKENS, makePlan, type Plan } from '../../evidence/plan.ts'
import type { MachineInfo, MethodInfo } from '../../evidence/record.ts'
import { RunStore, type StoredRun } from '../../evidence/store.ts'
import { readFacts } from '../../facts/index.ts'
import { inChat } from '../../models/chat-template.ts'
import { findEncoder, openModel } from '../../models/index.ts'
import { findModel } from '../../models/locate.ts'
import { PROBES } from '../../probes/index.ts'
import { Interruption } from './failure.ts'
import { modelPlaces, RUNS_FOLDER } from './places.ts'

/** What is to be probed. */
export interface ProbingRequest {
  readonly model: string
  /** Ask through the model's chat template. */
  readonly chat?: boolean
  readonly facts: string
  readonly methods: readonly Editor[]
  readonly cases: number
  readonly seed: number
  /** A file of plain text that preparations learn from, documents separated by empty lines. */
  readonly text?: string | undefined
  readonly fresh?: boolean
  readonly retryErrors?: boolean
}

/** Who watches, and where the program lies. */
export interface ProbingHost {
  /** The package's folder and version. */
  readonly config: { readonly root: string; readonly version: string }
  /** Called once, when the run is open and before any work. */
  readonly onOpen: (run: StoredRun) => void
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
  const plan = await planProbing(request, ctx, host)
  const { chat = false, fresh = false, retryErrors = false } = request
  const store = await RunStore.open(RUNS_FOLDER, plan.info, {
    owner: { pid: process.pid, isAlive },
    fresh,
    retryErrors,
  })
  try {
    host.onOpen(store)
    const { isStopped, done, total } = await runLanes({
      plan,
      store,
      model: request.model,
      chat,
      places,
      cacheDir: ctx.cacheDir,
      entry: join(host.config.root, 'bin', 'lane.js'),
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

async function planProbing(request: ProbingRequest, ctx: Context, { config }: ProbingHost): Promise<Plan> {
  const { facts, format } = await readFacts(request.facts)
  const text = request.text === undefined ? null : await readDocuments(request.text)
  const files = await findModel(request.model, ctx, modelPlaces())
  ctx.signal.throwIfAborted()
  const model = openModel(request.chat ? inChat(files) : files)
  try {
    const { id, name, config: shape } = model
    const encoder = await findEncoder(ctx, modelPlaces())
    const methods = await Promise.all(
      request.methods.map(async (editor): Promise<MethodInfo> => {
        const hparams = await loadHparams(editor, shape)
        const { name, title, family, version, needs } = editor
        const searches = needs.includes('sentence-vectors')
        return { name, title, family, version, hparams, ...(searches ? { encoder: encoder?.fingerprint ?? null } : {}) }
      }),
    )
    const { architecture, layers, width } = shape
    return makePlan({
      model: { id, name, architecture, layers, width },
      data: { name: request.facts, format: format.name, facts },
      methods,
      probes: Object.values(PROBES),
      cases: request.cases,
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
  } finally {
    await model.close()
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

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // A process of somebody else's is there, too.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

function interruption({ reason }: AbortSignal, done: number, total: number): Interruption {
  const signal = reason instanceof Interruption ? reason.signal : 'SIGTERM'
  return new Interruption(signal, `Saved ${done} of ${total} cases; run the same command to go on.`)
}
