/**
 * The far side of a lane: a process of its own that opens the model, takes one method through its cases and tells what came
 * out. It writes no evidence; the near side (`supervise.ts`) does. It ends when told to stop or when nobody listens any more.
 */
import type { Context, ProgressEvent } from '../context.ts'
import type { Editor } from '../editors/editor.ts'
import { EDITORS } from '../editors/index.ts'
import type { ErrorValues } from '../errors.ts'
import { WhicheditError } from '../errors.ts'
import type { SessionOptions } from '../graph/session.ts'
import { loadModel, type OpenModel } from '../models/index.ts'
import type { ModelPlaces } from '../models/locate.ts'
import { PROBES } from '../probes/index.ts'
import type { Probe } from '../probes/probe.ts'
import { createRandom } from '../tensor/random.ts'
import { createMemoryGauge, readMemory } from './memory.ts'
import type { CaseReadings, JournalRecord } from './record.ts'
import { type LaneWork, runLane } from './run.ts'

/** What the near side says. */
export type ToLane =
  | { readonly kind: 'start'; readonly order: LaneOrder }
  /** Stop as soon as possible; the case in flight is dropped. */
  | { readonly kind: 'stop' }

/** What a lane is started with. */
export interface LaneOrder {
  readonly method: string
  readonly probes: readonly string[]
  /** Reference of the model, as the user gave it. */
  readonly model: string
  /** Whether it is asked through its chat template. */
  readonly chat: boolean
  /** What the model may count on: decides how its weights are used. */
  readonly memoryBytes: number
  /** How its graphs are compiled. */
  readonly session: SessionOptions
  readonly places: ModelPlaces
  readonly cacheDir: string
  readonly work: LaneWork
}

/** What the far side says. */
export type FromLane =
  | { readonly kind: 'begin'; readonly factId: string | null }
  | { readonly kind: 'step'; readonly step: ProgressEvent }
  | { readonly kind: 'readings'; readonly readings: CaseReadings }
  | { readonly kind: 'records'; readonly records: readonly JournalRecord[] }
  | { readonly kind: 'done' }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'error'; readonly code: string; readonly values: ErrorValues; readonly message: string }

/** The far side's end of the line between the two, and what only its process knows. */
export interface LaneChannel {
  /** Resolves when the message has left this process. */
  readonly send: (message: FromLane) => Promise<void>
  readonly onMessage: (take: (message: ToLane) => void) => void
  /** Calls back when the near side is gone. */
  readonly onClose: (take: () => void) => void
  /** Milliseconds from a monotonic clock. */
  readonly now: () => number
  /** Peak resident memory of this process in bytes. */
  readonly peakResidentBytes: () => number
}

/** Where a lane finds what its order names. */
export interface LaneParts {
  readonly editors: Readonly<Record<string, Editor>>
  readonly probes: Readonly<Record<string, Probe>>
  readonly openModel: (order: LaneOrder, ctx: Context) => Promise<OpenModel>
}

const REAL_PARTS: LaneParts = {
  editors: EDITORS,
  probes: PROBES,
  openModel: ({ model, chat, memoryBytes, session, places }, ctx) =>
    loadModel(model, places, ctx, { ...session, chat, memoryBytes }),
}

/** Waits for an order, carries it out and tells how it ended. Throws nothing: an error is told like anything else. */
export async function serveLane(channel: LaneChannel, parts: LaneParts = REAL_PARTS): Promise<void> {
  const stop = new AbortController()
  const order = await new Promise<LaneOrder | null>((resolve) => {
    channel.onClose(() => {
      stop.abort()
      resolve(null)
    })
    channel.onMessage((message) => {
      if (message.kind === 'start') resolve(message.order)
      else stop.abort()
    })
  })
  if (order === null) return
  try {
    await carryOut(order, { channel, parts, signal: stop.signal })
    await channel.send({ kind: 'done' })
  } catch (error) {
    // Nobody is there to be told when the line was closed.
    await channel.send(stop.signal.aborted ? { kind: 'stopped' } : describeError(error)).catch(() => {})
  }
}

interface Serving {
  readonly channel: LaneChannel
  readonly parts: LaneParts
  readonly signal: AbortSignal
}

async function carryOut(order: LaneOrder, { channel, parts, signal }: Serving): Promise<void> {
  const ctx: Context = {
    random: createRandom(order.work.seed),
    signal,
    progress: createThrottle(channel),
    cacheDir: order.cacheDir,
    now: channel.now,
  }
  const memory = createMemoryGauge(readMemory(channel.peakResidentBytes))
  const model = await parts.openModel(order, ctx)
  try {
    const sink = {
      commit: (records: readonly JournalRecord[]) => channel.send({ kind: 'records', records }),
      keepReadings: (readings: CaseReadings) => channel.send({ kind: 'readings', readings }),
      begin: (factId: string | null) => void channel.send({ kind: 'begin', factId }).catch(() => {}),
    }
    const editor = find(parts.editors, order.method)
    const probes = order.probes.map((name) => find(parts.probes, name))
    await runLane({ model, editor, probes, memory, sink }, order.work, ctx)
  } finally {
    memory.stop()
    await model.close()
  }
}

/** Often enough to look alive; a message more costs time that is measured. */
const STEP_MS = 200

function createThrottle(channel: LaneChannel): (step: ProgressEvent) => void {
  let sentAt = Number.NEGATIVE_INFINITY
  return (step) => {
    if (channel.now() - sentAt < STEP_MS) return
    sentAt = channel.now()
    channel.send({ kind: 'step', step }).catch(() => {})
  }
}

function find<T>(registry: Readonly<Record<string, T>>, name: string): T {
  const found = Object.hasOwn(registry, name) ? registry[name] : undefined
  if (found === undefined) throw new WhicheditError('E_INTERNAL', { what: `an order for the unknown ${name}` })
  return found
}

function describeError(error: unknown): FromLane {
  if (error instanceof WhicheditError) {
    return { kind: 'error', code: error.code, values: error.values, message: error.message }
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { kind: 'error', code: 'E_INTERNAL', values: { what: message }, message }
}
