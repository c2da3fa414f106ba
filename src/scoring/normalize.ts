/**
 * From raw numbers to values: 0–100, more is always better, on scales fixed in advance.
 *
 *     gain   v = 100 · clip((x − x0) / (1 − x0))          x0: the unedited model's own rate on the same cases
 *     rate   v = 100 · x
 *     cost   v = 100 · clip(ln(bad / T) / ln(bad / good))  good, bad: from the profile
 *     T = prepare + E · edit + Q · query                   E edits and Q queries of the workload
 *
 * Never the candidates' own best and worst: then adding a method would change every other's value, and could change the
 * winner (Belton and Gear 1983; SPOTIS, Dezert et al. 2020, fixes the ends for the same reason).
 */
import type { CostScale, Workload } from './profile.ts'

/** What a method costs: seconds once, seconds an edit, extra seconds a query. */
export interface UnitCosts {
  readonly prepareS: number
  readonly editS: number
  readonly queryS: number
}

/** The value of a rate that the unedited model's own rate `base` is taken out of; NaN where that leaves nothing to gain. */
export function gainValue(rate: number, base: number): number {
  return base < 1 ? 100 * clip((rate - base) / (1 - base)) : Number.NaN
}

/** The value of a rate. */
export function rateValue(rate: number): number {
  return 100 * clip(rate)
}

/** The value of a cost on a logarithmic scale with fixed ends. */
export function costValue(cost: number, { good, bad }: CostScale): number {
  // Nothing costs less than nothing; the logarithm of 0 is clipped like any cost below `good`.
  return 100 * clip(Math.log(bad / Math.max(cost, 0)) / Math.log(bad / good))
}

/** Seconds that a method takes for the whole workload. A query that came out faster than the unedited model's counts as no slower. */
export function projectCost(costs: UnitCosts, workload: Pick<Workload, 'edits' | 'queries'>): number {
  return costs.prepareS + workload.edits * costs.editS + workload.queries * Math.max(costs.queryS, 0)
}

/** Keeps NaN: it is not a number that could be clipped. */
function clip(x: number): number {
  return Math.min(1, Math.max(0, x))
}
