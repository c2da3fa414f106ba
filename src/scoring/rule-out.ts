/**
 * Which methods cannot be the answer, and why. A weighted average forgives everything, so a profile's limits and minimums
 * are tested apart from it. A minimum rules out only what is clearly below: the upper end of the interval must be.
 */
import { CRITERION_NAMES, type Criterion } from './criteria.ts'
import type { MethodEvidence } from './matrix.ts'
import type { Limits, Profile } from './profile.ts'
import { formatDuration, formatSize } from './quantity.ts'
import type { CriterionScore, MethodCost } from './ranking.ts'

/** What the rules look at. */
export interface Candidate {
  readonly method: MethodEvidence
  readonly criteria: Readonly<Record<Criterion, CriterionScore>>
  readonly cost: MethodCost
}

/** Families that work by what is put before the prompt, so that the weights need not be reached. */
const PROMPT_FAMILIES: readonly string[] = ['in-context', 'control']

/** Every reason why a method is out; none where it may be ranked. @param counted the criteria that the score is made of */
export function reasonsAgainst(candidate: Candidate, profile: Profile, counted: readonly Criterion[]): string[] {
  const unmeasured = reasonUnmeasured(candidate, counted)
  if (unmeasured !== null) return [unmeasured]
  return [
    ...reasonsOfAccess(candidate, profile),
    ...reasonsOfLimits(candidate.cost, profile.limits),
    ...reasonsOfMinimums(candidate, profile.minimums),
  ]
}

/** A method is never compared on fewer criteria than the others: a missing value is not 0, and not an average either. */
function reasonUnmeasured({ method, criteria }: Candidate, counted: readonly Criterion[]): string | null {
  if (method.prepareFailure !== null) return `could not be prepared: ${method.prepareFailure}`
  const missing = counted.filter((criterion) => criteria[criterion].value === null)
  if (missing.length === 0) return null
  const [failure] = [...method.failures].sort((a, b) => b[1] - a[1])
  if (failure !== undefined && method.edit.count === 0) return `every edit failed: ${failure[0]}`
  const isUntried = CRITERION_NAMES.every((criterion) => criteria[criterion].cases === 0)
  return isUntried ? 'not probed yet' : `not measured: ${missing.join(', ')}`
}

function reasonsOfAccess({ method }: Candidate, { workload }: Profile): string[] {
  if (workload.access === 'weights' || PROMPT_FAMILIES.includes(method.info.family)) return []
  return ['needs the weights of the model, which the workload cannot reach (access: api)']
}

function reasonsOfLimits(cost: MethodCost, limits: Limits): string[] {
  const rules: [string, number | null, number | null, (amount: number) => string][] = [
    ['needs', cost.peakBytes, limits.memory, formatSize],
    ['prepares for', cost.prepareS, limits.prepare, formatDuration],
    ['edits for', cost.editS, limits.edit, formatDuration],
    ['slows a query by', cost.queryS, limits.query, formatDuration],
  ]
  return rules.flatMap(([verb, amount, limit, format]) =>
    amount === null || limit === null || amount <= limit ? [] : [`${verb} ${format(amount)}, limit ${format(limit)}`],
  )
}

/** The control does nothing by design: it stays in the ranking as a yardstick. */
function reasonsOfMinimums({ method, criteria }: Candidate, minimums: Profile['minimums']): string[] {
  if (method.info.family === 'control') return []
  return CRITERION_NAMES.flatMap((criterion) => {
    const minimum = minimums[criterion] ?? 0
    const { value, high } = criteria[criterion]
    if (value === null || high === null || high >= minimum) return []
    return [`${criterion} ${Math.round(value)}, at most ${Math.round(high)} on this evidence; minimum ${minimum}`]
  })
}
