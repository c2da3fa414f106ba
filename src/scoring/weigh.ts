/**
 * The score: `S = Σ w_k · v_k`, weights summing to 1, values 0–100 (a weighted sum over fixed value scales; Keeney and
 * Raiffa 1976), or the user's formula over the same values.
 */
import { WhicheditError } from '../errors.ts'

/** A criterion's values, one for each method, with the direction in which they are better. */
export interface Column {
  readonly criterion: string
  readonly direction: 'higher' | 'lower'
  readonly weight: number
  readonly values: readonly number[]
}

/**
 * Scores methods by the weighted average of their values; weights need not sum to 1.
 * @throws E_DIRECTION for a column in which less is better: costs are turned to values first, E_WEIGHTS for weights that are
 * negative, not finite or all zero, E_VALUE for a value outside 0–100.
 */
export function weigh(columns: readonly Column[]): number[] {
  for (const column of columns) checkColumn(column)
  const weights = normalizeWeights(columns.map(({ weight }) => weight))
  const count = columns[0]?.values.length ?? 0
  return Array.from({ length: count }, (_, method) =>
    weightedAverage(
      weights,
      columns.map(({ values }) => values[method] ?? Number.NaN),
    ),
  )
}

/** The weighted average of values; the weights sum to 1. A criterion without weight has no say, even without a value. */
export function weightedAverage(weights: ArrayLike<number>, values: ArrayLike<number>): number {
  let sum = 0
  for (let k = 0; k < weights.length; k++) {
    const weight = weights[k] ?? 0
    if (weight > 0) sum += weight * (values[k] ?? Number.NaN)
  }
  return sum
}

/**
 * Scales weights to the sum 1.
 * @throws E_WEIGHTS for weights that are negative, not finite or all zero.
 */
export function normalizeWeights(weights: readonly number[]): number[] {
  const wrong = weights.find((weight) => !(weight >= 0 && Number.isFinite(weight)))
  if (wrong !== undefined) {
    throw new WhicheditError('E_WEIGHTS', { expected: 'weights of 0 and more', found: String(wrong), hint: '' })
  }
  // By the largest first, so that no sum of huge weights overflows.
  const largest = Math.max(0, ...weights)
  if (largest === 0) {
    throw new WhicheditError('E_WEIGHTS', { expected: 'a weight above 0', found: 'none', hint: '' })
  }
  const scaled = weights.map((weight) => weight / largest)
  const sum = scaled.reduce((total, weight) => total + weight, 0)
  return scaled.map((weight) => weight / sum)
}

function checkColumn({ criterion, direction, values }: Column): void {
  if (direction === 'lower') throw new WhicheditError('E_DIRECTION', { criterion })
  const wrong = values.find((value) => !(value >= 0 && value <= 100))
  if (wrong !== undefined) throw new WhicheditError('E_VALUE', { criterion, found: String(wrong) })
}
