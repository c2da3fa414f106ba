/**
 * The change of a matrix that moves its outputs at many inputs by given amounts, as far as a small change can.
 *
 *   minimise ‖H ΔW − V‖² + ρ‖ΔW‖²   ⇒   ΔW = (HᵀH + ρI)⁻¹ HᵀV = Hᵀ (HHᵀ + ρI)⁻¹ V
 *
 * H the inputs [N, F], V the amounts [N, D]. The smaller of the two systems is solved, in float64. `least-squares.ts` solves the
 * second for a few keys against what text asks of a layer; here N are tokens, by the thousand, and V is solved for by products.
 */
import { openNativeProduct } from '../../graph/products.ts'
import type { DensePart, LowRankPart } from '../../models/patch.ts'
import { factorCholesky, type MultiplyInto, norm, type Solution, solveColumns, transpose } from '../../tensor/linalg.ts'
import { tensor } from '../../tensor/tensor.ts'

/** What is to be moved by how much. */
export interface RidgeJob {
  /** Name of the weight that is changed [F, D]. */
  readonly weight: string
  /** H [N, F] */
  readonly inputs: Float64Array
  /** V [N, D] */
  readonly shifts: Float64Array
  /** N */
  readonly count: number
  /** ρ, above 0 */
  readonly ridge: number
}

/** A change, and what it does. */
export interface RidgeChange {
  readonly part: LowRankPart | DensePart
  /** ‖HΔW − V‖ / ‖V‖: what of the amounts the ridge leaves undone; 0 where nothing is to move. */
  readonly missing: number
  /** Largest relative residual of the system solved. */
  readonly solveResidual: number
}

/** Solves for the change. */
export async function solveRidge(job: RidgeJob): Promise<RidgeChange> {
  const product = await openNativeProduct()
  const solve = job.count <= job.inputs.length / job.count ? solveOverTokens : solveOverInputs
  return solve(job, product.multiplyInto).finally(product.close)
}

/** Hᵀ (HHᵀ + ρI)⁻¹ V: as factors, unless they would be larger than their product. */
async function solveOverTokens(
  { weight, inputs, shifts, count: N, ridge }: RidgeJob,
  multiplyInto: MultiplyInto,
): Promise<RidgeChange> {
  const [F, D] = [inputs.length / N, shifts.length / N]
  const across = transpose(inputs, N, F) // Hᵀ [F, N]
  const { x, residual } = await solveShifted(across, { rows: F, size: N, ridge, right: shifts }, multiplyInto)
  // V − HHᵀX = ρX
  const rest = { missing: compare(ridge * norm(x), shifts), solveResidual: residual }
  if (N * (F + D) < F * D) {
    const [left, right] = [tensor(new Float32Array(across), [F, N]), tensor(new Float32Array(x), [N, D])]
    return { part: { kind: 'low-rank', weight, left, right }, ...rest }
  }
  const delta = await multiplyInto(new Float64Array(F * D), negate(inputs), x, { k: N, m: F, n: D }) // HᵀX
  return { part: { kind: 'dense', weight, delta: tensor(new Float32Array(delta), [F, D]) }, ...rest }
}

/** (HᵀH + ρI)⁻¹ HᵀV */
async function solveOverInputs(
  { weight, inputs, shifts, count: N, ridge }: RidgeJob,
  multiplyInto: MultiplyInto,
): Promise<RidgeChange> {
  const [F, D] = [inputs.length / N, shifts.length / N]
  const right = await multiplyInto(new Float64Array(F * D), negate(inputs), shifts, { k: N, m: F, n: D }) // HᵀV [F, D]
  const { x, residual } = await solveShifted(inputs, { rows: N, size: F, ridge, right }, multiplyInto)
  const left = await multiplyInto(shifts.slice(), transpose(inputs, N, F), x, { k: F, m: N, n: D }) // V − HΔW
  const part = { kind: 'dense', weight, delta: tensor(new Float32Array(x), [F, D]) } as const
  return { part, missing: compare(norm(left), shifts), solveResidual: residual }
}

/** A system AᵀA + ρI of the matrix A [rows, size], and its right-hand sides [size, D]. */
interface ShiftedSystem {
  readonly rows: number
  readonly size: number
  readonly ridge: number
  readonly right: Float64Array
}

async function solveShifted(
  a: Float64Array,
  { rows, size, ridge, right }: ShiftedSystem,
  multiplyInto: MultiplyInto,
): Promise<Solution> {
  const shift = new Float64Array(size * size)
  for (let i = 0; i < size; i++) shift[i * size + i] = ridge
  const matrix = await multiplyInto(shift, negate(a), a, { k: rows, m: size, n: size })
  return solveColumns(matrix, await factorCholesky(matrix, size, multiplyInto), right, multiplyInto)
}

/** A length as a share of that of V. */
function compare(length: number, shifts: Float64Array): number {
  const whole = norm(shifts)
  return whole === 0 ? 0 : length / whole
}

/** The product of the engine subtracts. */
function negate(matrix: Float64Array): Float64Array {
  return matrix.map((value) => -value)
}
