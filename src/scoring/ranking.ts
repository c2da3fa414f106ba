/** What a ranking says. Plain data: what `rank --json` prints, and all that reports are made of. */
import type { Criterion, Family } from './criteria.ts'
import type { Lead } from './lead.ts'
import type { ReadingKind } from './matrix.ts'
import type { Workload } from './profile.ts'

/** Version of {@link Ranking} as a document. */
export const RANKING_SCHEMA_VERSION = 1

/** A criterion of one method. Null where it could not be measured. */
export interface CriterionScore {
  /** 0–100, more is better. */
  readonly value: number | null
  /** The rate in [0, 1]; for efficiency the seconds for the whole workload. */
  readonly raw: number | null
  /** The unedited model's rate on the same cases, where the value is what was gained over it. */
  readonly base: number | null
  /** The 5–95 % interval of the value. */
  readonly low: number | null
  readonly high: number | null
  /** Cases with a number. */
  readonly cases: number
  readonly source: 'measured'
}

/** What a method costs. */
export interface MethodCost {
  readonly prepareS: number
  readonly editS: number | null
  /** Extra seconds for a query; null where it was not timed. */
  readonly queryS: number | null
  readonly peakBytes: number | null
  /** Seconds for the whole workload of the profile. */
  readonly projectedS: number | null
}

/** A method's place and why. */
export interface RankedMethod {
  readonly method: string
  readonly title: string
  readonly family: Family
  /** From 1; equal scores share a rank. Null for a method that is ruled out. */
  readonly rank: number | null
  /** Whether it belongs to several methods that cannot be told from the best. */
  readonly tie: boolean
  /** 0–100, with preferences added; null where a criterion that counts is missing. */
  readonly score: number | null
  readonly scoreLow: number | null
  readonly scoreHigh: number | null
  /** Probability of the best score, and of one within the indifference of it, on this evidence. */
  readonly pBest: number | null
  readonly pNearBest: number | null
  /** The 5–95 % interval of the rank. */
  readonly rankLow: number | null
  readonly rankHigh: number | null
  /** Points that the profile's preferences added. */
  readonly preference: number
  /** The score in the reading that was not asked for. */
  readonly otherReadingScore: number | null
  readonly criteria: Readonly<Record<Criterion, CriterionScore>>
  readonly cost: MethodCost
  /** Cases whose edit failed. */
  readonly failedCases: number
  /** Why it is not ranked; absent for a method that is. */
  readonly ruledOut?: readonly string[]
}

/** A run that a ranking rests on. */
export interface RankedRun {
  readonly id: string
  readonly createdAt: string
  readonly data: string
  readonly cases: number
}

/** A ranking. */
export interface Ranking {
  readonly schemaVersion: typeof RANKING_SCHEMA_VERSION
  readonly profile: {
    readonly title: string
    /** As the profile gives them, summing to 1. */
    readonly weights: Readonly<Record<Criterion, number>>
    readonly workload: Workload
    readonly formula: string | null
    readonly indifference: number
  }
  readonly model: { readonly name: string; readonly id: string }
  readonly runs: readonly RankedRun[]
  readonly reading: ReadingKind
  readonly seed: number
  /** Draws that intervals and probabilities were counted on. */
  readonly draws: number
  /** The weights that were used: those of the profile, shared out anew where a criterion could not be measured. */
  readonly weights: Readonly<Record<Criterion, number>>
  /** Ranked methods by rank, then those ruled out. */
  readonly ranking: readonly RankedMethod[]
  /** The first two compared; null where fewer than two are ranked. */
  readonly lead: Lead | null
  readonly notes: readonly string[]
}

/** The best method that does something; undefined where none qualifies. The control is ranked, but it is no answer. */
export function bestMethod({ ranking }: Ranking): RankedMethod | undefined {
  return ranking.find(({ rank, family }) => rank !== null && family !== 'control')
}
