/**
 * The directions that ordinary text hardly uses: what a layer does to text does not change where a weight changes along them
 * alone.
 *
 *   C = Vᵀ diag(λ) V,   P = Σ vᵢ vᵢᵀ over all i with λᵢ < θ,   P² = P = Pᵀ
 *
 * C the mean of k kᵀ over ordinary text (steps/covariance.ts). Of its keys the share Σ λᵢ / tr C (over the same i) lies in the
 * null space, which would be 0 for θ → 0. Fang et al. 2025, §3; reference code jianghoucheng/AlphaEdit
 * `experiments/evaluate.py`, `get_project`, matched but for the singular values there, which are the eigenvalues.
 *
 * Eigenvectors are kept in `cacheDir` beside the sums they come from: they take longer than anything else that is prepared.
 */
import { join } from 'node:path'
import type { Context } from '../../context.ts'
import { WhicheditError } from '../../errors.ts'
import { hashOf } from '../../models/content-hash.ts'
import type { Footprint } from '../../models/footprint.ts'
import { decomposeSymmetric, type Eigen } from '../../tensor/eigen.ts'
import { dot } from '../../tensor/linalg.ts'
import type { MethodMemory } from '../editor.ts'
import { type NumberArray, readArrayFile, writeArrayFile } from './array-file.ts'
import { averageGram, covarianceMemory, type GramsJob, gatherGrams, type LayerGram } from './covariance.ts'

/** Null space of what a layer's down-projection reads of ordinary text. */
export interface NullSpace {
  readonly layer: number
  /** F */
  readonly size: number
  readonly tokens: number
  /** The mean of ‖k‖² over ordinary text. */
  readonly meanSquare: number
  /** The rank of P. */
  readonly directions: number
  /** The share of ordinary keys, by square, that lies in it. */
  readonly share: number
  /** Orthonormal rows [·, F] that span the null space, or what is left without it: whichever are fewer. */
  readonly basis: Float64Array
  readonly spans: 'null space' | 'the rest'
}

/** The work of {@link prepareNullSpaces}. */
export interface NullSpacesJob extends GramsJob {
  /** θ */
  readonly threshold: number
  /** Whether θ is a multiple of C's mean eigenvalue, tr C / F. */
  readonly relative: boolean
}

/** Changes when eigenvectors may change. */
const VERSION = 1
/** Matrices [F, F] in float64 while one is decomposed: C, what becomes of it, the reflections, the vectors, and those in order. */
const MATRICES = 5
/** Of a null space half of the vectors stay, at most. */
const MATRICES_HELD = 1 / 2

/** What the null spaces of so many layers take. */
export function nullSpaceMemory(model: Footprint, layers: number): Pick<MethodMemory, 'prepareBytes' | 'heldBytes'> {
  const matrix = model.config.mlpWidth ** 2 * Float64Array.BYTES_PER_ELEMENT
  const { prepareBytes } = covarianceMemory(model, layers)
  return { prepareBytes: prepareBytes + MATRICES * matrix, heldBytes: MATRICES_HELD * matrix * layers }
}

/** Finds the null spaces of several layers, in their order. @throws E_NULL_SPACE where one has no direction, or all. */
export async function prepareNullSpaces(job: NullSpacesJob, ctx: Context): Promise<NullSpace[]> {
  const spaces: NullSpace[] = []
  for (const sums of await gatherGrams(job, ctx)) {
    spaces.push(cutNullSpace(sums, await openEigen(sums, ctx), job))
    ctx.progress({ task: 'null spaces', done: spaces.length, total: job.layers.length, unit: 'layers' })
  }
  return spaces
}

/** Takes the directions below the threshold. @throws E_NULL_SPACE as for several layers. */
export function cutNullSpace(
  { layer, gram: { size, tokens } }: Pick<LayerGram, 'layer' | 'gram'>,
  { values, vectors }: Eigen,
  { threshold, relative }: Pick<NullSpacesJob, 'threshold' | 'relative'>,
): NullSpace {
  const meanSquare = values.reduce((sum, value) => sum + value, 0)
  const limit = relative ? (threshold * meanSquare) / size : threshold
  const directions = values.filter((value) => value < limit).length
  if (directions === 0 || directions === size) {
    const [least = 0, most = 0] = [values[0], values.at(-1)]
    throw new WhicheditError('E_NULL_SPACE', { layer, limit, least, most })
  }
  const within = values.subarray(0, directions).reduce((sum, value) => sum + Math.max(value, 0), 0)
  const isSmall = directions <= size / 2
  return {
    layer,
    size,
    tokens,
    meanSquare,
    directions,
    share: within / meanSquare,
    basis: isSmall ? vectors.slice(0, directions * size) : vectors.slice(directions * size),
    spans: isSmall ? 'null space' : 'the rest',
  }
}

/** P k for rows of keys [N, F]. */
export function projectToNullSpace({ size, basis, spans }: NullSpace, keys: Float64Array): Float64Array {
  const along = new Float64Array(keys.length)
  for (let row = 0; row < keys.length; row += size) {
    const key = keys.subarray(row, row + size)
    const sum = along.subarray(row, row + size)
    for (let start = 0; start < basis.length; start += size) {
      const direction = basis.subarray(start, start + size)
      const length = dot(key, direction)
      for (let j = 0; j < size; j++) sum[j] = (sum[j] ?? 0) + length * (direction[j] ?? 0)
    }
  }
  return spans === 'null space' ? along : keys.map((value, i) => value - (along[i] ?? 0))
}

/** For an edit's report: over layers, the fewest directions that remain, and the largest share of ordinary keys among them. */
export function describeNullSpaces(spaces: readonly NullSpace[]): Record<string, number> {
  return {
    covarianceTokens: Math.min(...spaces.map(({ tokens }) => tokens)),
    nullDirections: Math.min(...spaces.map(({ directions }) => directions)),
    nullDirectionsOf: spaces[0]?.size ?? 0,
    nullShare: Math.max(...spaces.map(({ share }) => share)),
  }
}

async function openEigen({ key: gramKey, gram }: LayerGram, ctx: Context): Promise<Eigen> {
  const key = hashOf([VERSION, gramKey])
  const file = join(ctx.cacheDir, `eigen-${key.slice(0, 32)}.bin`)
  const { size } = gram
  const { values, vectors } = (await readArrayFile(file, key))?.arrays ?? {}
  if (isOfLength(values, size) && isOfLength(vectors, size * size)) return { values, vectors }
  const eigen = await decomposeSymmetric(averageGram(gram).matrix, size, ctx.signal)
  await writeArrayFile(file, key, { values: {}, arrays: { values: eigen.values, vectors: eigen.vectors } })
  return eigen
}

function isOfLength(array: NumberArray | undefined, length: number): array is Float64Array {
  return array instanceof Float64Array && array.length === length
}
