/**
 * A method's values under given case weights: all weights 1 for what was measured, random ones for what might have been
 * (`bootstrap.ts`). One function for both, so that a score and its interval can never be made in two ways.
 */
import { CRITERIA, CRITERION_NAMES, type Criterion } from './criteria.ts'
import type { CaseNumbers, MethodEvidence } from './matrix.ts'
import { costValue, gainValue, projectCost, rateValue, type UnitCosts } from './normalize.ts'
import type { Profile } from './profile.ts'

/** Means over the cases. */
export interface Means {
  readonly value: number
  /** The unedited model's. */
  readonly base: number
}

/** How cases are weighed, and the pseudo-cases that a rate gets besides. */
export interface Weighing {
  /** [cases] */
  readonly cases: Float64Array
  /** Sizes of two pseudo-cases for each criterion in their order: one that succeeded, then one that failed. [2 · criteria] */
  readonly pseudo: Float64Array
}

/** Every case counts once, and no pseudo-cases: what was measured. */
export function countEqually(cases: number): Weighing {
  return { cases: new Float64Array(cases).fill(1), pseudo: new Float64Array(2 * CRITERION_NAMES.length) }
}

/**
 * The weighted means of case numbers; NaN where no case has one. The unedited model's mean is read off the same cases, so
 * it gets no pseudo-cases.
 */
export function weightedMeans(numbers: CaseNumbers, cases: Float64Array, successes = 0, failures = 0): Means {
  const { size, value, base } = numbers
  let total = 0
  let sum = 0
  let baseSum = 0
  for (let i = 0; i < size.length; i++) {
    const share = (size[i] as number) * (cases[i] as number)
    total += share
    sum += share * (value[i] as number)
    baseSum += share * (base[i] as number)
  }
  return { value: (sum + successes) / (total + successes + failures), base: baseSum / total }
}

/** The weighted mean of costs by case; NaN where no case has one. */
function weightedCost({ size, value }: CaseNumbers, cases: Float64Array): number {
  let total = 0
  let sum = 0
  for (let i = 0; i < size.length; i++) {
    const share = (size[i] as number) * (cases[i] as number)
    total += share
    sum += share * (value[i] as number)
  }
  return sum / total
}

/** Seconds once, an edit and a query. Where no query was timed, queries count as no slower. */
export function unitCosts({ prepareS, edit, query }: MethodEvidence, cases: Float64Array): UnitCosts {
  const queryS = query.count === 0 ? 0 : weightedCost(query, cases)
  return { prepareS, editS: weightedCost(edit, cases), queryS }
}

/** Writes a method's values, one for each criterion in their order, into `out`; NaN where there is none. */
export function measureValues(method: MethodEvidence, profile: Profile, weighing: Weighing, out: Float64Array): void {
  const { cases, pseudo } = weighing
  for (let k = 0; k < CRITERION_NAMES.length; k++) {
    const criterion = CRITERION_NAMES[k] as Criterion
    const { scale } = CRITERIA[criterion]
    const numbers = method.rates[criterion]
    if (scale === 'cost') out[k] = efficiencyValue(method, profile, cases)
    else if (numbers.count === 0) out[k] = Number.NaN
    else {
      const { value, base } = weightedMeans(numbers, cases, pseudo[2 * k], pseudo[2 * k + 1])
      out[k] = scale === 'gain' ? gainValue(value, base) : rateValue(value)
    }
  }
}

/** Time for the workload, mixed with peak memory where that was measured. */
function efficiencyValue(method: MethodEvidence, { workload, scales, mix }: Profile, cases: Float64Array): number {
  const time = costValue(projectCost(unitCosts(method, cases), workload), scales.efficiency)
  if (method.peakBytes === null) return time
  const { time: timeShare = 1, memory: memoryShare = 1 } = mix.efficiency ?? {}
  const memory = costValue(method.peakBytes, scales.memory)
  return (timeShare * time + memoryShare * memory) / (timeShare + memoryShare)
}
