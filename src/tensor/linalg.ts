/**
 * Linear algebra for symmetric positive definite systems, in float64 wherever an inverse is at stake.
 *
 * A = UᵀU by blocked Cholesky: the bulk of the work is one product per block row, handed to a `MultiplyInto`, so that an
 * engine with a fast matrix product can do it; only the diagonal blocks are factored here. Systems are solved with one
 * step of refinement, and the condition number is estimated from the factor. Golub & Van Loan 2013, §4.2; Higham 2002.
 * Matrices are row-major; n is the size of the system.
 */
import { WhicheditError } from '../errors.ts'
import { type Tensor, tensor } from './tensor.ts'

/**
 * Returns c − aᵀ·b for a [k, m], b [k, n], c [m, n]. May write into `c`; must leave `a` and `b` alone.
 * The seam through which an engine does the bulk of a factorisation.
 */
export type MultiplyInto = (
  c: Float64Array,
  a: Float64Array,
  b: Float64Array,
  sizes: { readonly k: number; readonly m: number; readonly n: number },
) => Float64Array | Promise<Float64Array>

/** A factor U of A = UᵀU: [n, n], upper triangular, zeros below the diagonal. */
export interface CholeskyFactor {
  readonly size: number
  readonly upper: Float64Array
}

/** Rows of the factor made at a time. Larger blocks leave more to the plain loops, smaller ones make the products thin. */
const BLOCK = 128

/**
 * Factors a symmetric positive definite matrix [n, n]; only its upper triangle is read.
 * @throws E_NOT_POSITIVE_DEFINITE with the failing pivot and its row; E_SHAPE where the data is not [n, n].
 */
export async function factorCholesky(
  matrix: Float64Array,
  size: number,
  multiplyInto: MultiplyInto = multiplyIntoPlainly,
): Promise<CholeskyFactor> {
  checkLength('factorCholesky', matrix, size * size)
  const upper = new Float64Array(size * size)
  for (let start = 0; start < size; start += BLOCK) {
    const rows = Math.min(BLOCK, size - start)
    const width = size - start
    // Left-looking: block row i of U is Uᵢᵢ⁻ᵀ (Aᵢ − Σ_{j<i} Uⱼᵢᵀ Uⱼ), each row from the diagonal on.
    let strip = cutBlock(matrix, size, start, start, rows, width)
    if (start > 0) {
      const above = cutBlock(upper, size, 0, start, start, width)
      const aboveBlock = cutBlock(upper, size, 0, start, start, rows)
      strip = await multiplyInto(strip, aboveBlock, above, { k: start, m: rows, n: width })
    }
    const diagonal = cutBlock(strip, width, 0, 0, rows, rows)
    factorBlock(diagonal, rows, start)
    // 0 − (−Uᵢᵢ⁻¹)ᵀ·strip: the same product solves the triangular system for the whole block row.
    const inverse = invertUpper(diagonal, rows).map((value) => -value)
    const solved = await multiplyInto(new Float64Array(rows * width), inverse, strip, { k: rows, m: rows, n: width })
    for (let row = 0; row < rows; row++) {
      upper.set(solved.subarray(row * width + row, (row + 1) * width), (start + row) * size + start + row)
      // The diagonal block itself as factored, without the rounding of the product.
      upper.set(diagonal.subarray(row * rows + row, (row + 1) * rows), (start + row) * size + start + row)
    }
  }
  return { size, upper }
}

/** A solution and how well it solves its system. */
export interface Solution {
  /** As the right-hand sides are given: [r, n], a row for each, or [n, r], a column. */
  readonly x: Float64Array
  /** The largest ‖b − A·x‖/‖b‖ of the right-hand sides. */
  readonly residual: number
}

/**
 * Solves A·x = b for every row of `rightSides` [r, n], with one step of iterative refinement (Higham 2002, §12).
 * `matrix` is the symmetric matrix, whole, whose factor is given.
 */
export function solvePositiveDefinite(
  matrix: Float64Array,
  factor: CholeskyFactor,
  rightSides: Float64Array,
): Solution {
  const { size } = factor
  checkLength('solvePositiveDefinite: matrix', matrix, size * size)
  if (rightSides.length % size !== 0) {
    const what = `expected rows of ${size}, found ${rightSides.length} numbers`
    throw new WhicheditError('E_SHAPE', { where: 'solvePositiveDefinite', what })
  }
  const x = new Float64Array(rightSides.length)
  let residual = 0
  for (let start = 0; start < rightSides.length; start += size) {
    const b = rightSides.subarray(start, start + size)
    const solution = x.subarray(start, start + size)
    solution.set(solveFactored(factor, b))
    const correction = solveFactored(factor, subtract(b, multiplySymmetric(matrix, solution)))
    for (let i = 0; i < size; i++) solution[i] = (solution[i] ?? 0) + (correction[i] ?? 0)
    const length = norm(b)
    const error = norm(subtract(b, multiplySymmetric(matrix, solution)))
    residual = Math.max(residual, length === 0 ? error : error / length)
  }
  return { x, residual }
}

/**
 * Solves A·X = B for many right-hand sides together, the columns of B [n, r], by products, with one step of refinement.
 * `matrix` is the symmetric matrix, whole, whose factor is given.
 */
export async function solveColumns(
  matrix: Float64Array,
  factor: CholeskyFactor,
  columns: Float64Array,
  multiplyInto: MultiplyInto = multiplyIntoPlainly,
): Promise<Solution> {
  const n = factor.size
  const r = columns.length / n
  checkLength('solveColumns: matrix', matrix, n * n)
  checkLength('solveColumns: columns', columns, n * Math.floor(r))
  // A is its own transpose.
  const subtractFrom = (x: Float64Array) => multiplyInto(columns.slice(), matrix, x, { k: n, m: n, n: r })
  const x = await solveBlocks(factor, columns, multiplyInto)
  const correction = await solveBlocks(factor, await subtractFrom(x), multiplyInto)
  for (let i = 0; i < x.length; i++) x[i] = (x[i] ?? 0) + (correction[i] ?? 0)
  const [errors, lengths] = [normOfColumns(await subtractFrom(x), r), normOfColumns(columns, r)]
  const relative = errors.map((error, j) => (lengths[j] === 0 ? error : error / (lengths[j] ?? 1)))
  return { x, residual: relative.reduce((most, error) => Math.max(most, error), 0) }
}

/**
 * Estimates the condition number ‖A‖₁·‖A⁻¹‖₁ of a factored symmetric matrix. ‖A⁻¹‖₁ comes from a few solves (Higham
 * 1988, ACM TOMS 14, algorithm 4.1, as in LAPACK's `dpocon`): a lower bound, rarely off by more than a factor of 3.
 */
export function estimateCondition(matrix: Float64Array, factor: CholeskyFactor): number {
  const { size } = factor
  checkLength('estimateCondition', matrix, size * size)
  let largestColumn = 0
  for (let row = 0; row < size; row++) {
    let sum = 0
    for (let i = row * size; i < (row + 1) * size; i++) sum += Math.abs(matrix[i] ?? 0)
    largestColumn = Math.max(largestColumn, sum)
  }
  return largestColumn * estimateInverseNorm(factor)
}

const MOST_ESTIMATE_STEPS = 5 // Higham 1988: more steps hardly ever raise the estimate.

function estimateInverseNorm(factor: CholeskyFactor): number {
  const { size } = factor
  let image = solveFactored(factor, new Float64Array(size).fill(1 / size))
  let estimate = sumOfMagnitudes(image)
  let signs = image.map((value) => (value < 0 ? -1 : 1))
  let peak = -1
  for (let step = 0; step < MOST_ESTIMATE_STEPS; step++) {
    const dual = solveFactored(factor, signs)
    const next = indexOfLargestMagnitude(dual)
    if (peak >= 0 && Math.abs(dual[next] ?? 0) <= Math.abs(dual[peak] ?? 0)) break
    peak = next
    const unit = new Float64Array(size)
    unit[peak] = 1
    image = solveFactored(factor, unit)
    const raised = sumOfMagnitudes(image)
    const newSigns = image.map((value) => (value < 0 ? -1 : 1))
    const isSame = newSigns.every((sign, i) => sign === signs[i])
    if (isSame || raised <= estimate) break
    estimate = raised
    signs = newSigns
  }
  // A vector of growing alternating entries catches matrices that deceive the steps above.
  const alternating = new Float64Array(size).map((_, i) => (i % 2 === 0 ? 1 : -1) * (1 + i / Math.max(size - 1, 1)))
  return Math.max(estimate, (2 * sumOfMagnitudes(solveFactored(factor, alternating))) / (3 * size))
}

/** The inner product of two vectors of one length. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0)
  return sum
}

/** The Euclidean norm of a vector, or the Frobenius norm of a matrix. */
export function norm(values: ArrayLike<number>): number {
  return Math.sqrt(dot(values, values))
}

/** The difference a − b of two vectors of one length. */
export function subtract(a: ArrayLike<number>, b: ArrayLike<number>): Float64Array {
  const result = new Float64Array(a.length)
  for (let i = 0; i < a.length; i++) result[i] = (a[i] ?? 0) - (b[i] ?? 0)
  return result
}

/** The row vector x [n] times a matrix [n, m], summed in float64. */
export function multiplyRow(x: ArrayLike<number>, matrix: Tensor): Float64Array {
  const columns = matrix.shape[1] ?? 0
  checkLength('multiplyRow', x, matrix.shape[0] ?? 0)
  const result = new Float64Array(columns)
  for (let row = 0; row < x.length; row++) {
    const factor = x[row] ?? 0
    const start = row * columns
    for (let j = 0; j < columns; j++) result[j] = (result[j] ?? 0) + factor * (matrix.data[start + j] ?? 0)
  }
  return result
}

/** Each row of a matrix [R, D] scaled to length one; a row of zeros stays. */
export function unitRows({ data, shape }: Tensor): Tensor {
  const width = shape[1] ?? 0
  const scaled = data.slice()
  for (let start = 0; start < data.length; start += width) {
    const row = scaled.subarray(start, start + width)
    const length = norm(row) || 1
    for (let j = 0; j < width; j++) row[j] = (row[j] ?? 0) / length
  }
  return tensor(scaled, shape)
}

/** The Frobenius norm of left · right, for left [n, r] and right [r, m], without forming the product. */
export function normOfProduct(left: Tensor, right: Tensor): number {
  const [rows = 0, rank = 0] = left.shape
  const columns = right.shape[1] ?? 0
  checkLength('normOfProduct', right.data, rank * columns)
  // ‖LR‖² = tr(LᵀL · RRᵀ) = Σ_{ij} (LᵀL)ᵢⱼ (RRᵀ)ᵢⱼ
  let square = 0
  for (let i = 0; i < rank; i++) {
    for (let j = 0; j < rank; j++) {
      let ofLeft = 0
      for (let row = 0; row < rows; row++) {
        ofLeft += (left.data[row * rank + i] ?? 0) * (left.data[row * rank + j] ?? 0)
      }
      const rowI = right.data.subarray(i * columns, (i + 1) * columns)
      square += ofLeft * dot(rowI, right.data.subarray(j * columns, (j + 1) * columns))
    }
  }
  // Rounding can leave a cancelled product a hair below zero.
  return Math.sqrt(Math.max(square, 0))
}

/** UᵀU·x = b: forward with Uᵀ, then back with U; both walk U along its rows. */
function solveFactored({ size, upper }: CholeskyFactor, b: Float64Array): Float64Array {
  const x = Float64Array.from(b)
  for (let row = 0; row < size; row++) {
    const start = row * size
    const value = (x[row] ?? 0) / (upper[start + row] ?? 0)
    x[row] = value
    for (let j = row + 1; j < size; j++) x[j] = (x[j] ?? 0) - value * (upper[start + j] ?? 0)
  }
  for (let row = size - 1; row >= 0; row--) {
    const start = row * size
    let sum = x[row] ?? 0
    for (let j = row + 1; j < size; j++) sum -= (x[j] ?? 0) * (upper[start + j] ?? 0)
    x[row] = sum / (upper[start + row] ?? 0)
  }
  return x
}

/** UᵀU·X = B for the columns of B [n, r]: block row after block row with Uᵀ, then back with U. */
async function solveBlocks(
  { size, upper }: CholeskyFactor,
  columns: Float64Array,
  multiplyInto: MultiplyInto,
): Promise<Float64Array> {
  const r = columns.length / size
  const x = Float64Array.from(columns)
  const starts = Array.from({ length: Math.ceil(size / BLOCK) }, (_, i) => i * BLOCK)
  for (const start of starts) {
    const rows = Math.min(BLOCK, size - start)
    const above = cutBlock(upper, size, 0, start, start, rows)
    const solved = x.slice(0, start * r)
    let strip: Float64Array = x.slice(start * r, (start + rows) * r)
    if (start > 0) strip = await multiplyInto(strip, above, solved, { k: start, m: rows, n: r })
    const inverse = invertUpper(cutBlock(upper, size, start, start, rows, rows), rows)
    x.set(await multiplyPlus(inverse, strip, rows, multiplyInto), start * r)
  }
  for (const start of starts.toReversed()) {
    const rows = Math.min(BLOCK, size - start)
    const end = start + rows
    const right = transpose(cutBlock(upper, size, start, end, rows, size - end), rows, size - end)
    let strip: Float64Array = x.slice(start * r, end * r)
    if (end < size) strip = await multiplyInto(strip, right, x.slice(end * r), { k: size - end, m: rows, n: r })
    const inverse = invertUpper(cutBlock(upper, size, start, start, rows, rows), rows)
    x.set(await multiplyPlus(transpose(inverse, rows, rows), strip, rows, multiplyInto), start * r)
  }
  return x
}

/** aᵀ·b for a [rows, rows]: what a `MultiplyInto` takes away of 0, with the other sign. */
function multiplyPlus(a: Float64Array, b: Float64Array, rows: number, multiplyInto: MultiplyInto) {
  const minus = a.map((value) => -value)
  return multiplyInto(new Float64Array(b.length), minus, b, { k: rows, m: rows, n: b.length / rows })
}

/** The plain product behind the default: four terms at a time, so that each sum is read and written once for four. */
function multiplyIntoPlainly(
  c: Float64Array,
  a: Float64Array,
  b: Float64Array,
  { k, m, n }: { readonly k: number; readonly m: number; readonly n: number },
): Float64Array {
  for (let i = 0; i < m; i++) {
    const sums = c.subarray(i * n, (i + 1) * n)
    let p = 0
    for (; p + 3 < k; p += 4) {
      const a0 = a[p * m + i] ?? 0
      const a1 = a[(p + 1) * m + i] ?? 0
      const a2 = a[(p + 2) * m + i] ?? 0
      const a3 = a[(p + 3) * m + i] ?? 0
      const b0 = p * n
      const b1 = b0 + n
      const b2 = b1 + n
      const b3 = b2 + n
      for (let j = 0; j < n; j++) {
        const four = a0 * (b[b0 + j] ?? 0) + a1 * (b[b1 + j] ?? 0) + a2 * (b[b2 + j] ?? 0) + a3 * (b[b3 + j] ?? 0)
        sums[j] = (sums[j] ?? 0) - four
      }
    }
    for (; p < k; p++) {
      const factor = a[p * m + i] ?? 0
      for (let j = 0; j < n; j++) sums[j] = (sums[j] ?? 0) - factor * (b[p * n + j] ?? 0)
    }
  }
  return c
}

/** Replaces the upper triangle of a block [n, n] by its factor and clears the rest. `offset` is the block's first row in the whole. */
function factorBlock(block: Float64Array, size: number, offset: number): void {
  for (let row = 0; row < size; row++) {
    const start = row * size
    for (let above = 0; above < row; above++) {
      const factor = block[above * size + row] ?? 0
      for (let j = row; j < size; j++) {
        block[start + j] = (block[start + j] ?? 0) - factor * (block[above * size + j] ?? 0)
      }
    }
    const pivot = block[start + row] ?? 0
    if (!(pivot > 0 && Number.isFinite(pivot))) {
      throw new WhicheditError('E_NOT_POSITIVE_DEFINITE', { pivot, row: offset + row })
    }
    const root = Math.sqrt(pivot)
    for (let j = row; j < size; j++) block[start + j] = (block[start + j] ?? 0) / root
    block.fill(0, start, start + row)
  }
}

/** The inverse of an upper triangular block [n, n]. */
function invertUpper(block: Float64Array, size: number): Float64Array {
  const inverse = new Float64Array(size * size)
  for (let row = size - 1; row >= 0; row--) {
    const start = row * size
    const pivot = block[start + row] ?? 0
    inverse[start + row] = 1
    // Row of U⁻¹ = (eᵢ − Σ_{p>i} Uᵢₚ · row p of U⁻¹) / Uᵢᵢ
    for (let p = row + 1; p < size; p++) {
      const factor = block[start + p] ?? 0
      for (let j = p; j < size; j++) {
        inverse[start + j] = (inverse[start + j] ?? 0) - factor * (inverse[p * size + j] ?? 0)
      }
    }
    for (let j = row; j < size; j++) inverse[start + j] = (inverse[start + j] ?? 0) / pivot
  }
  return inverse
}

function cutBlock(
  matrix: Float64Array,
  stride: number,
  fromRow: number,
  fromColumn: number,
  rows: number,
  columns: number,
): Float64Array {
  const block = new Float64Array(rows * columns)
  for (let row = 0; row < rows; row++) {
    const start = (fromRow + row) * stride + fromColumn
    block.set(matrix.subarray(start, start + columns), row * columns)
  }
  return block
}

/** A matrix [rows, columns] turned over: [columns, rows]. */
export function transpose(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const turned = new Float64Array(matrix.length)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) turned[j * rows + i] = matrix[i * columns + j] ?? 0
  }
  return turned
}

/** The length of each column of a matrix [·, r]. */
function normOfColumns(matrix: Float64Array, r: number): Float64Array {
  const squares = new Float64Array(r)
  for (let i = 0; i < matrix.length; i++) squares[i % r] = (squares[i % r] ?? 0) + (matrix[i] ?? 0) ** 2
  return squares.map(Math.sqrt)
}

function multiplySymmetric(matrix: Float64Array, x: Float64Array): Float64Array {
  return x.map((_, row) => dot(matrix.subarray(row * x.length, (row + 1) * x.length), x))
}

function sumOfMagnitudes(values: Float64Array): number {
  return values.reduce((sum, value) => sum + Math.abs(value), 0)
}

function indexOfLargestMagnitude(values: Float64Array): number {
  return values.reduce((best, value, i) => (Math.abs(value) > Math.abs(values[best] ?? 0) ? i : best), 0)
}

function checkLength(where: string, data: ArrayLike<number>, expected: number): void {
  if (data.length !== expected) {
    throw new WhicheditError('E_SHAPE', { where, what: `expected ${expected} numbers, found ${data.length}` })
  }
}
