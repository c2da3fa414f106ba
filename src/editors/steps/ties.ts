/**
 * TIES: several changes of one matrix merged so that they disturb each other little.
 *
 *   trim each to the largest entries by magnitude;   s = sign of the sum, entry by entry;   the mean of those entries that have the sign s
 *
 * Yadav et al. 2023, https://arxiv.org/abs/2306.01708, algorithm 1 with λ = 1; reference code zjunlp/EasyEdit `models/wise/merge/gta.py`,
 * matched: of a sum of zero the sign is positive.
 */
import { type Tensor, tensor } from '../../tensor/tensor.ts'

/** Merges changes of one shape; `density`: the share of the entries of each that is kept. */
export function mergeTies(changes: readonly Tensor[], density: number): Tensor {
  const trimmed = changes.map(({ data }) => trim(data, Math.floor(density * data.length)))
  const [first] = changes
  const merged = Float32Array.from({ length: first?.data.length ?? 0 }, (_, at) => {
    const entries = trimmed.map((data) => data[at] ?? 0)
    const sum = entries.reduce((total, entry) => total + entry, 0)
    const alike = entries.filter((entry) => (sum >= 0 ? entry > 0 : entry < 0))
    return alike.reduce((total, entry) => total + entry, 0) / Math.max(alike.length, 1)
  })
  return tensor(merged, first?.shape ?? [])
}

/** The `kept` largest entries by magnitude, zeros elsewhere; of equal ones the first. */
function trim(data: Float32Array, kept: number): Float32Array {
  const least = data.map(Math.abs).sort()[data.length - kept] ?? Number.POSITIVE_INFINITY
  let equal = kept - data.reduce((count, value) => count + (Math.abs(value) > least ? 1 : 0), 0)
  return data.map((value) => {
    if (Math.abs(value) > least) return value
    if (Math.abs(value) < least || equal === 0) return 0
    equal -= 1
    return value
  })
}
