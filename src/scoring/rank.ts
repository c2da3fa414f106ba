/**
 * Evidence and a profile to a ranking. Pure: no model, no file, no clock; the same evidence, profile and seed give the same
 * ranking, and the order of runs and methods does not matter.
 *
 * matrix (records by case) → measure (values 0–100) → score (weighted average or formula, plus preferences) → bootstrap
 * (intervals, probability of being best) → rule out → ranks and ties.
 */
import { WhicheditError } from '../errors.ts'
import { createRandom } from '../tensor/random.ts'
import { DRAWS, drawScores, intervalOf, type MethodDraws, type Scorer, type Standing, standings } from './bootstrap.ts'
import { CRITERIA, CRITERION_NAMES, type Criterion, mapCriteria } from './criteria.ts'
import { findFlip, type Lead, leadParts } from './lead.ts'
import { buildMatrix, type Evidence, type Matrix, type MethodEvidence, type ReadingKind } from './matrix.ts'
import { countEqually, measureValues, unitCosts, weightedMeans } from './measure.ts'
import { projectCost } from './normalize.ts'
import { collectNotes } from './notes.ts'
import type { Profile } from './profile.ts'
import {
  type CriterionScore,
  type MethodCost,
  RANKING_SCHEMA_VERSION,
  type RankedMethod,
  type Ranking,
} from './ranking.ts'
import { reasonsAgainst } from './rule-out.ts'
import { normalizeWeights, weigh, weightedAverage } from './weigh.ts'

/** What a ranking is made of. */
export interface RankOptions {
  readonly profile: Profile
  readonly evidence: readonly Evidence[]
  readonly seed: number
  readonly reading: ReadingKind
  /** Draws of the bootstrap. */
  readonly draws?: number
}

/** A method ties with the best where the probability of being within the indifference of it is at least this. */
const TIE_PROBABILITY = 0.1
/** z-values of the 5 % level (two-sided) and of 80 % power: a gap of their sum times its standard error is found in four of five probes. */
const DETECTION = 1.96 + 0.84

/**
 * Ranks methods.
 * @throws E_NO_EVIDENCE where nothing was measured, E_MIXED_MODELS for runs of different models, E_RECORD for a number outside
 * its range, E_FORMULA for a formula that leaves 0–100.
 */
export function rankMethods({ profile, evidence, seed, reading, draws: count = DRAWS }: RankOptions): Ranking {
  const matrix = buildMatrix(evidence, { reading, profile })
  const measured = measureAll(matrix, profile)
  const counted = countedCriteria(profile, measured)
  const weights = shareOut(profile, counted)
  const scoring = { profile, counted, weights, shares: CRITERION_NAMES.map((criterion) => weights[criterion]) }
  const scores = scoreMeasured(matrix, measured, scoring)
  const scorer: Scorer = (values, m) => scoreOf(values, matrix.methods[m], scoring)
  const draws = drawScores(matrix, profile, { score: scorer, random: createRandom(seed), count })
  const candidates = matrix.methods.map((method, m) =>
    describeCandidate(method, { measured: measured[m] as Float64Array, draws: draws[m] as MethodDraws, profile }),
  )
  const against = candidates.map((candidate) => reasonsAgainst(candidate, profile, counted))
  const inRace = matrix.methods.map((_, m) => m).filter((m) => against[m]?.length === 0)
  const standing = standings(
    inRace.map((m) => (draws[m] as MethodDraws).scores),
    profile.indifference,
  )
  const others = scoreOtherReading(evidence, { reading, scoring, methods: matrix.methods })
  const top = inRace.filter((_, place) => (standing[place] as Standing).pNearBest >= TIE_PROBABILITY)
  const ranking = candidates.map(({ method, criteria, cost }, m): RankedMethod => {
    const score = scores[m] ?? null
    const interval = intervalOf((draws[m] as MethodDraws).scores, score)
    const own = standing[inRace.indexOf(m)]
    const reasons = against[m] ?? []
    return {
      method: method.info.name,
      title: method.info.title,
      family: method.info.family,
      rank: own === undefined ? null : 1 + inRace.filter((other) => (scores[other] ?? 0) > (score ?? 0)).length,
      tie: top.length > 1 && top.includes(m),
      score,
      scoreLow: interval?.low ?? null,
      scoreHigh: interval?.high ?? null,
      pBest: own?.pBest ?? null,
      pNearBest: own?.pNearBest ?? null,
      rankLow: own?.rankLow ?? null,
      rankHigh: own?.rankHigh ?? null,
      preference: preferenceFor(method, profile),
      otherReadingScore: others[m] ?? null,
      criteria,
      cost,
      failedCases: [...method.failures.values()].reduce((sum, count) => sum + count, 0),
      ...(reasons.length === 0 ? {} : { ruledOut: reasons }),
    }
  })
  const ordered = ranking.sort(byRank)
  const lead = compareFirstTwo(ordered, { scoring, matrix, draws })
  const runs = evidence.map(({ run }) => ({
    id: run.id,
    createdAt: run.createdAt,
    data: run.data.name,
    cases: run.data.cases.length,
  }))
  const { name, id } = (evidence[0] as Evidence).run.model
  return {
    schemaVersion: RANKING_SCHEMA_VERSION,
    profile: {
      title: profile.title,
      weights: profile.weights,
      workload: profile.workload,
      formula: profile.formula?.text ?? null,
      indifference: profile.indifference,
    },
    model: { name, id },
    runs,
    reading,
    seed,
    draws: count,
    weights,
    ranking: ordered,
    lead,
    notes: collectNotes({ matrix, profile, evidence, counted, ranking: ordered, lead, reading }),
  }
}

interface Scoring {
  readonly profile: Profile
  /** The criteria that the score is made of. */
  readonly counted: readonly Criterion[]
  readonly weights: Readonly<Record<Criterion, number>>
  /** The weights in the criteria's order. */
  readonly shares: readonly number[]
}

/** Values of every method with all cases weighing the same; NaN where there is none. */
function measureAll(matrix: Matrix, profile: Profile): Float64Array[] {
  const weighing = countEqually(matrix.cases.length)
  return matrix.methods.map((method) => {
    const values = new Float64Array(CRITERION_NAMES.length)
    measureValues(method, profile, weighing, values)
    return values
  })
}

/** Criteria with a say (a weight, or a place in the formula) that at least one method has a value for. */
function countedCriteria({ weights, formula }: Profile, measured: readonly Float64Array[]): Criterion[] {
  const counted = CRITERION_NAMES.filter((criterion, k) => {
    const isWeighed = weights[criterion] > 0 && (formula === null || formula.usesWeights)
    const isRead = formula?.criteria.includes(criterion) === true
    return (isWeighed || isRead) && measured.some((values) => !Number.isNaN(values[k]))
  })
  const unread = formula?.criteria.find((criterion) => !counted.includes(criterion))
  if (unread !== undefined) {
    throw new WhicheditError('E_FORMULA', { what: `it reads ${unread}, which no method has a value for` })
  }
  if (counted.length === 0) throw new WhicheditError('E_NOTHING_MEASURED', { criteria: weighed(weights).join(', ') })
  return counted
}

function weighed(weights: Profile['weights']): Criterion[] {
  return CRITERION_NAMES.filter((criterion) => weights[criterion] > 0)
}

/** The weight of a criterion that nobody has a value for goes to the others in proportion. */
function shareOut({ weights }: Profile, counted: readonly Criterion[]): Record<Criterion, number> {
  const kept = CRITERION_NAMES.map((criterion) => (counted.includes(criterion) ? weights[criterion] : 0))
  const shares = kept.some((weight) => weight > 0) ? normalizeWeights(kept) : kept
  return mapCriteria((criterion) => shares[CRITERION_NAMES.indexOf(criterion)] ?? 0)
}

/** The scores of what was measured; null where a criterion that counts is missing. */
function scoreMeasured(matrix: Matrix, measured: readonly Float64Array[], scoring: Scoring): (number | null)[] {
  const complete = measured.flatMap((values, m) => (hasAll(values, scoring.counted) ? [m] : []))
  if (scoring.profile.formula !== null) {
    return measured.map((values, m) => (complete.includes(m) ? scoreOf(values, matrix.methods[m], scoring) : null))
  }
  const columns = scoring.counted.map((criterion) => ({
    criterion,
    direction: 'higher' as const,
    weight: scoring.weights[criterion],
    values: complete.map((m) => measured[m]?.[CRITERION_NAMES.indexOf(criterion)] ?? Number.NaN),
  }))
  const averages = weigh(columns)
  return measured.map((_, m) => {
    const average = averages[complete.indexOf(m)]
    return average === undefined ? null : average + preferenceFor(matrix.methods[m], scoring.profile)
  })
}

function hasAll(values: Float64Array, counted: readonly Criterion[]): boolean {
  return counted.every((criterion) => !Number.isNaN(values[CRITERION_NAMES.indexOf(criterion)]))
}

/** One score, preference included; NaN where a criterion that counts is missing. */
function scoreOf(values: Float64Array, method: MethodEvidence | undefined, scoring: Scoring): number {
  const { profile, shares, counted } = scoring
  const average = weightedAverage(shares, values)
  const preference = preferenceFor(method, profile)
  if (profile.formula === null) return average + preference
  if (!hasAll(values, counted)) return Number.NaN
  const named = Object.fromEntries(CRITERION_NAMES.map((criterion, k) => [criterion, values[k] as number]))
  const result = profile.formula.evaluate({ ...named, weighted: average })
  if (!(result >= -1e-9 && result <= 100 + 1e-9)) {
    throw new WhicheditError('E_FORMULA', {
      what: `its result for ${method?.info.name} is ${result}, not within 0–100`,
    })
  }
  return result + preference
}

/** Points that the profile adds for the method and for its family. */
function preferenceFor(method: MethodEvidence | undefined, { prefer }: Profile): number {
  return method === undefined ? 0 : (prefer[method.info.name] ?? 0) + (prefer[method.info.family] ?? 0)
}

function describeCandidate(
  method: MethodEvidence,
  { measured, draws, profile }: { measured: Float64Array; draws: MethodDraws; profile: Profile },
): { method: MethodEvidence; criteria: Record<Criterion, CriterionScore>; cost: MethodCost } {
  const cost = describeCost(method, profile)
  const criteria = mapCriteria((criterion): CriterionScore => {
    const k = CRITERION_NAMES.indexOf(criterion)
    const value = orNull(measured[k] ?? Number.NaN)
    const interval = intervalOf(draws.values[k] as Float64Array, value)
    const { low, high } = interval ?? { low: null, high: null }
    const { scale } = CRITERIA[criterion]
    if (scale === 'cost') {
      return { value, raw: cost.projectedS, base: null, low, high, cases: method.edit.count, source: 'measured' }
    }
    const numbers = method.rates[criterion]
    const means = weightedMeans(numbers, countEqually(numbers.size.length).cases)
    const base = scale === 'gain' ? orNull(means.base) : null
    return { value, raw: orNull(means.value), base, low, high, cases: numbers.count, source: 'measured' }
  })
  return { method, criteria, cost }
}

function describeCost(method: MethodEvidence, { workload }: Profile): MethodCost {
  const costs = unitCosts(method, countEqually(method.edit.size.length).cases)
  return {
    prepareS: costs.prepareS,
    editS: orNull(costs.editS),
    queryS: method.query.count === 0 ? null : costs.queryS,
    peakBytes: method.peakBytes,
    projectedS: orNull(projectCost(costs, workload)),
  }
}

function orNull(value: number): number | null {
  return Number.isNaN(value) ? null : value
}

/** The scores in the reading that was not asked for, with the same criteria and weights. */
function scoreOtherReading(
  evidence: readonly Evidence[],
  { reading, scoring, methods }: { reading: ReadingKind; scoring: Scoring; methods: readonly MethodEvidence[] },
): (number | null)[] {
  const other = reading === 'free-running' ? 'teacher-forced' : 'free-running'
  const matrix = buildMatrix(evidence, { reading: other, profile: scoring.profile })
  const scores = scoreMeasured(matrix, measureAll(matrix, scoring.profile), scoring)
  return methods.map(({ info }) => scores[matrix.methods.findIndex((method) => method.info.name === info.name)] ?? null)
}

/** Ranked methods by rank, then those ruled out by score; names settle what is left, so that no order of input shows. */
function byRank(a: RankedMethod, b: RankedMethod): number {
  const rank = (a.rank ?? Number.POSITIVE_INFINITY) - (b.rank ?? Number.POSITIVE_INFINITY)
  if (!Number.isNaN(rank) && rank !== 0) return rank
  return (b.score ?? -1) - (a.score ?? -1) || (a.method < b.method ? -1 : 1)
}

function compareFirstTwo(
  ranking: readonly RankedMethod[],
  { scoring, matrix, draws }: { scoring: Scoring; matrix: Matrix; draws: readonly MethodDraws[] },
): Lead | null {
  const [first, second] = ranking.filter(({ rank }) => rank !== null)
  if (first === undefined || second === undefined) return null
  const comparison = {
    weights: scoring.weights,
    first: mapCriteria((criterion) => first.criteria[criterion].value),
    second: mapCriteria((criterion) => second.criteria[criterion].value),
    preference: first.preference - second.preference,
  }
  const isAverage = scoring.profile.formula === null
  return {
    first: first.method,
    second: second.method,
    gap: (first.score ?? 0) - (second.score ?? 0),
    parts: isAverage ? leadParts(comparison) : [],
    flip: isAverage ? findFlip(comparison) : null,
    settles: matrix.cases.length < 2 ? null : DETECTION * deviationOfGap([first, second], matrix, draws),
  }
}

/** The standard deviation of the difference between two methods' drawn scores: its standard error. */
function deviationOfGap(pair: readonly RankedMethod[], matrix: Matrix, draws: readonly MethodDraws[]): number {
  const [a, b] = pair.map(({ method }) => draws[matrix.methods.findIndex(({ info }) => info.name === method)]?.scores)
  if (a === undefined || b === undefined) return Number.NaN
  const gaps = a.map((score, draw) => score - (b[draw] as number))
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length
  return Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length)
}
