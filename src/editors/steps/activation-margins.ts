/**
 * A loss on how strongly a change Δ of a matrix answers texts: those meant by a margin more than others. In closed form with its
 * slopes; no model is asked.
 *
 *   a(x) = mean over the positions t of a text of ‖kₜΔ‖ / u
 *   loss = S(γ + a(i) − a(e)) + S(a(i) − α) + S(β − a(e)),   S the mean of what is above zero
 *
 * kₜ the matrix's input at a position; e the texts meant, i others, the first term over all pairs; u the unit in which
 * activations are measured. Wang et al. 2024, §2.3; reference code zjunlp/EasyEdit `models/wise/WISE.py` (`_cal_activation_loss`).
 */
import { norm } from '../../tensor/linalg.ts'
import { type Tensor, tensor } from '../../tensor/tensor.ts'

/** The rows of each text, a row a position. */
export type TextRows = readonly (readonly number[])[]

/** The texts of a loss. */
export interface Scope {
  readonly inside: TextRows
  readonly outside: TextRows
}

/** α, β, γ and u. */
export interface Margins {
  readonly alpha: number
  readonly beta: number
  readonly gamma: number
  readonly unit: number
}

/** The loss, with its slopes for each answer [N, D]. */
export interface MarginLoss {
  readonly loss: number
  readonly slopes: Tensor
}

/** The activation of each text, of answers kₜΔ [N, D]. */
export function measureActivations(answers: Tensor, texts: TextRows, unit: number): number[] {
  return texts.map((text) => text.reduce((sum, row) => sum + lengthOf(answers, row), 0) / text.length / unit)
}

/** The loss that is small where the texts inside are answered strongly and those outside are not, of answers kₜΔ [N, D]. */
export function separateActivations(answers: Tensor, { inside, outside }: Scope, margins: Margins): MarginLoss {
  const { alpha, beta, gamma, unit } = margins
  const meant = measureActivations(answers, inside, unit)
  const others = measureActivations(answers, outside, unit)
  const near = meanAbove(meant.flatMap((a, e) => others.map((b, i) => ({ e, i, above: gamma + b - a }))))
  const loud = meanAbove(others.map((b, i) => ({ i, above: b - alpha })))
  const quiet = meanAbove(meant.map((a, e) => ({ e, above: beta - a })))

  const slopes = new Float32Array(answers.data.length)
  const up = (text: readonly number[] | undefined, slope: number) => addSlope(slopes, answers, text ?? [], slope / unit)
  const ofMeant = meant.map(() => 0)
  const ofOthers = others.map(() => 0)
  for (const { e, i } of near.found) {
    ofMeant[e] = (ofMeant[e] ?? 0) - 1 / near.found.length
    ofOthers[i] = (ofOthers[i] ?? 0) + 1 / near.found.length
  }
  for (const { i } of loud.found) ofOthers[i] = (ofOthers[i] ?? 0) + 1 / loud.found.length
  for (const { e } of quiet.found) ofMeant[e] = (ofMeant[e] ?? 0) - 1 / quiet.found.length
  for (const [e, slope] of ofMeant.entries()) up(inside[e], slope)
  for (const [i, slope] of ofOthers.entries()) up(outside[i], slope)
  return { loss: near.mean + loud.mean + quiet.mean, slopes: tensor(slopes, answers.shape) }
}

function meanAbove<T extends { readonly above: number }>(all: readonly T[]): { mean: number; found: readonly T[] } {
  const found = all.filter(({ above }) => above > 0)
  return { mean: found.reduce((sum, { above }) => sum + above, 0) / Math.max(found.length, 1), found }
}

/** From the slope for a text's activation to those for its answers; one that is zero has no direction to grow in. */
function addSlope(slopes: Float32Array, answers: Tensor, text: readonly number[], slope: number): void {
  const width = answers.shape[1] ?? 0
  for (const row of text) {
    const length = lengthOf(answers, row)
    if (slope === 0 || length === 0) continue
    const factor = slope / length / text.length
    for (let d = row * width; d < (row + 1) * width; d++) {
      slopes[d] = (slopes[d] ?? 0) + factor * (answers.data[d] ?? 0)
    }
  }
}

function lengthOf({ data, shape: [, width = 0] }: Tensor, row: number): number {
  return norm(data.subarray(row * width, (row + 1) * width))
}
