/**
 * Which of some candidates to take: runs of one method on the same cases, which differ in its layers. They are measured as methods
 * are for a ranking, by what the models say when they write freely, and compared by one number,
 *
 *     m = n / Σ 1/r        over the n of reliability, generalization and locality that the facts can judge,
 *
 * the harmonic mean, which is near the worst of them: layers that spoil one for another do not win, and one that is 0 makes it 0.
 */
import type { MethodInfo } from '../evidence/record.ts'
import { buildMatrix, type Evidence, type MethodEvidence, type ReadingKind } from './matrix.ts'
import { countEqually, unitCosts, weightedMeans } from './measure.ts'
import { PROFILE_DEFAULTS, type Workload } from './profile.ts'

/** The criteria that layers are chosen by. */
export const SITE_CRITERIA = ['reliability', 'generalization', 'locality'] as const

/** Means over the cases; null: nothing could be judged. */
export type SiteRates = Readonly<Record<(typeof SITE_CRITERIA)[number], number | null>>

/** A candidate in numbers. */
export interface MeasuredSites {
  /** Cases that have an outcome, and how many of them failed. */
  readonly cases: number
  readonly failures: number
  readonly rates: SiteRates
  /** The token accuracy along the right answer, which is shown only. */
  readonly teacherForced: SiteRates
  /** m of this file's head; null where the candidate could not be prepared. */
  readonly mean: number | null
  /** Seconds that an edit takes; null where none succeeded. */
  readonly editS: number | null
  /** Why the first of the failures failed. */
  readonly reason?: string
}

const WORKLOAD: Workload = PROFILE_DEFAULTS.workload

/**
 * Measures candidates against each other: a case whose edit failed counts as 0 where others could be judged.
 * @param runs one for each candidate, of one method on the same cases
 * @throws E_NO_EVIDENCE where no candidate has a case, E_RECORD for a number outside its range
 */
export function measureSites(runs: readonly Evidence[]): MeasuredSites[] {
  const named = runs.map(asMethod)
  const [free, forced] = (['free-running', 'teacher-forced'] satisfies ReadingKind[]).map((reading) => {
    const { methods } = buildMatrix(named, { reading, profile: { mix: {}, workload: WORKLOAD } })
    return methods.map((method) => ({ method, rates: ratesOf(method) }))
  })
  const judged = SITE_CRITERIA.filter((criterion) => free?.some(({ rates }) => rates[criterion] !== null))
  return runs.flatMap(({ records }, i) => {
    const [one, same] = [free?.[i], forced?.[i]]
    if (one === undefined || same === undefined) return []
    const { method, rates } = one
    const isPrepared = method.prepareFailure === null
    const { editS } = unitCosts(method, countEqually(method.edit.size.length).cases)
    const failures = records.flatMap((record) => (record.kind === 'failure' ? [record.message] : []))
    const [reason] = failures
    return {
      cases: records.filter(({ kind }) => kind === 'case').length,
      failures: failures.length,
      ...(reason === undefined ? {} : { reason }),
      rates,
      teacherForced: same.rates,
      mean: isPrepared ? harmonicMean(judged.map((criterion) => rates[criterion] ?? 0)) : null,
      editS: method.edit.count === 0 ? null : editS,
    }
  })
}

/** A run as that of a method of its own, by its place, so that candidates stand beside each other like methods. */
function asMethod({ run, records }: Evidence, place: number): Evidence {
  const name = String(place).padStart(PLACE_DIGITS, '0')
  const methods = run.methods.map((info): MethodInfo => ({ ...info, name }))
  return { run: { ...run, methods }, records: records.map((record) => ({ ...record, method: name })) }
}

/** Methods are sorted by name. */
const PLACE_DIGITS = 4

function ratesOf(method: MethodEvidence): SiteRates {
  const rate = (criterion: (typeof SITE_CRITERIA)[number]): number | null => {
    const numbers = method.rates[criterion]
    return numbers.count === 0 ? null : weightedMeans(numbers, countEqually(numbers.size.length).cases).value
  }
  return {
    reliability: rate('reliability'),
    generalization: rate('generalization'),
    locality: rate('locality'),
  }
}

/** The harmonic mean of rates; 0 where one is 0, or where there is none. */
function harmonicMean(rates: readonly number[]): number {
  if (rates.length === 0 || rates.includes(0)) return 0
  return rates.length / rates.reduce((sum, rate) => sum + 1 / rate, 0)
}

/** Two means that differ by less are the same: sums of the same rates in another order. */
const SAME = 1e-9

/**
 * The place of the candidate to take: the largest mean; of equal ones the nearest to the published layers, the lower of two.
 * Undefined where none could be prepared.
 * @param candidates with how far each lies from the published layers, in layers
 */
export function chooseSites(
  candidates: readonly (Pick<MeasuredSites, 'mean'> & { readonly offset: number })[],
): number | undefined {
  const places = candidates.flatMap(({ mean, offset }, place) => (mean === null ? [] : [{ place, mean, offset }]))
  const most = Math.max(...places.map(({ mean }) => mean))
  const [best] = places
    .filter(({ mean }) => mean > most - SAME)
    .sort((a, b) => Math.abs(a.offset) - Math.abs(b.offset) || a.offset - b.offset)
  return best?.place
}
