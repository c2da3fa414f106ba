/**
 * The change of a matrix that gives many keys what they lack and does the least to typical keys.
 *
 *   minimise λ·mean over typical k of ‖ΔW k‖² + Σᵢ ‖ΔW kᵢ − rᵢ‖²
 *   ⇒  ΔW = R Kᵀ (λC + K Kᵀ)⁻¹ = R (λI + Kᵀ C⁻¹ K)⁻¹ Kᵀ C⁻¹
 *
 * K the keys [F, N], R what they lack [D, N], C the mean of k kᵀ over typical keys [F, F]. Meng et al. 2023, equation 14. The
 * second form (push-through) factors C once for all edits and solves a system of N unknowns: hardly any work beside that of
 * seeking N values. Keys that are to keep what they have are keys that lack nothing: more unknowns, no more of a change. Of one fact the share s/(λ + s) is written, s = kᵀ C⁻¹ k, whose mean over typical keys is F: so λ is a
 * matter of F, not of scale. As λ goes to 0 all of R is written, as with an equality constraint (Gupta et al. 2024,
 * arXiv 2403.14236).
 *
 * Everything is float64 up to the patch: factors [F, N] and [N, D], or their product where that is smaller.
 */
import { openNativeProduct } from '../../graph/products.ts'
import { addProduct } from '../../models/edits.ts'
import type { LanguageModel } from '../../models/model.ts'
import type { DensePart, LowRankPart } from '../../models/patch.ts'
import { dot, factorCholesky, norm, normOfProduct, solvePositiveDefinite } from '../../tensor/linalg.ts'
import { type Tensor, tensor, zeros } from '../../tensor/tensor.ts'
import { type Covariance, type CovarianceSolution, solveCovariance } from './covariance.ts'

/** What counts as a large change: C of the formula, by its inverse. */
export interface Metric {
  /** F */
  readonly size: number
  /** C⁻¹ k for rows of keys [·, F] */
  readonly solve: (keys: Float64Array) => CovarianceSolution
}

/** C of ordinary text. */
export function textMetric(covariance: Covariance): Metric {
  return { size: covariance.size, solve: (keys) => solveCovariance(covariance, keys) }
}

/** C = I: a change is as large as its numbers. */
export function plainMetric(size: number): Metric {
  return { size, solve: (keys) => ({ x: keys, residual: 0, ridgeShare: 0 }) }
}

/** What a change must do. */
export interface LeastSquaresJob {
  /** Name of the weight that is changed, [F, D] here: y = k·W. */
  readonly weight: string
  readonly metric: Metric
  /** K, a row a key [N, F] */
  readonly keys: Float64Array
  /** Other keys, which lack nothing [M, F] */
  readonly kept?: Float64Array
  /** R, a row a key [N, D] */
  readonly residuals: Float64Array
  /** λ: may be 0 where keys differ. */
  readonly lambda: number
}

/** A change, and how sure it is. */
export interface LeastSquaresChange {
  readonly part: LowRankPart | DensePart
  /** ‖ΔW‖ */
  readonly size: number
  /** Largest relative residual of the two systems solved. */
  readonly solveResidual: number
  /** How much of what counts as large is the ridge's, not the text's; 0 without text. */
  readonly ridgeShare: number
  /** Largest cosine between two keys, in the metric of C⁻¹; 0 for one key. Near 1 two facts share a key, and each gets what lies between. */
  readonly keyOverlap: number
}

/** Solves for the change. @throws E_NOT_POSITIVE_DEFINITE where λ is 0 and keys coincide. */
export async function solveLeastSquares(job: LeastSquaresJob): Promise<LeastSquaresChange> {
  const { weight, metric, keys, kept = new Float64Array(), residuals, lambda } = job
  const F = metric.size
  const N = keys.length / F
  const D = residuals.length / N
  const all = joinRows(keys, kept) // [N + M, F]
  const count = all.length / F
  const directions = metric.solve(all) // C⁻¹K, a row a key [N + M, F]
  const gram = multiplyRows(all, directions.x, count) // Kᵀ C⁻¹ K [N + M, N + M]
  const keyOverlap = largestCosine(gram, N, count)

  for (let i = 0; i < count; i++) gram[i * count + i] = (gram[i * count + i] ?? 0) + lambda
  const product = await openNativeProduct()
  const factor = await factorCholesky(gram, count, product.multiplyInto).finally(product.close)
  // Of (λI + KᵀC⁻¹K)⁻¹ the rows of keys that lack something; what kept keys lack is 0.
  const unit = new Float64Array(N * count)
  for (let n = 0; n < N; n++) unit[n * count + n] = 1
  const rows = solvePositiveDefinite(gram, factor, unit) // [N, N + M]
  const left = combineRows(rows.x, directions.x, N) // (λC + KKᵀ)⁻¹K [F, N]
  const right = tensor(new Float32Array(residuals), [N, D])
  const solveResidual = Math.max(directions.residual, rows.residual)
  const solved = { solveResidual, ridgeShare: directions.ridgeShare, keyOverlap }
  if (N * (F + D) < F * D) {
    return { part: { kind: 'low-rank', weight, left, right }, size: normOfProduct(left, right), ...solved }
  }
  const delta = addProduct(zeros([F, D]), { left, right })
  return { part: { kind: 'dense', weight, delta }, size: norm(delta.data), ...solved }
}

/** For an edit's report: the worst among the changes of several weights. */
export async function describeChanges(
  model: LanguageModel,
  changes: readonly LeastSquaresChange[],
): Promise<Record<string, number>> {
  const relative: number[] = []
  for (const { part, size } of changes) relative.push(size / norm((await model.weight(part.weight)).data))
  return {
    relativeChange: Math.max(...relative),
    keyOverlap: Math.max(...changes.map(({ keyOverlap }) => keyOverlap)),
    solveResidual: Math.max(...changes.map(({ solveResidual }) => solveResidual)),
    ridgeShare: Math.max(...changes.map(({ ridgeShare }) => ridgeShare)),
  }
}

/** The inner products of all rows of `a` with all rows of `b`, both [n, ·], of which they make a symmetric matrix [n, n]. */
function multiplyRows(a: Float64Array, b: Float64Array, n: number): Float64Array {
  const width = a.length / n
  const products = new Float64Array(n * n)
  for (let i = 0; i < n; i++) {
    for (let j = i; j < n; j++) {
      const value = dot(a.subarray(i * width, (i + 1) * width), b.subarray(j * width, (j + 1) * width))
      products[i * n + j] = value
      products[j * n + i] = value
    }
  }
  return products
}

/** The largest |Gᵢⱼ| / √(Gᵢᵢ Gⱼⱼ) off the diagonal in the first `rows` rows of a symmetric matrix [n, n]. */
function largestCosine(gram: Float64Array, rows: number, n: number): number {
  const lengths = Array.from({ length: n }, (_, i) => Math.sqrt(gram[i * n + i] ?? 0))
  let largest = 0
  for (let i = 0; i < rows; i++) {
    for (let j = i + 1; j < n; j++) {
      const cosine = Math.abs(gram[i * n + j] ?? 0) / ((lengths[i] ?? 0) * (lengths[j] ?? 0))
      largest = Math.max(largest, cosine)
    }
  }
  return largest
}

/** The rows of two matrices of one width, one after another. */
function joinRows(first: Float64Array, second: Float64Array): Float64Array {
  const all = new Float64Array(first.length + second.length)
  all.set(first)
  all.set(second, first.length)
  return all
}

/** Sums of `rows` [k, F] with `count` sets of weights [count, k], summed in float64, a column each [F, count]. */
function combineRows(weights: Float64Array, rows: Float64Array, count: number): Tensor {
  const k = weights.length / count
  const width = rows.length / k
  const combined = tensor(new Float32Array(width * count), [width, count])
  const sum = new Float64Array(width)
  for (let n = 0; n < count; n++) {
    sum.fill(0)
    for (let i = 0; i < k; i++) {
      const weight = weights[n * k + i] ?? 0
      for (let j = 0; j < width; j++) sum[j] = (sum[j] ?? 0) + weight * (rows[i * width + j] ?? 0)
    }
    for (let j = 0; j < width; j++) combined.data[j * count + n] = sum[j] ?? 0
  }
  return combined
}
