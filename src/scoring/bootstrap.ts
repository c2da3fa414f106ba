/**
 * How sure a ranking is: what the scores might have been with other cases.
 *
 * Bayesian bootstrap (Rubin 1981) over cases: in each draw every case weighs g_i ~ Exp(1), the same for all methods and
 * criteria, so that methods stay compared on the same cases. Each rate gets two pseudo-cases of Jeffreys' prior,
 * a, b ~ Gamma(½):
 *
 *     θ = (Σ g_i y_i + a) / (Σ g_i + a + b)
 *
 * Without them eight successes in eight cases would have an interval of no width. Costs have no such bound and get none.
 * Every method draws its pseudo-cases from a stream of its own: adding a method leaves the others' draws alone.
 */
import type { Random } from '../tensor/random.ts'
import { CRITERION_NAMES } from './criteria.ts'
import type { Matrix } from './matrix.ts'
import { measureValues } from './measure.ts'
import type { Profile } from './profile.ts'

/** Ten thousand draws fix a probability to about one point, in a fraction of a second. */
export const DRAWS = 10_000

/** The draws of one method. */
export interface MethodDraws {
  /** One array for each criterion in their order; NaN where there is no value. [draws] */
  readonly values: readonly Float64Array[]
  /** NaN where it cannot be scored. [draws] */
  readonly scores: Float64Array
}

/** An interval that holds nine draws in ten. */
export interface Interval {
  readonly low: number
  readonly high: number
}

/** Makes a score of a method's values; NaN where one that counts is missing. */
export type Scorer = (values: Float64Array, method: number) => number

/** How scores are drawn. */
export interface DrawOptions {
  readonly score: Scorer
  readonly random: Random
  /** How many draws. */
  readonly count: number
}

/** Draws values and scores of every method. */
export function drawScores(matrix: Matrix, profile: Profile, { score, random, count }: DrawOptions): MethodDraws[] {
  const draws = matrix.methods.map(() => ({
    values: CRITERION_NAMES.map(() => new Float64Array(count)),
    scores: new Float64Array(count),
  }))
  const caseStream = random.stream('cases')
  const pseudoStreams = matrix.methods.map(({ info }) => random.stream(`pseudo-cases of ${info.name}`))
  const cases = new Float64Array(matrix.cases.length)
  const pseudo = new Float64Array(2 * CRITERION_NAMES.length)
  const values = new Float64Array(CRITERION_NAMES.length)
  for (let draw = 0; draw < count; draw++) {
    for (let i = 0; i < cases.length; i++) cases[i] = -Math.log(1 - caseStream.uniform())
    matrix.methods.forEach((method, m) => {
      const own = draws[m] as MethodDraws
      const stream = pseudoStreams[m] as Random
      // Half the square of a standard normal is a Gamma(½).
      for (let i = 0; i < pseudo.length; i++) pseudo[i] = stream.normal() ** 2 / 2
      measureValues(method, profile, { cases, pseudo }, values)
      for (let k = 0; k < values.length; k++) (own.values[k] as Float64Array)[draw] = values[k] as number
      own.scores[draw] = score(values, m)
    })
  }
  return draws
}

/**
 * The 5–95 % interval of draws, widened to hold what was measured: pseudo-cases pull the draws of an extreme rate inwards.
 * Null where there is no value; where there is one, every draw has one too.
 */
export function intervalOf(draws: Float64Array, measured: number | null): Interval | null {
  if (measured === null) return null
  const sorted = draws.toSorted()
  return {
    low: Math.min(measured, sortedQuantile(sorted, 0.05)),
    high: Math.max(measured, sortedQuantile(sorted, 0.95)),
  }
}

/** Type 7 of Hyndman and Fan 1996, on an array that is sorted already. */
function sortedQuantile(sorted: Float64Array, probability: number): number {
  const place = (sorted.length - 1) * probability
  const low = sorted[Math.floor(place)] as number
  const high = sorted[Math.ceil(place)] as number
  return low + (place - Math.floor(place)) * (high - low)
}

/** How methods stand in the draws. */
export interface Standing {
  /** Share of draws in which it has the best score; equal scores share a draw. */
  readonly pBest: number
  /** Share of draws in which it is within the indifference of the best. */
  readonly pNearBest: number
  /** Ranks that hold nine draws in ten. */
  readonly rankLow: number
  readonly rankHigh: number
}

/** Ranks methods against each other, draw by draw. @param scores one array of draws for each method */
export function standings(scores: readonly Float64Array[], indifference: number): Standing[] {
  const count = scores.length
  const draws = scores[0]?.length ?? 0
  const best = new Float64Array(count)
  const near = new Float64Array(count)
  const ranks = scores.map(() => new Float64Array(count))
  const row = new Float64Array(count)
  for (let draw = 0; draw < draws; draw++) {
    let top = Number.NEGATIVE_INFINITY
    for (let m = 0; m < count; m++) {
      const score = (scores[m] as Float64Array)[draw] as number
      row[m] = score
      if (score > top) top = score
    }
    const winners = countWhere(row, (score) => score === top)
    for (let m = 0; m < count; m++) {
      const score = row[m] as number
      if (score === top) best[m] = (best[m] as number) + 1 / winners
      if (score >= top - indifference) near[m] = (near[m] as number) + 1
      const counts = ranks[m] as Float64Array
      const rank = countWhere(row, (other) => other > score)
      counts[rank] = (counts[rank] as number) + 1
    }
  }
  return ranks.map((counts, m) => ({
    pBest: (best[m] as number) / draws,
    pNearBest: (near[m] as number) / draws,
    rankLow: rankAt(counts, 0.05 * draws),
    rankHigh: rankAt(counts, 0.95 * draws),
  }))
}

function countWhere(row: Float64Array, isCounted: (score: number) => boolean): number {
  let count = 0
  for (const score of row) if (isCounted(score)) count++
  return count
}

/** The least rank that at least so many draws do not exceed. */
function rankAt(counts: Float64Array, least: number): number {
  let seen = 0
  for (let rank = 0; rank < counts.length; rank++) {
    seen += counts[rank] as number
    if (seen >= least) return rank + 1
  }
  return counts.length
}
