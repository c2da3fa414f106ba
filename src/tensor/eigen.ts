/**
 * All eigenvalues and eigenvectors of a symmetric matrix, in float64.
 *
 *   A = Vᵀ diag(λ) V, the rows of V orthonormal
 *
 * Householder reflections make A tridiagonal, T = Q A Qᵀ; implicit QR steps with Wilkinson's shift make T diagonal, and each of
 * their rotations turns two rows of Q. Golub & Van Loan 2013, algorithms 8.3.1–8.3.3. Some 9n³ operations, every inner loop along
 * a row: n = 1536 takes 16 s where ml-matrix 6.15, which runs along columns and cannot be stopped, takes 28.
 */
import { WhicheditError } from '../errors.ts'
import { dot, norm } from './linalg.ts'

/** The eigenvalues of a symmetric matrix with their vectors. */
export interface Eigen {
  /** Ascending [n] */
  readonly values: Float64Array
  /** The vector of each value, a row of length 1 [n, n] */
  readonly vectors: Float64Array
}

/** Rows turned between two looks at the signal: a tenth of a second. */
const ROWS_A_SLICE = 4000
/** In a matrix whose largest entry is 1, so little is nothing; and squares of what is more can still be told from 0. */
const NOTHING = Number.EPSILON ** 2
/** QR steps for one eigenvalue: two or three are usual, and LAPACK gives up after 30. */
const MOST_STEPS = 30

/**
 * Decomposes a symmetric matrix [n, n]; only its lower triangle is read. Lets other work in, and stops when told to.
 * @throws E_SHAPE where the data is not [n, n]; E_INTERNAL where it is not finite.
 */
export async function decomposeSymmetric(matrix: Float64Array, size: number, signal?: AbortSignal): Promise<Eigen> {
  if (matrix.length !== size * size) {
    const what = `expected ${size * size} numbers, found ${matrix.length}`
    throw new WhicheditError('E_SHAPE', { where: 'decomposeSymmetric', what })
  }
  const work = createBreaks(signal)
  // So that no square of an entry that matters is too small for a float64.
  const largest = largestBelow(matrix, size) || 1
  const { diagonal, beside, vectors } = await reduceToTridiagonal(
    matrix.map((value) => value / largest),
    size,
    work,
  )
  await diagonalize(diagonal, beside, vectors, work)
  return sortAscending(
    diagonal.map((value) => value * largest),
    vectors,
  )
}

/** The largest magnitude in the lower triangle. */
function largestBelow(matrix: Float64Array, size: number): number {
  let largest = 0
  for (let row = 0; row < size; row++) {
    for (let j = 0; j <= row; j++) largest = Math.max(largest, Math.abs(matrix[row * size + j] ?? 0))
  }
  return largest
}

/** Counts rows of work, and gives way now and then. */
type Breaks = (rows: number) => Promise<void> | undefined

function createBreaks(signal: AbortSignal | undefined): Breaks {
  let left = ROWS_A_SLICE
  return (rows) => {
    left -= rows
    if (left > 0) return undefined
    left = ROWS_A_SLICE
    signal?.throwIfAborted()
    return new Promise((resolve) => setImmediate(resolve))
  }
}

interface Tridiagonal {
  /** [n] */
  readonly diagonal: Float64Array
  /** What stands beside it, the last is 0 [n] */
  readonly beside: Float64Array
  /** Q with T = Q A Qᵀ [n, n] */
  readonly vectors: Float64Array
}

/** T = H … H₁ A H₁ … H: one reflection H = I − τ v vᵀ a column. Overwrites A. */
async function reduceToTridiagonal(a: Float64Array, size: number, work: Breaks): Promise<Tridiagonal> {
  const [diagonal, beside, scales] = [new Float64Array(size), new Float64Array(size), new Float64Array(size)]
  const reflections = new Float64Array(size * size)
  for (let k = 0; k < size; k++) {
    diagonal[k] = a[k * size + k] ?? 0
    const length = size - k - 1
    if (length === 0) break
    const v = reflections.subarray(k * size + k + 1, (k + 1) * size)
    for (let i = 0; i < length; i++) v[i] = a[(k + 1 + i) * size + k] ?? 0
    const { tau, image } = makeReflection(v)
    scales[k] = tau
    beside[k] = image
    if (tau !== 0) reflectBothSides(a, size, v, tau)
    await work(length)
  }
  const vectors = new Float64Array(size * size)
  for (let i = 0; i < size; i++) vectors[i * size + i] = 1
  // Q = … H₂ H₁, from the last reflection on: each meets only the rows that the later ones have filled.
  for (let k = size - 2; k >= 0; k--) {
    const v = reflections.subarray(k * size + k + 1, (k + 1) * size)
    for (let row = k + 1; row < size; row++) {
      const of = vectors.subarray(row * size + k + 1, (row + 1) * size)
      addTo(of, v, -(scales[k] ?? 0) * dot(of, v))
    }
    await work(size - k)
  }
  return { diagonal, beside, vectors }
}

/** Turns a vector x into the v of the reflection that maps it to (image, 0, …), v₀ = 1. */
function makeReflection(x: Float64Array): { tau: number; image: number } {
  const first = x[0] ?? 0
  const rest = norm(x.subarray(1))
  if (rest <= NOTHING) {
    x.fill(0)
    return { tau: 0, image: first }
  }
  const length = Math.hypot(first, rest)
  const image = first > 0 ? -length : length
  const pivot = first - image // of one sign with `first`: nothing cancels
  for (let i = 1; i < x.length; i++) x[i] = (x[i] ?? 0) / pivot
  x[0] = 1
  return { tau: -pivot / image, image }
}

/** A ← H A H on the lower triangle of the trailing rows, as many as v has numbers: A − v wᵀ − w vᵀ. */
function reflectBothSides(a: Float64Array, size: number, v: Float64Array, tau: number): void {
  const from = size - v.length
  const w = new Float64Array(v.length)
  for (let i = 0; i < v.length; i++) {
    const row = (from + i) * size + from
    const vi = v[i] ?? 0
    let sum = (a[row + i] ?? 0) * vi
    for (let j = 0; j < i; j++) {
      const value = a[row + j] ?? 0
      sum += value * (v[j] ?? 0)
      w[j] = (w[j] ?? 0) + value * vi
    }
    w[i] = (w[i] ?? 0) + sum
  }
  for (let i = 0; i < w.length; i++) w[i] = (w[i] ?? 0) * tau
  addTo(w, v, (-tau / 2) * dot(w, v))
  for (let i = 0; i < v.length; i++) {
    const row = (from + i) * size + from
    const [vi, wi] = [v[i] ?? 0, w[i] ?? 0]
    for (let j = 0; j <= i; j++) a[row + j] = (a[row + j] ?? 0) - vi * (w[j] ?? 0) - wi * (v[j] ?? 0)
  }
}

/** Makes T diagonal in place, turning the rows of Q with it. */
async function diagonalize(d: Float64Array, e: Float64Array, vectors: Float64Array, work: Breaks): Promise<void> {
  const isSmall = (i: number) => {
    const around = Math.abs(d[i] ?? 0) + Math.abs(d[i + 1] ?? 0)
    return Math.abs(e[i] ?? 0) <= NOTHING + Number.EPSILON * around
  }
  let steps = 0
  for (let end = d.length - 1; end > 0; ) {
    if (isSmall(end - 1)) {
      end -= 1
      steps = 0
      continue
    }
    let start = end - 1
    while (start > 0 && !isSmall(start - 1)) start -= 1
    steps += 1
    if (steps > MOST_STEPS) {
      throw new WhicheditError('E_INTERNAL', { what: `decomposeSymmetric: no eigenvalue after ${MOST_STEPS} steps` })
    }
    stepQr(d, e, vectors, start, end)
    await work(2 * (end - start))
  }
}

/** One implicit QR step on the rows from `start` to `end` of T: a bulge beside the diagonal is chased down by rotations. */
function stepQr(d: Float64Array, e: Float64Array, vectors: Float64Array, start: number, end: number): void {
  const half = ((d[end - 1] ?? 0) - (d[end] ?? 0)) / 2
  const last = e[end - 1] ?? 0
  const shift = (d[end] ?? 0) - last ** 2 / (half + (half < 0 ? -1 : 1) * Math.hypot(half, last))
  let [x, z] = [(d[start] ?? 0) - shift, e[start] ?? 0]
  for (let k = start; k < end; k++) {
    const r = Math.hypot(x, z)
    // Where both are 0 the rows are in order as they are.
    const [c, s] = r === 0 ? [1, 0] : [x / r, z / r]
    if (k > start) e[k - 1] = r
    const [dk, ek, dn] = [d[k] ?? 0, e[k] ?? 0, d[k + 1] ?? 0]
    d[k] = c * c * dk + 2 * c * s * ek + s * s * dn
    d[k + 1] = s * s * dk - 2 * c * s * ek + c * c * dn
    e[k] = c * s * (dn - dk) + (c * c - s * s) * ek
    if (k + 1 < end) {
      x = e[k] ?? 0
      z = s * (e[k + 1] ?? 0)
      e[k + 1] = c * (e[k + 1] ?? 0)
    }
    rotateRows(vectors, d.length, k, c, s)
  }
}

/** Rows k and k+1 of a square matrix ← (c·p + s·q, c·q − s·p). */
function rotateRows(matrix: Float64Array, size: number, k: number, c: number, s: number): void {
  const upper = matrix.subarray(k * size, (k + 1) * size)
  const lower = matrix.subarray((k + 1) * size, (k + 2) * size)
  for (let j = 0; j < size; j++) {
    const p = upper[j] ?? 0
    const q = lower[j] ?? 0
    upper[j] = c * p + s * q
    lower[j] = c * q - s * p
  }
}

function sortAscending(diagonal: Float64Array, vectors: Float64Array): Eigen {
  const size = diagonal.length
  const order = Array.from(diagonal.keys()).sort((a, b) => (diagonal[a] ?? 0) - (diagonal[b] ?? 0))
  const sorted = new Float64Array(vectors.length)
  order.forEach((from, to) => {
    sorted.set(vectors.subarray(from * size, (from + 1) * size), to * size)
  })
  return { values: Float64Array.from(order, (from) => diagonal[from] ?? 0), vectors: sorted }
}

/** x ← x + factor · y */
function addTo(x: Float64Array, y: Float64Array, factor: number): void {
  for (let i = 0; i < x.length; i++) x[i] = (x[i] ?? 0) + factor * (y[i] ?? 0)
}
