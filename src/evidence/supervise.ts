/**
 * The near side of a lane: starts its process, takes what it sends, and makes sure that it ends. A lane that the system kills
 * (most often for lack of memory) takes nothing with it but the case it was at.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { ERRORS, type ErrorCode, WhicheditError } from '../errors.ts'
import type { FromLane, LaneOrder, ToLane } from './lane.ts'

/** How a lane ended. */
export type LaneEnd =
  | { readonly kind: 'done' }
  | { readonly kind: 'stopped' }
  /** `during`: the fact whose case was in flight, null for the preparation. */
  | { readonly kind: 'died'; readonly how: string; readonly hint: string; readonly during: string | null }

/**
 * What a lane that died left undone, as the failure that is recorded.
 * @param title of the method
 */
export function describeLoss(title: string, { how, hint, during }: LaneEnd & { kind: 'died' }): WhicheditError {
  const stage = during === null ? 'its preparation' : `fact ${during}`
  return new WhicheditError('E_LANE_DIED', { title, how, hint, stage })
}

/** What the near side does with what a lane sends, and when it stops the lane. */
export interface Supervision {
  /** File that the lane's process runs. */
  readonly entry: string
  readonly signal: AbortSignal
  /** Takes a message; the next one waits until it is done. An error stops the lane and is thrown. */
  readonly take: (message: FromLane) => Promise<void>
}

/** A lane told to stop may take so long to do it by itself: what it is computing cannot be interrupted everywhere. */
const STOP_MS = 2_000
/** A lane that was ended politely may take so long to go. */
const TERMINATE_MS = 5_000
/** Whoever ends all processes at once may reach the lane a moment before us: then its death is no outcome of the method. */
const DEATH_PAUSE_MS = 500
/** How much of what a process wrote before it died is kept. */
const TAIL_LENGTH = 2_000
/** What the kernel (and V8, out of heap) ends a process with: an outcome of the method, not the user's wish. */
const KILLED: ReadonlySet<string> = new Set(['SIGKILL', 'SIGABRT', 'SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP'])

/**
 * Runs a lane in a process of its own until it is done, stopped or dead.
 * @throws what the lane or `take` threw; E_LANE_STOPPED when somebody else stopped the lane
 */
export async function superviseLane(order: LaneOrder, { entry, signal, take }: Supervision): Promise<LaneEnd> {
  if (signal.aborted) return { kind: 'stopped' }
  const child = fork(entry, { serialization: 'advanced', stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  const tail = keepTail(child)
  const ending = endOf(child)
  let during: string | null = null
  let last: FromLane | undefined
  let failure: { error: unknown } | undefined
  let queue = Promise.resolve()
  const stop = (): void => void stopChild(child, ending)
  const takeNext = async (message: FromLane): Promise<void> => {
    if (failure !== undefined) return
    try {
      await take(message)
    } catch (error) {
      failure = { error }
      stop()
    }
  }
  child.on('message', (message: FromLane) => {
    last = message
    if (message.kind === 'begin') during = message.factId
    queue = queue.then(() => takeNext(message))
  })
  signal.addEventListener('abort', stop, { once: true })
  say(child, { kind: 'start', order })
  const exit = await ending
  signal.removeEventListener('abort', stop)
  await queue
  if (failure !== undefined) throw failure.error
  if (last?.kind === 'done') return { kind: 'done' }
  if (last?.kind !== 'error' && !signal.aborted) await sleep(DEATH_PAUSE_MS)
  if (signal.aborted) return { kind: 'stopped' }
  if (last?.kind === 'error') throw rebuildError(last)
  return describeDeath(exit, { order, during, tail: tail() })
}

interface Exit {
  readonly code: number | null
  readonly signal: string | null
}

function endOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve, reject) => {
    // After the last message, unlike `exit`.
    child.on('close', (code, signal) => resolve({ code, signal }))
    child.on('error', reject)
  })
}

function keepTail(child: ChildProcess): () => string {
  let text = ''
  child.stderr?.on('data', (piece: Buffer) => {
    text = (text + piece.toString()).slice(-TAIL_LENGTH)
  })
  return () => text.trim()
}

/** A message to a process that may be gone already. */
function say(child: ChildProcess, message: ToLane): void {
  if (child.connected) child.send(message, () => {})
}

async function stopChild(child: ChildProcess, ending: Promise<Exit>): Promise<void> {
  say(child, { kind: 'stop' })
  const terminate = setTimeout(() => child.kill('SIGTERM'), STOP_MS)
  const kill = setTimeout(() => child.kill('SIGKILL'), STOP_MS + TERMINATE_MS)
  await ending.catch(() => {})
  clearTimeout(terminate)
  clearTimeout(kill)
}

function rebuildError({ code, values, message }: FromLane & { kind: 'error' }): WhicheditError {
  if (isErrorCode(code)) return new WhicheditError(code, values)
  return new WhicheditError('E_INTERNAL', { what: message })
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code)
}

function describeDeath(exit: Exit, at: { order: LaneOrder; during: string | null; tail: string }): LaneEnd {
  const { order, during, tail } = at
  const how = exit.signal ?? `exit code ${exit.code}`
  // 128 and more: a shell's or a container's way of telling a signal.
  if (exit.signal === null ? (exit.code ?? 0) <= 128 : !KILLED.has(exit.signal)) {
    if (exit.signal !== null) throw new WhicheditError('E_LANE_STOPPED', { title: order.method, how })
    throw new WhicheditError('E_INTERNAL', { what: `the lane of ${order.method} ended with ${how}: ${tail}` })
  }
  const isMemory = exit.signal === 'SIGKILL' || exit.code === 137 || /out of memory|heap limit|bad_alloc/i.test(tail)
  return { kind: 'died', how, hint: isMemory ? ', most likely for lack of memory' : '', during }
}
