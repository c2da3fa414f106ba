/**
 * Final norm and head at the positions where something is asked of the logits, and only there: reads and loss terms
 * share one product with the vocabulary. U: distinct positions; M: (position, target) pairs of a term.
 */
import { WhicheditError } from '../errors.ts'
import { input, type Node } from '../graph/graph.ts'
import { add, exp, multiply, negate, subtract } from '../graph/ops/elementwise.ts'
import { logSoftmax } from '../graph/ops/normalize.ts'
import { argmax, sum } from '../graph/ops/reduce.ts'
import { gatherPairs, gatherRows } from '../graph/ops/rows.ts'
import { reshape } from '../graph/ops/shape.ts'
import type { AnyTensor } from '../graph/session.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { LossTerm, Position, Read, RunRequest } from './model.ts'
import { indices } from './scope.ts'
import type { Window } from './window.ts'

/** The feeds of the head, and which of the U positions each read is about. */
export interface HeadRows {
  readonly feeds: Readonly<Record<string, AnyTensor>>
  /** By the read's place in the request. */
  readonly picks: ReadonlyMap<number, readonly number[]>
}

/** Collects the distinct positions of all logits reads and loss terms. */
export function headRows(request: RunRequest, window: Window): HeadRows {
  const places = new Map<number, number>()
  const placeOf = (position: Position): number => {
    const index = window.indexOf(position, 'logits')
    const place = places.get(index) ?? places.size
    places.set(index, place)
    return place
  }
  const feeds: Record<string, AnyTensor> = {}
  const picks = new Map<number, readonly number[]>()
  request.read?.forEach((read, i) => {
    if (read.site !== 'logits') return
    const pick = window.positionsOf(read.at, 'logits').map(placeOf)
    picks.set(i, pick)
    if (read.as === 'log-probs') feeds[`read-pairs ${i}`] = pairs(pick.map((place, j) => [place, targetOf(read, j)]))
    else if (read.as !== 'argmax') feeds[`read-rows ${i}`] = indices(pick)
  })
  request.loss?.forEach((term, i) => {
    Object.assign(feeds, lossFeeds(term, i, placeOf))
  })
  feeds['head-rows'] = indices([...places.keys()])
  return { feeds, picks }
}

/** Adds the reads of logits and the loss terms to a graph's outputs; returns the loss, if one was asked for. */
export function buildHead(
  head: (rows: Node) => Node,
  x: Node,
  request: RunRequest,
  vocabulary: number,
  outputs: Record<string, Node>,
): Node | null {
  const asked = request.loss !== undefined || request.read?.some((read) => read.site === 'logits')
  if (!asked) return null
  const logits = head(gatherRows(x, input('head-rows', ['U'], 'int64'))) // [U, V]
  const logProbs = logSoftmax(logits)
  request.read?.forEach((read, i) => {
    if (read.site !== 'logits') return
    if (read.as === 'argmax') outputs[`read ${i}`] = argmax(logits)
    else if (read.as === 'log-probs') {
      outputs[`read ${i}`] = gatherPairs(logProbs, input(`read-pairs ${i}`, [`reads(${i})`, 2], 'int64'))
    } else outputs[`read ${i}`] = gatherRows(logits, input(`read-rows ${i}`, [`reads(${i})`], 'int64'))
  })
  const terms = request.loss?.map((term, i) => lossTerm(term, i, logProbs, vocabulary)) ?? []
  terms.forEach((term, i) => {
    outputs[`term ${i}`] = term
  })
  const [first, ...rest] = terms
  return first === undefined ? null : rest.reduce(add, first)
}

function lossTerm(term: LossTerm, i: number, logProbs: Node, vocabulary: number): Node {
  const size = `terms(${i})`
  const weights = input(`weights ${i}`, [size])
  if (term.kind === 'nll') {
    const picked = gatherPairs(logProbs, input(`pairs ${i}`, [size, 2], 'int64')) // [M]
    return reshape(negate(sum(multiply(picked, weights), [0])), [])
  }
  const p = gatherRows(logProbs, input(`rows ${i}`, [size], 'int64')) // [R, V]
  const reference = input(`reference ${i}`, [size, vocabulary])
  const [over, other] = term.under === 'reference' ? [reference, p] : [p, reference]
  const divergence = reshape(sum(multiply(exp(over), subtract(over, other)), [1]), [size]) // [R]
  return reshape(sum(multiply(divergence, weights), [0]), [])
}

function lossFeeds(term: LossTerm, i: number, placeOf: (position: Position) => number): Record<string, AnyTensor> {
  if (term.kind === 'kl') {
    return {
      [`rows ${i}`]: indices(term.at.map(placeOf)),
      [`weights ${i}`]: vector(term.at.map(({ weight }) => weight)),
      [`reference ${i}`]: term.reference,
    }
  }
  // The same target at the same position twice is one pair with both weights.
  const weights = new Map<string, { pair: [number, number]; weight: number }>()
  for (const { target, weight, ...position } of term.at) {
    const place = placeOf(position)
    const key = `${place} ${target}`
    weights.set(key, { pair: [place, target], weight: (weights.get(key)?.weight ?? 0) + weight })
  }
  const merged = [...weights.values()]
  return {
    [`pairs ${i}`]: pairs(merged.map(({ pair }) => pair)),
    [`weights ${i}`]: vector(merged.map(({ weight }) => weight)),
  }
}

function targetOf(read: Read, index: number): number {
  const target = read.targets?.[index]
  if (target === undefined) throw new WhicheditError('E_INTERNAL', { what: 'log-probs need one target a position' })
  return target
}

function pairs(values: readonly (readonly [number, number])[]): Tensor<'int64'> {
  return { dtype: 'int64', shape: [values.length, 2], data: BigInt64Array.from(values.flat(), BigInt) }
}

function vector(values: readonly number[]): Tensor {
  return tensor(Float32Array.from(values), [values.length])
}
