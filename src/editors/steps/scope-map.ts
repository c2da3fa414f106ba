/**
 * A linear map of sentence vectors on which texts about one fact lie together and others apart: a scope classifier.
 *
 *   z = u·W,   s(e, q) = exp(−‖z_e − z_q‖²),   loss = mean over in scope of −log s + mean over out of scope of −log(1 − s)
 *
 * u a sentence vector scaled to length one [D]; W [D, r]; e the text of an edit, q a query, in its scope or not. Mitchell et al. 2022,
 * §3; reference code eric-mitchell/serac `algs/rep.py` (`embedding_logsim_matrix`), `losses.py` (`balanced_bce`).
 */

import type { Context } from '../../context.ts'
import { WhicheditError } from '../../errors.ts'
import { multiplyRow } from '../../tensor/linalg.ts'
import type { Random } from '../../tensor/random.ts'
import { type Tensor, tensor } from '../../tensor/tensor.ts'
import { createAdam } from './adam.ts'

/** Two rows of a table of vectors: an edit's and a query's. */
export type Pair = readonly [edit: number, query: number]

/** Queries in the scope of edits and out of it. */
export interface ScopePairs {
  readonly inScope: readonly Pair[]
  readonly outOfScope: readonly Pair[]
}

/** A loss of a map, with its gradient [D, r]. */
export interface ScopeLoss {
  readonly loss: number
  readonly gradient: Float32Array
}

/** What trains a map. */
export interface MapJob {
  /** One row a text, each of length one [N, D]. */
  readonly vectors: Tensor
  readonly training: ScopePairs
  /** What tells when the map is best. */
  readonly held: ScopePairs
  /** r, unless D is less. */
  readonly dimensions: number
  readonly learningRate: number
  readonly steps: number
  /** Pairs a step, of each kind. */
  readonly batchSize: number
}

/** A trained map, and what it makes of the pairs that it was not trained on. */
export interface TrainedMap {
  /** [D, r] */
  readonly map: Tensor
  /** Steps after which it was best. */
  readonly steps: number
  readonly loss: number
}

/** Steps between two looks at the pairs held out. */
const LOOK_EVERY = 10
/** Distances are taken for at least this: the logarithm of two equal texts' unlikeness stays finite. */
const LEAST_DISTANCE = 1e-6
/** Whatever pairs are held out, an edit's own text, whose likeness is 1 but for rounding, passes. */
const HIGHEST_BOUND = 0.99

/** The shape of a job's map [D, r]. */
export function mapShape({ vectors, dimensions }: Pick<MapJob, 'vectors' | 'dimensions'>): [number, number] {
  const width = vectors.shape[1] ?? 0
  return [width, Math.min(dimensions, width)]
}

/** Trains a map by Adam; it is the one that was best on the pairs held out, or the last where there are none. */
export async function trainMap(job: MapJob, ctx: Context): Promise<TrainedMap> {
  const { vectors, training, held, learningRate, steps, batchSize } = job
  const map = openMap(job, ctx.random.stream('scope map'))
  const random = ctx.random.stream('scope pairs')
  const adam = createAdam(map.data.length, learningRate)
  const isHeld = held.inScope.length + held.outOfScope.length > 0
  let best: TrainedMap = { map, steps: 0, loss: Number.POSITIVE_INFINITY }
  for (let step = 0; step <= steps; step++) {
    ctx.signal.throwIfAborted()
    if (isHeld && step % LOOK_EVERY === 0) {
      const { loss } = measureScope(map, vectors, held)
      if (loss < best.loss) best = { map: tensor(map.data.slice(), map.shape), steps: step, loss }
    }
    if (step === steps) break
    const draw = (pairs: readonly Pair[]) =>
      pairs.length === 0
        ? []
        : Array.from({ length: batchSize }, () => random.integer(pairs.length)).flatMap((i) => pairs.slice(i, i + 1))
    const batch = { inScope: draw(training.inScope), outOfScope: draw(training.outOfScope) }
    const { loss, gradient } = scopeLoss(map, vectors, batch)
    adam.step(map.data, gradient)
    if (!isHeld) best = { map, steps: step + 1, loss }
    ctx.progress({ task: 'scope classifier', done: step + 1, total: steps, unit: 'steps', loss })
    // Nothing else in this loop waits: without it, a stop would not be heard.
    await new Promise(setImmediate)
  }
  return best
}

/**
 * A map as it starts: the vectors as they are, or their random projection, so wide that the geometric mean of what lies in scope and
 * what lies out of it is the distance where s = 1/2.
 */
export function openMap(job: MapJob, random: Random): Tensor {
  const { vectors, training } = job
  const [width, r] = mapShape(job)
  const isWhole = r === width
  const data = new Float32Array(width * r)
  for (let i = 0; i < data.length; i++) {
    data[i] = isWhole ? Number(i % (r + 1) === 0) : random.normal() / Math.sqrt(r)
  }
  const map = tensor(data, [width, r])
  const far = meanDistance(map, vectors, training.outOfScope)
  const near = training.inScope.length > 0 ? meanDistance(map, vectors, training.inScope) : far
  const scale = Math.sqrt(Math.LN2 / (Math.sqrt(near * far) || 1))
  return tensor(
    data.map((value) => value * scale),
    map.shape,
  )
}

/** The loss of a map over pairs; a kind of which there is none counts nothing. */
export function scopeLoss(map: Tensor, vectors: Tensor, pairs: ScopePairs): ScopeLoss {
  const gradient = new Float64Array(map.data.length)
  let loss = 0
  for (const kind of ['inScope', 'outOfScope'] as const) {
    for (const pair of pairs[kind]) {
      const difference = subtractRows(vectors, pair)
      const place = multiplyRow(difference, map)
      const distance = sumOfSquares(place)
      const term = kind === 'inScope' ? { loss: distance, slope: 1 } : apart(distance)
      loss += term.loss / pairs[kind].length
      addProduct(gradient, difference, place, (2 * term.slope) / pairs[kind].length)
    }
  }
  if (!Number.isFinite(loss))
    throw new WhicheditError('E_NOT_FINITE', { where: 'the loss of a scope map', found: String(loss) })
  return { loss, gradient: Float32Array.from(gradient) }
}

/** The same loss without its gradient, and the share of each kind that s > `above` takes for in scope (NaN of none). */
export function measureScope(
  map: Tensor,
  vectors: Tensor,
  { inScope, outOfScope }: ScopePairs,
  above = 0.5,
): { readonly loss: number; readonly inScope: number; readonly outOfScope: number } {
  const distances = (pairs: readonly Pair[]) => pairs.map((pair) => squaredDistance(map, vectors, pair))
  const [near, far] = [distances(inScope), distances(outOfScope)]
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const share = (all: readonly number[]) => mean(all.map((distance) => Number(Math.exp(-distance) > above)))
  const loss = (near.length > 0 ? mean(near) : 0) + (far.length > 0 ? mean(far.map((d) => apart(d).loss)) : 0)
  return { loss, inScope: share(near), outOfScope: share(far) }
}

/** The least s, but not below `least`, above which at most this share of pairs lies. */
export function boundFor(
  map: Tensor,
  vectors: Tensor,
  pairs: readonly Pair[],
  { share, least }: { readonly share: number; readonly least: number },
): number {
  const likeliest = pairs
    .map((pair) => Math.exp(-squaredDistance(map, vectors, pair)))
    .sort((one, other) => other - one)
  return Math.max(least, Math.min(likeliest[Math.floor(share * pairs.length)] ?? least, HIGHEST_BOUND))
}

/** −log(1 − s) at a distance −log s, and its slope there. */
function apart(distance: number): { loss: number; slope: number } {
  const d = Math.max(distance, LEAST_DISTANCE)
  return { loss: -Math.log(-Math.expm1(-d)), slope: -1 / Math.expm1(d) }
}

function meanDistance(map: Tensor, vectors: Tensor, pairs: readonly Pair[]): number {
  const sum = pairs.reduce((total, pair) => total + squaredDistance(map, vectors, pair), 0)
  return pairs.length > 0 ? sum / pairs.length : 0
}

/** The distance, squared, of the places of a pair. */
function squaredDistance(map: Tensor, vectors: Tensor, pair: Pair): number {
  return sumOfSquares(multiplyRow(subtractRows(vectors, pair), map))
}

/** The difference of two rows [D]. */
function subtractRows({ data, shape: [, width = 0] }: Tensor, [edit, query]: Pair): Float64Array {
  return Float64Array.from({ length: width }, (_, i) => (data[edit * width + i] ?? 0) - (data[query * width + i] ?? 0))
}

/** Adds factor · x yᵀ [D, r]. */
function addProduct(sum: Float64Array, x: Float64Array, y: Float64Array, factor: number): void {
  for (let i = 0; i < x.length; i++) {
    const scaled = factor * (x[i] ?? 0)
    const start = i * y.length
    for (let j = 0; j < y.length; j++) sum[start + j] = (sum[start + j] ?? 0) + scaled * (y[j] ?? 0)
  }
}

function sumOfSquares(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value * value, 0)
}
