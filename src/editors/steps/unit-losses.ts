/**
 * Two losses on where extra units of a feed-forward answer: each at the input it is made for, none at stored inputs of
 * something else. Closed forms with their gradients; no model is asked.
 *
 *   zᵢ(x) = x·kᵢ + bᵢ            what goes into the activation of unit i
 *   own    = mean over i of exp(μ − zᵢ(qᵢ))
 *   quiet  = S(zᵢ(h) − zᵢ(qᵢ) + γ₁) + S(zᵢ(h) − γ₂),   S the mean of the k largest exponentials over all i and h
 *
 * kᵢ a column of the units' input [D, n], bᵢ its bias; qᵢ the input that unit i is made for; h the stored ones. Huang et al. 2023, §3;
 * reference code ZeroYuHuang/Transformer-Patcher `src/models/patch.py` (`calculate_act_loss`, `calculate_memory_loss`).
 */
import { WhicheditError } from '../../errors.ts'
import type { Units } from '../../models/patch.ts'
import type { Tensor } from '../../tensor/tensor.ts'

/** What decides where units answer. */
export type UnitKeys = Pick<Units, 'input' | 'biases'>

/** A loss of {@link UnitKeys}, with its gradients in their shapes. */
export interface UnitLoss {
  readonly loss: number
  readonly input: Float64Array
  readonly biases: Float64Array
}

/** The loss that is small where each unit answers at its own input [n, D], by a margin. @throws E_NOT_FINITE */
export function answerOwnInputs(keys: UnitKeys, own: Tensor, margin: number): UnitLoss {
  const answers = preactivations(keys, own)
  const n = own.shape[0] ?? 0
  const found = openLoss(keys)
  let loss = 0
  for (let unit = 0; unit < n; unit++) {
    const share = Math.exp(margin - (answers[unit * n + unit] ?? 0)) / n
    loss += share
    addRow(found, unit, own, unit, -share)
  }
  return close(found, loss)
}

/** What {@link keepQuiet} compares. */
export interface QuietJob {
  /** Inputs at which no unit shall answer [M, D]. */
  readonly stored: Tensor
  /** The input that each unit is made for [n, D]. */
  readonly own: Tensor
  /** k: how many of the largest count. */
  readonly top: number
  /** γ₁: by how much a unit shall answer less to stored inputs than to its own. */
  readonly distance: number
  /** γ₂: below what it shall stay at stored inputs. */
  readonly ceiling: number
}

/** The loss that is small where no unit answers to stored inputs. @throws E_NOT_FINITE */
export function keepQuiet(keys: UnitKeys, { stored, own, top, distance, ceiling }: QuietJob): UnitLoss {
  const n = own.shape[0] ?? 0
  const answers = preactivations(keys, stored) // [M, n]
  const ownAnswers = preactivations(keys, own) // [n, n]
  const found = openLoss(keys)
  const compared = answers.map((z, i) => z - (ownAnswers[(i % n) * n + (i % n)] ?? 0) + distance)
  const bounded = answers.map((z) => z - ceiling)
  // Of the loss, for each answer.
  const [slopes, ownSlopes] = [new Float64Array(answers.length), new Float64Array(n)]
  let loss = 0
  for (const scores of [compared, bounded]) {
    const chosen = largest(scores, top)
    for (const at of chosen) {
      const share = Math.exp(scores[at] ?? 0) / chosen.length
      loss += share
      slopes[at] = (slopes[at] ?? 0) + share
      if (scores === compared) ownSlopes[at % n] = (ownSlopes[at % n] ?? 0) - share
    }
  }
  slopes.forEach((slope, at) => {
    if (slope !== 0) addRow(found, at % n, stored, Math.floor(at / n), slope)
  })
  ownSlopes.forEach((slope, unit) => {
    addRow(found, unit, own, unit, slope)
  })
  return close(found, loss)
}

/** x·kᵢ + bᵢ for rows of x [R, D] → [R, n]. Most of a step's time: sums are local, keys lie as rows do. */
function preactivations({ input, biases }: UnitKeys, { shape: [count = 0, width = 0], data }: Tensor): Float64Array {
  const n = biases.data.length
  const result = new Float64Array(count * n)
  for (let unit = 0; unit < n; unit++) {
    const key = Float32Array.from({ length: width }, (_, d) => input.data[d * n + unit] ?? 0)
    const bias = biases.data[unit] ?? 0
    for (let row = 0; row < count; row++) {
      const at = row * width
      // Two sums at once: one would wait for itself.
      let [even, odd] = [bias, 0]
      for (let d = 0; d < width; d += 2) {
        even += (data[at + d] ?? 0) * (key[d] ?? 0)
        odd += (data[at + d + 1] ?? 0) * (key[d + 1] ?? 0)
      }
      result[row * n + unit] = even + odd
    }
  }
  return result
}

/** Where the k largest stand; of equal ones the first. */
function largest(scores: Float64Array, k: number): number[] {
  const least = scores.toSorted()[Math.max(0, scores.length - k)] ?? Number.NEGATIVE_INFINITY
  const above: number[] = []
  const equal: number[] = []
  scores.forEach((score, at) => {
    if (score > least) above.push(at)
    else if (score === least) equal.push(at)
  })
  return [...above, ...equal.slice(0, k - above.length)]
}

function openLoss({ input, biases }: UnitKeys): Omit<UnitLoss, 'loss'> {
  return { input: new Float64Array(input.data.length), biases: new Float64Array(biases.data.length) }
}

/** Adds `slope` times the gradient of zᵢ at a row of x. */
function addRow({ input, biases }: Omit<UnitLoss, 'loss'>, unit: number, x: Tensor, row: number, slope: number): void {
  const n = biases.length
  const width = x.shape[1] ?? 0
  biases[unit] = (biases[unit] ?? 0) + slope
  for (let d = 0; d < width; d++) {
    input[d * n + unit] = (input[d * n + unit] ?? 0) + slope * (x.data[row * width + d] ?? 0)
  }
}

function close(found: Omit<UnitLoss, 'loss'>, loss: number): UnitLoss {
  if (Number.isFinite(loss)) return { ...found, loss }
  throw new WhicheditError('E_NOT_FINITE', { where: 'the loss of extra units', found: String(loss) })
}
