/**
 * Mean and standard deviation of every feature over all rows so far, from one batch of rows to the next.
 *
 *   n ← n₀ + b,   mean ← mean + b (m − mean) / n,   S ← S + s + n₀ b (m − mean)² / n,   std = √(S / (n − 1))
 *
 * n₀ rows before; b rows of a batch, with the mean m and the sum of squared deviations s. Chan, Golub & LeVeque 1983. A single row
 * has the standard deviation 0. Sums are float64; from one patch to the next they go as float32.
 */
import { WhicheditError } from '../../errors.ts'
import { type Tensor, tensor } from '../../tensor/tensor.ts'

/** Moments of rows of w features. */
export interface Moments {
  /** n */
  readonly count: number
  /** [w] */
  readonly mean: Float64Array
  /** S [w] */
  readonly squares: Float64Array
}

/** Added to a standard deviation before dividing by it: the spacing of float32 at 1, so that a feature that never varies gives 0. */
const EPSILON = 2 ** -23

/** Moments of no rows. */
export function noMoments(width: number): Moments {
  return { count: 0, mean: new Float64Array(width), squares: new Float64Array(width) }
}

/** Takes in a batch of rows [b, w]. */
export function addRows({ count, mean, squares }: Moments, rows: Float64Array): Moments {
  const width = mean.length
  const added = rows.length / width
  if (added === 0) return { count, mean, squares }
  const total = count + added
  const ofBatch = new Float64Array(width) // m
  for (let i = 0; i < rows.length; i++) ofBatch[i % width] = (ofBatch[i % width] ?? 0) + (rows[i] ?? 0) / added
  const apart = ofBatch.map((value, j) => value - (mean[j] ?? 0)) // m − mean
  const sums = squares.map((sum, j) => sum + (count * added * (apart[j] ?? 0) ** 2) / total)
  for (let i = 0; i < rows.length; i++) {
    sums[i % width] = (sums[i % width] ?? 0) + ((rows[i] ?? 0) - (ofBatch[i % width] ?? 0)) ** 2
  }
  return { count: total, mean: mean.map((value, j) => value + (added * (apart[j] ?? 0)) / total), squares: sums }
}

/** Rows [b, w] less the mean, over the standard deviation. */
export function normalizeRows({ count, mean, squares }: Moments, rows: Float64Array): Float64Array {
  const scale = squares.map((sum) => 1 / (Math.sqrt(sum / Math.max(count - 1, 1)) + EPSILON))
  return rows.map((value, i) => (value - (mean[i % mean.length] ?? 0)) * (scale[i % mean.length] ?? 0))
}

/** Moments as a patch carries them [3, w]: n in every place, the mean, S. */
export function encodeMoments({ count, mean, squares }: Moments): Tensor {
  const width = mean.length
  const data = new Float32Array(3 * width).fill(count, 0, width)
  data.set(mean, width)
  data.set(squares, 2 * width)
  return tensor(data, [3, width])
}

/** And back. @throws E_PATCH for a tensor that is no moments of `width` features. */
export function decodeMoments({ shape, data }: Tensor, width: number): Moments {
  if (shape.join() !== `3,${width}`) {
    throw new WhicheditError('E_PATCH', { expected: `moments [3, ${width}]`, found: `[${shape.join(', ')}]` })
  }
  return {
    count: data[0] ?? 0,
    mean: Float64Array.from(data.subarray(width, 2 * width)),
    squares: Float64Array.from(data.subarray(2 * width)),
  }
}
