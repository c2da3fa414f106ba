/** Why the first method leads the second, and what would turn that round. */
import { CRITERION_NAMES, type Criterion } from './criteria.ts'

/** What a criterion, or a preference, adds to the lead. */
export interface LeadPart {
  readonly of: Criterion | 'preference'
  /** Points of score; negative where the second is better. */
  readonly points: number
}

/** The fewest points of weight that must move for the second to draw level. */
export interface Flip {
  /** Points out of 100. */
  readonly points: number
  readonly from: readonly Criterion[]
  readonly to: Criterion
}

/** The first method against the second. */
export interface Lead {
  readonly first: string
  readonly second: string
  /** Points of score between them. */
  readonly gap: number
  /** The gap in its parts, largest first; empty for a formula, which has no parts. */
  readonly parts: readonly LeadPart[]
  /** Null where no weights turn it round, or a formula takes their place. */
  readonly flip: Flip | null
  /** The gap that these cases could settle in four of five probes like this one (5 % level); null for a single case. */
  readonly settles: number | null
}

/** What is compared: values (0–100) of two methods and the weights that count. */
export interface Comparison {
  readonly weights: Readonly<Record<Criterion, number>>
  readonly first: Readonly<Record<Criterion, number | null>>
  readonly second: Readonly<Record<Criterion, number | null>>
  /** Difference of the two preferences, first less second. */
  readonly preference: number
}

/** Splits the lead into what each criterion adds to it: `w_k · (v_k − v'_k)`, and the preference. Parts of 0 are left out. */
export function leadParts(comparison: Comparison): LeadPart[] {
  const parts: LeadPart[] = differences(comparison).map(({ criterion, weight, difference }) => ({
    of: criterion,
    points: weight * difference,
  }))
  parts.push({ of: 'preference', points: comparison.preference })
  return parts.filter(({ points }) => points !== 0).sort((a, b) => Math.abs(b.points) - Math.abs(a.points))
}

/**
 * The fewest points moved between weights (½‖w′ − w‖₁) that close the gap: all go to the criterion where the first is worst
 * against the second, taken from where it is best downwards; a point from i to j shrinks the gap by d_i − d_j.
 */
export function findFlip(comparison: Comparison): Flip | null {
  const order = differences(comparison).sort((a, b) => b.difference - a.difference)
  const to = order.at(-1)
  if (to === undefined) return null
  let gap = order.reduce((sum, { weight, difference }) => sum + weight * difference, comparison.preference)
  let moved = 0
  const from: Criterion[] = []
  for (const { criterion, weight, difference } of order) {
    const shrink = difference - to.difference
    if (gap <= 0 || shrink <= 0) break
    if (weight === 0) continue
    const share = Math.min(weight, gap / shrink)
    moved += share
    gap -= share * shrink
    from.push(criterion)
  }
  // Rounding may leave a trace of a gap that is closed.
  return gap > 1e-9 ? null : { points: 100 * moved, from, to: to.criterion }
}

interface Difference {
  readonly criterion: Criterion
  readonly weight: number
  readonly difference: number
}

/** Criteria in which both have a value; the others have no weight. */
function differences({ weights, first, second }: Comparison): Difference[] {
  return CRITERION_NAMES.flatMap((criterion) => {
    const [a, b] = [first[criterion], second[criterion]]
    return a === null || b === null ? [] : [{ criterion, weight: weights[criterion], difference: a - b }]
  })
}
