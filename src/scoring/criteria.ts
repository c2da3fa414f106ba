/** The criteria and what kind of number each is made of. */
import type { MethodInfo, ProbeRecord } from '../evidence/record.ts'

/** What a user weighs. */
export type Criterion = ProbeRecord['criterion']

/** The families of methods. */
export type Family = MethodInfo['family']

/**
 * How a criterion's raw number becomes a value: a rate against the unedited model's own rate, a rate as it is, or a cost
 * on a logarithmic scale.
 */
export type Scale = 'gain' | 'rate' | 'cost'

interface CriterionSpec {
  readonly scale: Scale
  /** What the criterion asks, for a newcomer. */
  readonly asks: string
}

/** Every criterion, in the order in which they are shown. */
export const CRITERIA = {
  reliability: { scale: 'gain', asks: 'does the edited model say the new fact?' },
  generalization: { scale: 'gain', asks: 'does it say so when asked in other words?' },
  locality: { scale: 'rate', asks: 'does everything else stay as it was?' },
  portability: { scale: 'gain', asks: 'do related questions follow the new fact?' },
  efficiency: { scale: 'cost', asks: 'what do preparing, editing and asking cost in time and memory?' },
} as const satisfies Record<Criterion, CriterionSpec>

/** The criteria's names, in the order of {@link CRITERIA}. */
export const CRITERION_NAMES = Object.keys(CRITERIA) as readonly Criterion[]

/** Every family, for checking words that name one. */
export const FAMILIES = [
  'memory',
  'in-context',
  'extra-parameters',
  'locate-then-edit',
  'meta-learning',
  'fine-tuning',
  'control',
] as const satisfies readonly Family[]

/** Makes an object with one entry for each criterion. */
export function mapCriteria<T>(make: (criterion: Criterion) => T): Record<Criterion, T> {
  return {
    reliability: make('reliability'),
    generalization: make('generalization'),
    locality: make('locality'),
    portability: make('portability'),
    efficiency: make('efficiency'),
  }
}
