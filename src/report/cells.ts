/** How the numbers of a ranking are written; the same in every form. */
import { printable } from '../printable.ts'
import type { RankedMethod, Ranking } from '../scoring/ranking.ts'

/** A number with its interval; null where it could not be measured. */
export interface Measured {
  readonly value: number | null
  readonly low: number | null
  readonly high: number | null
}

/** What stands for a number that could not be measured. */
export const UNMEASURED = 'n/a'

/** `72`, or `n/a`. */
export function formatPoints(value: number | null): string {
  return value === null ? UNMEASURED : value.toFixed(0)
}

/** `72 (68–75)`. */
export function formatInterval({ value, low, high }: Measured): string {
  return value === null || low === null || high === null
    ? UNMEASURED
    : `${value.toFixed(0)} (${low.toFixed(0)}–${high.toFixed(0)})`
}

/** `72 ±4`: the wider side of the interval. */
export function formatMargin({ value, low, high }: Measured): string {
  if (value === null || low === null || high === null) return UNMEASURED
  return `${value.toFixed(0)} ±${Math.max(value - low, high - value).toFixed(0)}`
}

/** `1`, `1=` for one of several that cannot be told apart, `out`. */
export function formatRank({ rank, tie }: Pick<RankedMethod, 'rank' | 'tie'>): string {
  return rank === null ? 'out' : `${rank}${tie ? '=' : ''}`
}

/** A weight as a share of 100. */
export function formatWeight(weight: number): string {
  return `${Math.round(100 * weight)} %`
}

/** What a ranking rests on, a line each: model, cases, reading. */
export function formatSource({ model, runs, reading, profile, seed, draws }: Ranking): string[] {
  const shown = {
    'free-running': 'what the model says freely (forced: teacher-forced, optimistic)',
    'teacher-forced': 'teacher-forced accuracy, optimistic (free: what the model says freely)',
  }[reading]
  const { edits, arrival, queries } = profile.workload
  return [
    `model ${printable(model.name)} · profile ${printable(profile.title)} · ${edits} ${edits === 1 ? 'edit' : 'edits'}, ${arrival}, ${queries} queries`,
    ...runs.map(({ id, data, cases }) => `run ${printable(id)} · ${cases} cases of ${printable(data)}`),
    `scored by ${shown} · intervals hold 90 % of ${draws} draws, seed ${seed}`,
  ]
}
