/**
 * The flags that stand for answers about priorities and workload. They change a profile as an editor of its file would: as
 * values at keys, so that the file's own comments and all its checks stay.
 */
import { Flags } from '@oclif/core'
import { WhicheditError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import { CRITERION_NAMES, type Criterion } from '../../scoring/criteria.ts'
import { parseWeights } from '../../scoring/profile.ts'
import type { SettingsChange } from '../../settings.ts'
import { suggest } from '../../suggest.ts'
import { centroidPoints } from './points.ts'

/** Words of a workload, as the wizard and the flags offer them. */
export const ARRIVALS = ['single', 'batch', 'stream'] as const
/** How far related knowledge must follow. */
export const RELATED = ['low', 'medium', 'high'] as const
/** What of the model can be changed. */
export const ACCESS = ['weights', 'api'] as const

const HELP_GROUP = 'PROFILE'

/** Flags about priorities and workload. */
export const PROFILE_FLAGS = {
  weights: Flags.string({
    char: 'w',
    env: 'WHICHEDIT_WEIGHTS',
    helpGroup: HELP_GROUP,
    helpValue: 'A=N,B=N',
    exclusive: ['order'],
    description: 'points for criteria, e.g. reliability=40,locality=60; those not named have none',
  }),
  order: Flags.string({
    env: 'WHICHEDIT_ORDER',
    helpGroup: HELP_GROUP,
    helpValue: 'A,B',
    description: 'criteria, most important first, instead of points; those not named have none',
  }),
  edits: Flags.integer({
    env: 'WHICHEDIT_EDITS',
    min: 1,
    helpGroup: HELP_GROUP,
    helpValue: 'N',
    description: 'edits you plan for',
  }),
  arrival: Flags.option({ options: ARRIVALS })({
    env: 'WHICHEDIT_ARRIVAL',
    helpGroup: HELP_GROUP,
    description: 'how edits arrive: one on a fresh model, many at once, one after another',
  }),
  related: Flags.option({ options: RELATED })({
    env: 'WHICHEDIT_RELATED',
    helpGroup: HELP_GROUP,
    description: 'how far related knowledge must follow an edit',
  }),
  queries: Flags.integer({
    env: 'WHICHEDIT_QUERIES',
    min: 0,
    helpGroup: HELP_GROUP,
    helpValue: 'N',
    description: 'questions you plan to ask',
  }),
  access: Flags.option({ options: ACCESS })({
    env: 'WHICHEDIT_ACCESS',
    helpGroup: HELP_GROUP,
    description: 'whether weights can be changed, or only prompts',
  }),
  'max-memory': Flags.string({
    env: 'WHICHEDIT_MAX_MEMORY',
    helpGroup: HELP_GROUP,
    helpValue: 'SIZE',
    description: 'most memory, e.g. "16 GiB"',
  }),
  'max-prepare': Flags.string({
    env: 'WHICHEDIT_MAX_PREPARE',
    helpGroup: HELP_GROUP,
    helpValue: 'TIME',
    description: 'longest preparation, e.g. "2 h"',
  }),
  'max-edit': Flags.string({
    env: 'WHICHEDIT_MAX_EDIT',
    helpGroup: HELP_GROUP,
    helpValue: 'TIME',
    description: 'longest edit',
  }),
  'max-query': Flags.string({
    env: 'WHICHEDIT_MAX_QUERY',
    helpGroup: HELP_GROUP,
    helpValue: 'TIME',
    description: 'longest extra time of a query',
  }),
} as const

/** The values of {@link PROFILE_FLAGS}. */
export interface ProfileAnswers {
  readonly weights?: string | undefined
  readonly order?: string | undefined
  readonly edits?: number | undefined
  readonly arrival?: (typeof ARRIVALS)[number] | undefined
  readonly related?: (typeof RELATED)[number] | undefined
  readonly queries?: number | undefined
  readonly access?: (typeof ACCESS)[number] | undefined
  readonly 'max-memory'?: string | undefined
  readonly 'max-prepare'?: string | undefined
  readonly 'max-edit'?: string | undefined
  readonly 'max-query'?: string | undefined
}

/** Where each answer stands in a profile; weights and order have their own ways. */
const PLACES = {
  edits: ['workload', 'edits'],
  arrival: ['workload', 'arrival'],
  related: ['workload', 'relatedKnowledge'],
  queries: ['workload', 'queries'],
  access: ['workload', 'access'],
  'max-memory': ['limits', 'memory'],
  'max-prepare': ['limits', 'prepare'],
  'max-edit': ['limits', 'edit'],
  'max-query': ['limits', 'query'],
} as const satisfies Record<Exclude<keyof ProfileAnswers, 'weights' | 'order'>, readonly string[]>

/** Whether priorities are given, so that no profile is needed. */
export function hasPriorities({ weights, order }: ProfileAnswers): boolean {
  return weights !== undefined || order !== undefined
}

/**
 * The changes that answers make to a profile.
 * @throws E_WEIGHTS for weights or an order that cannot be read.
 */
export function profileChanges(answers: ProfileAnswers): SettingsChange[] {
  const places = Object.entries(PLACES) as [keyof typeof PLACES, readonly string[]][]
  const changes = places.flatMap(([flag, path]) =>
    answers[flag] === undefined ? [] : [{ path, value: answers[flag] }],
  )
  return [...weightChanges(answers), ...changes]
}

/** The flags that say the same as answers; quoted for a shell where needed. */
export function formatProfileFlags(answers: ProfileAnswers): string[] {
  return (Object.keys(PROFILE_FLAGS) as (keyof ProfileAnswers)[]).flatMap((flag) => {
    const value = answers[flag]
    return value === undefined ? [] : [`--${flag}`, quote(String(value))]
  })
}

/** A word as a POSIX shell takes it. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

function weightChanges({ weights, order }: ProfileAnswers): SettingsChange[] {
  if (weights !== undefined) {
    // Read for its checks; written as given, so that the points stay the user's own numbers.
    parseWeights(weights)
    const points = new Map(
      weights.split(',').map((part) => part.split('=').map((word) => word.trim()) as [string, string]),
    )
    return CRITERION_NAMES.map((criterion) => ({
      path: ['weights', criterion],
      value: Number(points.get(criterion) ?? 0),
    }))
  }
  if (order === undefined) return []
  const names = readOrder(order)
  const points = centroidPoints(names.length)
  return CRITERION_NAMES.map((criterion) => ({
    path: ['weights', criterion],
    value: points[names.indexOf(criterion)] ?? 0,
  }))
}

function readOrder(order: string): Criterion[] {
  const names = order
    .split(',')
    .map((word) => word.trim())
    .map((word) => {
      const found = CRITERION_NAMES.find((name) => name === word)
      if (found !== undefined) return found
      const [nearest] = suggest(word, CRITERION_NAMES)
      const hint = nearest === undefined ? '' : `; did you mean ${nearest}?`
      throw new WhicheditError('E_WEIGHTS', {
        expected: `one of ${CRITERION_NAMES.join(', ')}`,
        found: `"${printable(word)}"`,
        hint,
      })
    })
  if (new Set(names).size === names.length) return names
  throw new WhicheditError('E_WEIGHTS', { expected: 'each criterion once', found: `"${printable(order)}"`, hint: '' })
}
