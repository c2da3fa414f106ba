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
  /** Gives the sizes of two pseudo-cases for the next rate: one that succeeded, one that failed. */
  readonly pseudo: () => readonly [number, number]
}

const NO_PSEUDO_CASES: readonly [number, number] = [0, 0]

/** Every case counts once: what was measured. */
export function countEqually(cases: number): Weighing {
  return { cases: new Float64Array(cases).fill(1), pseudo: () => NO_PSEUDO_CASES }
}

/**
 * The weighted means of case numbers; NaN where no case has one. The unedited model's mean is read off the same cases, so
 * it gets no pseudo-cases.
 */
export function weightedMeans(numbers: CaseNumbers, cases: Float64Array, pseudo = NO_PSEUDO_CASES): Means {
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
  const [successes, failures] = pseudo
  return { value: (sum + successes) / (total + successes + failures), base: baseSum / total }
}

/** Seconds once, an edit and a query. Where no query was timed, queries count as no slower. */
export function unitCosts({ prepareS, edit, query }: MethodEvidence, cases: Float64Array): UnitCosts {
  const queryS = query.count === 0 ? 0 : weightedMeans(query, cases).value
  return { prepareS, editS: weightedMeans(edit, cases).value, queryS }
}

/** Writes a method's values, one for each criterion in their order, into `out`; NaN where there is none. */
export function measureValues(method: MethodEvidence, profile: Profile, weighing: Weighing, out: Float64Array): void {
  for (let k = 0; k < CRITERION_NAMES.length; k++) {
    out[k] = measureValue(method, CRITERION_NAMES[k] as Criterion, profile, weighing)
  }
}

function measureValue(method: MethodEvidence, criterion: Criterion, profile: Profile, weighing: Weighing): number {
  const { scale } = CRITERIA[criterion]
  if (scale === 'cost') return efficiencyValue(method, profile, weighing.cases)
  const numbers = method.rates[criterion]
  // Drawn even where it is not used: a criterion without cases must not shift the others' draws.
  const pseudo = weighing.pseudo()
  if (numbers.count === 0) return Number.NaN
  const { value, base } = weightedMeans(numbers, weighing.cases, pseudo)
  return scale === 'gain' ? gainValue(value, base) : rateValue(value)
}

/** Time for the workload, mixed with peak memory where that was measured. */
function efficiencyValue(method: MethodEvidence, { workload, scales, mix }: Profile, cases: Float64Array): number {
  const time = costValue(projectCost(unitCosts(method, cases), workload), scales.efficiency)
  if (method.peakBytes === null) return time
  const { time: timeShare = 1, memory: memoryShare = 1 } = mix.efficiency ?? {}
  const memory = costValue(method.peakBytes, scales.memory)
  return (timeShare * time + memoryShare * memory) / (timeShare + memoryShare)
}
