/**
 * Which positions a run computes. A fresh run computes all of them; a resumed one only those from a chosen position on,
 * with the keys and values of earlier positions as they were. Positions of a run stand flattened, row by row, each row
 * padded at its end to the longest.
 */
import { WhicheditError } from '../errors.ts'
import type { AnyTensor } from '../graph/session.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { Configuration } from './architecture.ts'
import { causalMask, type Past, pastName, rotaryFeeds, windowMask } from './attention.ts'
import type { Capture, Position, Read, RunRequest, TokenBatch } from './model.ts'

/** What a capture keeps: the feeds of the graph that goes on from it. */
interface CapturedState {
  readonly feeds: Readonly<Record<string, AnyTensor>>
}

/** What all rows of a run begin with, computed before. */
export interface Prefix {
  /** Tokens. */
  readonly length: number
  /** Each layer's keys and values [1, KV, P, E], by the names of their inputs. */
  readonly feeds: Readonly<Record<string, AnyTensor>>
}

/** The positions of a run and what the graph is fed for them. */
export interface Window {
  readonly feeds: Readonly<Record<string, AnyTensor>>
  /** Rows B and positions T computed. */
  readonly sizes: Readonly<Record<'B' | 'T', number>>
  /** Positions that are only attended to, if there are any. */
  readonly past: Past | null
  /** Flattened index of a position. @throws E_POSITION when it is not computed. */
  indexOf(position: Position): number
  /** The positions meant by a read. */
  positionsOf(at: Read['at']): readonly Position[]
  /** Flattened indices of the prompts' last tokens, as far as they are computed. */
  readonly promptEnds: readonly number[]
}

/** Opens the window of a request. @throws E_CONTEXT_LENGTH, E_POSITION, E_TOKENS */
export function openWindow(config: Configuration, request: RunRequest, prefix: Prefix | null = null): Window {
  const { tokens, resume } = request
  checkTokens(config, tokens)
  const from = resume?.from ?? tokens.rows.map(() => prefix?.length ?? 0)
  const T = windowLength(tokens, from)
  const indexOf = ({ row, token }: Position): number => {
    const length = tokens.rows[row]?.length ?? 0
    const first = from[row] ?? 0
    if (!Number.isInteger(token) || token < first || token >= length) {
      throw new WhicheditError('E_POSITION', { row, token, first, length })
    }
    return row * T + token - first
  }
  const ends = tokens.rows.map((row, i) => ({ row: i, token: (tokens.promptLengths?.[i] ?? row.length) - 1 }))
  return {
    feeds: resume === undefined ? freshFeeds(config, tokens, T, prefix) : (resume.state as CapturedState).feeds,
    sizes: { B: tokens.rows.length, T },
    past: prefix !== null ? 'shared' : from.some((first) => first > 0) ? 'own' : null,
    indexOf,
    positionsOf: (at) => (at === 'all' ? allPositions(tokens, from) : at),
    promptEnds: ends.filter(({ row, token }) => token >= (from[row] ?? 0)).map(indexOf),
  }
}

/** Makes the capture of a fresh run from what its graph gave. */
export function makeCapture(
  config: Configuration,
  request: RunRequest,
  outputs: Readonly<Record<string, AnyTensor>>,
): Capture | undefined {
  const { tokens, capture } = request
  if (capture === undefined) return undefined
  const { layer } = capture
  const from = capture.from ?? tokens.rows.map(() => 0)
  const fullT = windowLength(
    tokens,
    tokens.rows.map(() => 0),
  )
  const T = windowLength(tokens, from)
  const P = Math.max(...from)
  const part = (name: string) => sliceRows(floats(outputs[name]), from, fullT, T)
  const feeds: Record<string, AnyTensor> = { residual: part('residual'), inner: part('inner') }
  if (P === 0) Object.assign(feeds, positionFeeds(config, T))
  else {
    Object.assign(feeds, rotaryFeeds(config, from, T), { mask: windowMask(from, P, T) })
    for (let above = layer + 1; above < config.layers; above++) {
      feeds[pastName('keys', above)] = slicePast(floats(outputs[`keys ${above}`]), from, P)
      feeds[pastName('values', above)] = slicePast(floats(outputs[`values ${above}`]), from, P)
    }
  }
  const state: CapturedState = { feeds }
  return { layer, from, state }
}

function freshFeeds(
  config: Configuration,
  { rows }: TokenBatch,
  T: number,
  prefix: Prefix | null,
): Record<string, AnyTensor> {
  if (prefix === null) return { ids: paddedIds(rows, T), ...positionFeeds(config, T) }
  const { length: P, feeds } = prefix
  const from = rows.map(() => P)
  const ids = paddedIds(
    rows.map((row) => row.subarray(P)),
    T,
  )
  return { ids, ...feeds, ...rotaryFeeds(config, from, T), mask: windowMask(from, P, T) }
}

/** Token ids row by row, each row padded to T. */
export function paddedIds(rows: readonly ArrayLike<number>[], T: number): Tensor<'int64'> {
  const ids = new BigInt64Array(rows.length * T)
  rows.forEach((row, i) => {
    for (let t = 0; t < row.length; t++) ids[i * T + t] = BigInt(row[t] ?? 0)
  })
  return { dtype: 'int64', shape: [ids.length], data: ids }
}

function positionFeeds(config: Configuration, T: number): Record<string, AnyTensor> {
  return { ...rotaryFeeds(config, [0], T), mask: causalMask(T) }
}

function windowLength(tokens: TokenBatch, from: readonly number[]): number {
  return Math.max(...tokens.rows.map((row, i) => row.length - (from[i] ?? 0)))
}

function allPositions(tokens: TokenBatch, from: readonly number[]): Position[] {
  return tokens.rows.flatMap((ids, row) => {
    const first = from[row] ?? 0
    return Array.from({ length: Math.max(0, ids.length - first) }, (_, t) => ({ row, token: first + t }))
  })
}

// [B·fullT, W] → [B·T, W], row b from position from[b] on; what lies beyond a row's end is padding.
function sliceRows(source: Tensor, from: readonly number[], fullT: number, T: number): Tensor {
  const width = source.shape.at(-1) ?? 0
  const data = new Float32Array(from.length * T * width)
  from.forEach((first, row) => {
    const start = (row * fullT + first) * width
    const kept = Math.min(T, fullT - first) * width
    data.set(source.data.subarray(start, start + kept), row * T * width)
  })
  return tensor(data, [from.length * T, width])
}

// [B, KV, T, E] → [B, KV, P, E]: the first from[b] positions of each row, the rest masked.
function slicePast(source: Tensor, from: readonly number[], P: number): Tensor {
  const [, KV = 0, T = 0, E = 0] = source.shape
  const data = new Float32Array(from.length * KV * P * E)
  from.forEach((kept, row) => {
    for (let head = 0; head < KV; head++) {
      const start = (row * KV + head) * T * E
      data.set(source.data.subarray(start, start + kept * E), (row * KV + head) * P * E)
    }
  })
  return tensor(data, [from.length, KV, P, E])
}

function floats(value: AnyTensor | undefined): Tensor {
  if (value?.dtype !== 'float32') throw new WhicheditError('E_INTERNAL', { what: 'a captured activation is missing' })
  return value
}

function checkTokens(config: Configuration, { rows, promptLengths }: TokenBatch): void {
  if (rows.length === 0 || rows.some((row) => row.length === 0)) {
    throw new WhicheditError('E_INTERNAL', { what: 'a run needs at least one row, each with at least one token' })
  }
  const longest = Math.max(...rows.map((row) => row.length))
  if (longest > config.contextLength) {
    throw new WhicheditError('E_CONTEXT_LENGTH', { limit: config.contextLength, found: longest })
  }
  const wrong = rows.some((row) => row.some((id) => id < 0 || id >= config.vocabulary))
  const ends = promptLengths?.some((length, i) => length < 1 || length > (rows[i]?.length ?? 0))
  if (wrong || ends) throw new WhicheditError('E_INTERNAL', { what: 'token ids or prompt lengths out of range' })
}
