/**
 * The gradient of an edit, scaled by entry and shifted, as a change of the weight.
 *
 *   ΔW = s (∇W ⊙ A + B),   A = a softmax(ρ)ᵀ,  B = b softmax(π)ᵀ,  s = m σ(η)
 *
 * a, b [in] and ρ, π [out], with η [1] what a network says of the weight, in the order a, ρ, b, π, η; m the largest scale. De Cao et al. 2021,
 * §4. ∇W is the sum of the products uᵢ δᵢᵀ of the rows of `gradient-rows.ts`, and A has rank one: the change is the sum of
 * (a ⊙ uᵢ)(softmax(ρ) ⊙ δᵢ)ᵀ and one product more, a matrix of low rank that is never written out.
 */
import { WhicheditError } from '../../errors.ts'
import type { Factors } from '../../models/patch.ts'
import { dot } from '../../tensor/linalg.ts'
import { zeros } from '../../tensor/tensor.ts'
import type { EditedWeight } from './last-blocks.ts'

/** What a change is made of. */
export interface GatedGradient {
  readonly weight: EditedWeight
  /** (uᵢ, δᵢ) [R, in + out] */
  readonly rows: Float64Array
  /** (a, ρ, b, π, η) [2 (in + out) + 1] */
  readonly gates: Float64Array
  /** m */
  readonly mostScale: number
}

/** A change, and the way back from slopes for its factors to slopes for the gates. */
export interface TracedChange {
  /** A column and a row for each row of the gradient, and one for B. */
  readonly factors: Factors
  /** @throws E_INTERNAL without a slope for one of them */
  back(slopes: Readonly<Partial<Factors>>): Float64Array
}

/** How many numbers a network says of a weight. */
export function countGates({ shape: [into, out] }: EditedWeight): number {
  return 2 * (into + out) + 1
}

/** Makes the change. */
export function changeByGates({ weight, rows, gates, mostScale }: GatedGradient): TracedChange {
  const [into, out] = weight.shape
  const width = into + out
  const count = rows.length / width
  const rank = count + 1
  const [scaled, shifted] = [gates.subarray(0, into), gates.subarray(width, width + into)] // a, b
  const scaledOut = softmax(gates.subarray(into, width))
  const shiftedOut = softmax(gates.subarray(width + into, 2 * width))
  const openness = 1 / (1 + Math.exp(-(gates[2 * width] ?? 0))) // σ(η)
  const scale = mostScale * openness
  const [left, right] = [zeros([into, rank]), zeros([rank, out])]
  for (let at = 0; at < count; at++) {
    for (let i = 0; i < into; i++) left.data[i * rank + at] = (scaled[i] ?? 0) * (rows[at * width + i] ?? 0)
    for (let j = 0; j < out; j++) {
      right.data[at * out + j] = scale * (scaledOut[j] ?? 0) * (rows[at * width + into + j] ?? 0)
    }
  }
  for (let i = 0; i < into; i++) left.data[i * rank + count] = shifted[i] ?? 0
  for (let j = 0; j < out; j++) right.data[count * out + j] = scale * (shiftedOut[j] ?? 0)
  return {
    factors: { left, right },
    back({ left: ofLeft, right: ofRight }) {
      if (ofLeft === undefined || ofRight === undefined) {
        throw new WhicheditError('E_INTERNAL', { what: `no gradient for the change of ${weight.name}` })
      }
      const slopes = new Float64Array(gates.length)
      const [ofScaledOut, ofShiftedOut] = [new Float64Array(out), new Float64Array(out)]
      for (let at = 0; at < count; at++) {
        for (let i = 0; i < into; i++) {
          slopes[i] = (slopes[i] ?? 0) + (rows[at * width + i] ?? 0) * (ofLeft.data[i * rank + at] ?? 0)
        }
        for (let j = 0; j < out; j++) {
          const slope = scale * (rows[at * width + into + j] ?? 0) * (ofRight.data[at * out + j] ?? 0)
          ofScaledOut[j] = (ofScaledOut[j] ?? 0) + slope
        }
      }
      for (let i = 0; i < into; i++) slopes[width + i] = ofLeft.data[i * rank + count] ?? 0
      for (let j = 0; j < out; j++) ofShiftedOut[j] = scale * (ofRight.data[count * out + j] ?? 0)
      slopes.set(followSoftmax(scaledOut, ofScaledOut), into)
      slopes.set(followSoftmax(shiftedOut, ofShiftedOut), width + into)
      // The right factor grows in proportion to s, and dσ/dη = σ (1 − σ).
      slopes[2 * width] = dot(ofRight.data, right.data) * (1 - openness)
      return slopes
    },
  }
}

function softmax(values: Float64Array): Float64Array {
  const largest = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY)
  const powers = values.map((value) => Math.exp(value - largest))
  const sum = powers.reduce((total, power) => total + power, 0)
  return powers.map((power) => power / sum)
}

function followSoftmax(shares: Float64Array, slopes: Float64Array): Float64Array {
  const mean = dot(shares, slopes)
  return shares.map((share, i) => share * ((slopes[i] ?? 0) - mean))
}
