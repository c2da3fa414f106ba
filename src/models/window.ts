/**
 * Which positions a run computes, and what its graph is fed for them. A fresh run computes all positions; a resumed one only
 * those from a chosen position on, with the keys and values of earlier positions as they were. Positions of a run stand
 * flattened, row by row, each row padded at its end to the longest.
 */
import { WhicheditError } from '../errors.ts'
import type { AnyTensor } from '../graph/session.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { Layers, Network } from './architecture.ts'
import { maskName, type Past } from './attention.ts'
import type { ModelConfig, Position, Read, RunRequest, Site, TokenBatch } from './model.ts'
import {
  angleFeeds,
  bucketFeed,
  causalMask,
  inputMask,
  type MaskPlaces,
  tokenPositions,
  windowMask,
  windowsOf,
} from './positions.ts'
import type { PromptPlaces } from './scope.ts'

/** What a capture keeps: the feeds of the graph that goes on from it. */
export interface CapturedState {
  readonly feeds: Readonly<Record<string, AnyTensor>>
  /** By layer: what positions before those kept add to the activations of side memories there [B, n]. */
  readonly activations: ReadonlyMap<number, Tensor>
}

/** What all rows of a run begin with, computed before. */
export interface Prefix {
  /** Tokens. */
  readonly length: number
  /** Each layer's keys and values [1, KV, P, E], by the names of their inputs. */
  readonly feeds: Readonly<Record<string, AnyTensor>>
}

/** What a window depends on besides the request. */
export interface WindowOptions {
  /** What all rows begin with. */
  readonly prefix?: Prefix | null
  /** Each prompt is computed to its end, whatever is asked for. */
  readonly wholePrompts?: boolean
}

/** The positions of a run and what the graph is fed for them. */
export interface Window extends PromptPlaces {
  readonly feeds: Readonly<Record<string, AnyTensor>>
  /** Rows B, positions T computed, and the length I of an encoder's input. */
  readonly sizes: Readonly<Record<'B' | 'T' | 'I', number>>
  /** Positions that are only attended to, if there are any. */
  readonly past: Past | null
  /** Flattened index of a position at a site. @throws E_POSITION when it is not computed there. */
  indexOf(position: Position, site: Site): number
  /** The positions meant by a read at a site. */
  positionsOf(at: Read['at'], site: Site): readonly Position[]
}

/** The positions of one stack of layers: those of each row from `first` to `end` (exclusive), padded to a length. */
interface Stack {
  readonly first: readonly number[]
  readonly end: readonly number[]
  readonly length: number
}

/** Opens the window of a request. @throws E_CONTEXT_LENGTH, E_POSITION, E_TOKENS */
export function openWindow(network: Network, request: RunRequest, options: WindowOptions = {}): Window {
  const { config } = network
  const { prefix = null } = options
  const { tokens, resume } = request
  checkTokens(config, tokens)
  const { encoder, decoder } = stacksOf(config, request, options)
  const stackAt = (layer: number): Stack => (encoder !== null && layer < config.encoderLayers ? encoder : decoder)
  const stackOf = (site: Site): Stack => (site === 'logits' ? decoder : stackAt(layerOf(site)))
  const state = resume?.state as CapturedState | undefined
  const prompts = promptLengths(tokens)
  const ends = prompts.map((length, row) => ({ row, token: length - 1 }))
  const fresh = () =>
    encoder === null
      ? freshFeeds(network, tokens, decoder, prefix)
      : encoderDecoderFeeds(network, tokens, encoder, decoder)
  const isSpread = resume !== undefined && resume.from.length < tokens.rows.length
  const resumed = (feeds: CapturedState['feeds']) =>
    isSpread ? { ...spreadFeeds(feeds, tokens.rows.length), ...placesOf(network, tokens, encoder, decoder) } : feeds
  const pastOwn = encoder === null && decoder.first.some((first) => first > 0)
  return {
    feeds: state === undefined ? fresh() : resumed(state.feeds),
    sizes: { B: tokens.rows.length, T: decoder.length, I: encoder?.length ?? 0 },
    past: prefix !== null || (pastOwn && isSpread) ? 'shared' : pastOwn ? 'own' : null,
    indexOf: (position, site) => indexIn(stackOf(site), position),
    positionsOf: (at, site) => (at === 'all' ? allPositions(stackOf(site)) : at),
    promptEnds(layer) {
      const stack = stackAt(layer)
      return ends
        .filter(({ row, token }) => token >= (stack.first[row] ?? 0) && token < (stack.end[row] ?? 0))
        .map((position) => indexIn(stack, position))
    },
    promptShares(layer) {
      const start = encoder !== null && layer >= config.encoderLayers ? (length: number) => length - 1 : () => 0
      return {
        shares: shareOut(
          stackAt(layer),
          prompts.map((length) => [start(length), length]),
        ),
        earlier: state?.activations.get(layer) ?? null,
      }
    },
  }
}

/** The layer of a site's name. */
export function layerOf(site: Site): number {
  return Number(site.slice(site.indexOf('.') + 1))
}

/**
 * A decoder-only model computes a row's positions from a chosen one on. An encoder-decoder's encoder computes the prompt's,
 * its decoder those that predict the answer: the prompt's last and the answer's own.
 */
function stacksOf(
  { encoderLayers }: ModelConfig,
  request: RunRequest,
  { prefix = null, wholePrompts = false }: WindowOptions,
): { encoder: Stack | null; decoder: Stack } {
  const { tokens, resume } = request
  const ends = tokens.rows.map((row) => row.length)
  if (encoderLayers === 0) {
    const first = tokens.rows.map((_, row) => resume?.from[row] ?? resume?.from[0] ?? prefix?.length ?? 0)
    const least = wholePrompts ? promptLengths(tokens) : first.map((from) => from + 1)
    return { encoder: null, decoder: stack(first, neededEnds(request, least, ends) ?? ends) }
  }
  const prompts = promptLengths(tokens)
  return {
    encoder: stack(
      prompts.map(() => 0),
      prompts,
    ),
    decoder: stack(
      prompts.map((length) => length - 1),
      ends,
    ),
  }
}

/**
 * Where only activations at some positions are read, tokens after the last of them cannot change the answer, and each row ends there,
 * but has at least so many tokens: null where that is not so.
 */
function neededEnds(
  { read, write, loss, capture, resume }: RunRequest,
  least: readonly number[],
  rowEnds: readonly number[],
): number[] | null {
  const isPlain = write === undefined && loss === undefined && capture === undefined && resume === undefined
  if (!isPlain || read === undefined) return null
  const ends = [...least]
  for (const { at } of read) {
    if (at === 'all') return null
    for (const { row, token } of at) if (token < (rowEnds[row] ?? 0)) ends[row] = Math.max(ends[row] ?? 0, token + 1)
  }
  return ends
}

/** A single row's state for several rows; its keys and values are fed once, as all rows attend to the same. */
function spreadFeeds(feeds: CapturedState['feeds'], rows: number): CapturedState['feeds'] {
  const spread = Object.entries(feeds).filter(([name]) => SPREAD.includes(name))
  return { ...feeds, ...Object.fromEntries(spread.map(([name, value]) => [name, repeatRows(value, rows)])) }
}

// What a capture keeps of each position.
const SPREAD: readonly string[] = ['residual', 'inner', 'mlp-input', 'encoded']

function repeatRows({ dtype, shape, data }: AnyTensor, times: number): AnyTensor {
  if (dtype !== 'float32') throw new WhicheditError('E_INTERNAL', { what: 'a captured activation is not of float32' })
  const repeated = new Float32Array(data.length * times)
  for (let i = 0; i < times; i++) repeated.set(data, i * data.length)
  return tensor(repeated, [(shape[0] ?? 0) * times, ...shape.slice(1)])
}

/** What says where the positions of a resumed run stand. */
function placesOf(
  network: Network,
  tokens: TokenBatch,
  encoder: Stack | null,
  decoder: Stack,
): Record<string, AnyTensor> {
  if (encoder !== null) return encoderDecoderFeeds(network, tokens, encoder, decoder)
  return placeFeeds(network, decoder.first, decoder.length, decoder.first[0])
}

function stack(first: readonly number[], end: readonly number[]): Stack {
  return { first, end, length: Math.max(...end.map((last, row) => last - (first[row] ?? 0))) }
}

/** For each row of a stack, equal shares of 1 at the positions `[from, to)` meant, as far as they are computed [B, T]. */
function shareOut({ first, end, length }: Stack, meant: readonly (readonly [number, number])[]): Tensor {
  const data = new Float32Array(first.length * length)
  for (const [row, [from, to]] of meant.entries()) {
    const [start = 0, stop = 0] = [first[row], end[row]]
    data.fill(1 / (to - from), row * length + Math.max(from - start, 0), row * length + Math.min(to, stop) - start)
  }
  return tensor(data, [first.length, length])
}

function indexIn({ first, end, length }: Stack, { row, token }: Position): number {
  const [from = 0, to = 0] = [first[row], end[row]]
  if (!Number.isInteger(token) || token < from || token >= to) {
    throw new WhicheditError('E_POSITION', { row, token, first: from, length: to })
  }
  return row * length + token - from
}

function allPositions({ first, end }: Stack): Position[] {
  return first.flatMap((from, row) =>
    Array.from({ length: Math.max(0, (end[row] ?? 0) - from) }, (_, t) => ({ row, token: from + t })),
  )
}

function promptLengths({ rows, promptLengths: given }: TokenBatch): readonly number[] {
  return rows.map((row, i) => given?.[i] ?? row.length)
}

function freshFeeds(
  network: Network,
  { rows }: TokenBatch,
  { length: T, first, end }: Stack,
  prefix: Prefix | null,
): Record<string, AnyTensor> {
  const P = prefix?.length ?? 0
  const ids = paddedIds(
    rows.map((row, i) => row.subarray(P, end[i])),
    T,
  )
  return { ids, ...prefix?.feeds, ...placeFeeds(network, first, T, P) }
}

/** The decoder is fed its start token and then the answer's. */
function encoderDecoderFeeds(
  network: Network,
  { rows }: TokenBatch,
  encoder: Stack,
  decoder: Stack,
): Record<string, AnyTensor> {
  const start = network.decoderStart ?? 0
  const prompts = rows.map((row, i) => row.subarray(0, encoder.end[i]))
  const answers = rows.map((row, i) => [start, ...row.subarray(encoder.end[i])])
  return {
    ids: paddedIds(answers, decoder.length),
    ...inputFeeds(network, prompts),
    ...placeFeeds(network, [0], decoder.length),
  }
}

/** What an encoder is fed for the tokens of its input. */
export function inputFeeds(network: Layers, prompts: readonly Int32Array[]): Record<string, AnyTensor> {
  const lengths = prompts.map((prompt) => prompt.length)
  const I = Math.max(...lengths)
  const relative = network.attention[0]?.relative
  return {
    'input-ids': paddedIds(prompts, I),
    'input-positions': tokenPositions(
      prompts.map(() => 0),
      I,
    ),
    'input-mask': inputMask(lengths),
    ...(relative ? { 'input-buckets': bucketFeed(relative, { start: 0, T: I, S: I, bothWays: true }) } : {}),
  }
}

/** Token ids row by row, each row padded to T. */
export function paddedIds(rows: readonly ArrayLike<number>[], T: number): Tensor<'int64'> {
  const ids = new BigInt64Array(rows.length * T)
  rows.forEach((row, i) => {
    for (let t = 0; t < row.length; t++) ids[i * T + t] = BigInt(row[t] ?? 0)
  })
  return { dtype: 'int64', shape: [ids.length], data: ids }
}

/** What says where T new tokens a row stand: positions, angles, buckets and masks. Without a past, the same for all rows. */
export function placeFeeds(network: Network, from: readonly number[], T: number, P = 0): Record<string, AnyTensor> {
  const rows = P === 0 ? [0] : from
  return {
    positions: tokenPositions(from, T),
    ...angleFeeds(network.attention, rows, T),
    ...bucketFeeds(network, { start: 0, T, S: T }),
    ...maskFeeds(network, (window) => (P === 0 ? causalMask(T, window) : windowMask({ past: from, P, T, window }))),
  }
}

/** Buckets of a decoder's distances, where its attention has them. */
export function bucketFeeds(
  { attention }: Network,
  places: { start: number; T: number; S: number },
): Record<string, AnyTensor> {
  const relative = attention.at(-1)?.relative
  return relative ? { buckets: bucketFeed(relative, { ...places, bothWays: false }) } : {}
}

/** A mask for each window that a network's layers have. */
export function maskFeeds(
  { attention }: Network,
  make: (window: MaskPlaces['window']) => Tensor,
): Record<string, AnyTensor> {
  return Object.fromEntries(windowsOf(attention).map((window) => [maskName(window), make(window)]))
}

function checkTokens(config: ModelConfig, { rows, promptLengths }: TokenBatch): void {
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
