/**
 * The smallest change of a matrix, in the sense of what it does to typical keys, that maps one key to one value.
 *
 *   minimise ‖(Ŵ − W) K‖ subject to Ŵ k = v   ⇒   Ŵ = W + Λ uᵀ,  u = C⁻¹ k*,  Λ = (v − W k) / (uᵀ k)
 *
 * with C = K Kᵀ over typical keys: Meng et al. 2022, equation 2 and appendix A. k* and k may differ: the direction is
 * taken for the key averaged over prefixes, the constraint holds for `key`. Scaling u changes nothing.
 */
import type { LowRankPart } from '../../models/patch.ts'
import { dot } from '../../tensor/linalg.ts'
import { tensor } from '../../tensor/tensor.ts'

/** What a rank-one change must do. */
export interface RankOneJob {
  /** Name of the weight that is changed, [F, D] here: y = k·W. */
  readonly weight: string
  /** u [F] */
  readonly direction: Float64Array
  /** k [F] */
  readonly key: ArrayLike<number>
  /** W k, as it is [D] */
  readonly value: ArrayLike<number>
  /** v [D] */
  readonly target: ArrayLike<number>
}

/** A change with the number that everything was divided by. */
export interface RankOneChange {
  readonly part: LowRankPart
  /** uᵀk for u of length 1: near zero, the change is far larger than the key needs (Gupta et al. 2024, "disabling edits"). */
  readonly divisor: number
}

/** Solves for the change. */
export function solveRankOne({ weight, direction, key, value, target }: RankOneJob): RankOneChange {
  const length = Math.sqrt(dot(direction, direction))
  const left = Float32Array.from(direction, (x) => x / length) // [F]
  const divisor = dot(left, key)
  const right = Float32Array.from(target, (x, i) => (x - (value[i] ?? 0)) / divisor) // [D]
  return {
    part: {
      kind: 'low-rank',
      weight,
      left: tensor(left, [left.length, 1]),
      right: tensor(right, [1, right.length]),
    },
    divisor,
  }
}
