/**
 * A profile: what matters to a user. Weights, workload, limits, minimums, scales, in a YAML file of schema
 * `whichedit/profile@1`. What a file leaves out is taken from {@link PROFILE_DEFAULTS}, the one table of defaults.
 */
import { z } from 'zod'
import { WhicheditError } from '../errors.ts'
import { printable } from '../printable.ts'
import { parseSettings, readSettings } from '../settings.ts'
import { suggest } from '../suggest.ts'
import { CRITERION_NAMES, type Criterion, mapCriteria } from './criteria.ts'
import { compileFormula, type Formula } from './formula.ts'
import { DURATION_FORM, parseDuration, parseSize, SIZE_FORM } from './quantity.ts'
import { normalizeWeights } from './weigh.ts'

/** The schema word at the top of every profile. */
export const PROFILE_SCHEMA = 'whichedit/profile@1'

/** Weights of all criteria, summing to 1. */
export type Weights = Readonly<Record<Criterion, number>>

/** What the edits are for: decides which probes count and what costs are projected to. Never changes weights by itself. */
export interface Workload {
  /** Edits over the horizon that the user plans for. */
  readonly edits: number
  /** One fact at a time on a fresh model, many at once, or one after the other on the same model. */
  readonly arrival: 'single' | 'batch' | 'stream'
  /** How far related knowledge must follow an edit. */
  readonly relatedKnowledge: 'low' | 'medium' | 'high'
  /** Questions asked of the edited model over the horizon. */
  readonly queries: number
  /** Whether the model's weights can be changed, or only its prompts. */
  readonly access: 'weights' | 'api'
}

/** The fixed ends of a cost's scale: at `good` and below its value is 100, at `bad` and above 0. */
export interface CostScale {
  readonly good: number
  readonly bad: number
}

/** What a method must not exceed, in bytes and seconds; null: no limit. */
export interface Limits {
  readonly memory: number | null
  readonly prepare: number | null
  readonly edit: number | null
  readonly query: number | null
}

/** A profile as read: every default filled in, quantities in seconds and bytes. */
export interface Profile {
  readonly title: string
  readonly weights: Weights
  readonly workload: Workload
  readonly limits: Limits
  /** Least value (0–100) of a criterion; a method clearly below is ruled out. */
  readonly minimums: Readonly<Partial<Record<Criterion, number>>>
  /** Weights of the probes inside a criterion, by camelCase probe name; of efficiency: `time`, `memory`. One not named weighs 1. */
  readonly mix: Readonly<Partial<Record<Criterion, Readonly<Record<string, number>>>>>
  /** Ends of the cost scales: seconds for the whole workload, bytes at the peak. */
  readonly scales: { readonly efficiency: CostScale; readonly memory: CostScale }
  /** Points added to the score of a family or a method. */
  readonly prefer: Readonly<Record<string, number>>
  readonly formula: Formula | null
  /** Differences of scores up to this many points do not matter to the user. */
  readonly indifference: number
}

/** What holds where a profile says nothing. */
export const PROFILE_DEFAULTS = {
  workload: { edits: 1, arrival: 'single', relatedKnowledge: 'medium', queries: 1000, access: 'weights' },
  limits: { memory: null, prepare: null, edit: null, query: null },
  // A weighted sum forgives everything: a method whose edits mostly fail is of no use, however local and fast it is.
  minimums: { reliability: 50 },
  // Peak memory holds the model itself, much the same for all: it says less than time does.
  mix: { efficiency: { time: 3, memory: 1 } },
  scales: { efficiency: { good: '10 s', bad: '2 h' }, memory: { good: '1 GiB', bad: '64 GiB' } },
  prefer: {},
  formula: null,
  // Below two points no probe of a few dozen cases can tell methods apart.
  indifference: 2,
} as const

const duration = quantity(parseDuration, DURATION_FORM)
const size = quantity(parseSize, SIZE_FORM)
const points = z.number().min(0)
const defaults = PROFILE_DEFAULTS

/** The schema of a profile's file. */
export const profileSchema = z.strictObject({
  schema: z.literal(PROFILE_SCHEMA).describe('the format of this file'),
  title: z.string().min(1).max(200).default('Untitled profile').describe('one line for people'),
  weights: z
    .partialRecord(criterionKey(), points)
    .refine((weights) => Object.values(weights).some((weight) => (weight ?? 0) > 0), {
      message: 'at least one weight above 0',
      // Beside another mistake in the weights it would only distract.
      when: ({ issues }) => issues.length === 0,
    })
    .describe('points for each criterion, any numbers of 0 and more; a criterion not named has none'),
  workload: z
    .strictObject({
      edits: z.number().int().min(1).default(defaults.workload.edits).describe('edits over the horizon'),
      arrival: z.enum(['single', 'batch', 'stream']).default(defaults.workload.arrival).describe('how edits arrive'),
      relatedKnowledge: z
        .enum(['low', 'medium', 'high'])
        .default(defaults.workload.relatedKnowledge)
        .describe('how far related knowledge must follow'),
      queries: z.number().int().min(0).default(defaults.workload.queries).describe('questions over the horizon'),
      access: z.enum(['weights', 'api']).default(defaults.workload.access).describe('what of the model can be changed'),
    })
    .prefault({}),
  limits: z
    .strictObject({
      memory: size.nullable().default(defaults.limits.memory).describe('peak memory'),
      prepare: duration.nullable().default(defaults.limits.prepare).describe('time once before the first edit'),
      edit: duration.nullable().default(defaults.limits.edit).describe('time for an edit'),
      query: duration.nullable().default(defaults.limits.query).describe('extra time for a query'),
    })
    .prefault({})
    .describe('a method that exceeds one is ruled out'),
  minimums: z
    .partialRecord(criterionKey(), z.number().min(0).max(100))
    .default(defaults.minimums)
    .describe('least value (0–100) of a criterion; a method clearly below is ruled out'),
  mix: z
    .partialRecord(criterionKey(), z.record(z.string(), points).refine(hasWeight, 'at least one part above 0'))
    .default({})
    .describe('weights of the probes inside a criterion; a probe not named weighs 1'),
  scales: z
    .strictObject({
      efficiency: scale(duration).prefault(defaults.scales.efficiency),
      memory: scale(size).prefault(defaults.scales.memory),
    })
    .prefault({})
    .describe('fixed ends of the logarithmic cost scales'),
  prefer: z
    .record(z.string(), z.number().min(-100).max(100))
    .default(defaults.prefer)
    .describe('points added to a family or a method, shown in the ranking'),
  formula: formula()
    .nullable()
    .default(defaults.formula)
    .describe('an expression over the criteria instead of the average'),
  indifference: points.max(100).default(defaults.indifference).describe('points of score that do not matter'),
})

/**
 * Reads a profile's file.
 * @throws E_SETTINGS with the place of every mistake, E_SETTINGS_MISSING, E_SETTINGS_UNREADABLE.
 */
export async function readProfile(file: string): Promise<Profile> {
  return completeProfile(await readSettings(file, profileSchema))
}

/**
 * Reads a profile from its text; `label` names it in messages.
 * @throws E_SETTINGS with the place of every mistake.
 */
export async function parseProfile(text: string, label: string): Promise<Profile> {
  return completeProfile(await parseSettings(text, profileSchema, label))
}

/**
 * Reads weights as a flag gives them: `reliability=30,locality=20`. Criteria not named weigh nothing.
 * @throws E_WEIGHTS for an unknown criterion, one named twice, a number that is none or negative, or all zero.
 */
export function parseWeights(text: string): Weights {
  const given = new Map<Criterion, number>()
  for (const part of text.split(',')) {
    const [name = '', value = '', ...rest] = part.split('=').map((word) => word.trim())
    const criterion = CRITERION_NAMES.find((known) => known === name)
    if (criterion === undefined)
      throw wrongWeights(`one of ${CRITERION_NAMES.join(', ')}`, name, suggest(name, CRITERION_NAMES)[0])
    if (given.has(criterion)) throw wrongWeights('each criterion once', `${criterion} twice`)
    const weight = /^\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN
    if (!Number.isFinite(weight) || rest.length > 0)
      throw wrongWeights(`${criterion}=POINTS with points of 0 and more`, part.trim())
    given.set(criterion, weight)
  }
  return shareOut(Object.fromEntries(given))
}

/** A probe's name as a key of `mix`: `one-hop` is `oneHop`. */
export function mixKey(probe: string): string {
  return probe.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

function wrongWeights(expected: string, found: string, nearest?: string): WhicheditError {
  const hint = nearest === undefined ? '' : `; did you mean ${nearest}?`
  return new WhicheditError('E_WEIGHTS', { expected, found: `"${printable(found)}"`, hint })
}

function shareOut(points: Readonly<Partial<Record<Criterion, number>>>): Weights {
  const shares = normalizeWeights(CRITERION_NAMES.map((criterion) => points[criterion] ?? 0))
  return mapCriteria((criterion) => shares[CRITERION_NAMES.indexOf(criterion)] ?? 0)
}

function completeProfile({ schema: _, ...profile }: z.output<typeof profileSchema>): Profile {
  return { ...profile, weights: shareOut(profile.weights), mix: { ...defaults.mix, ...profile.mix } }
}

function criterionKey() {
  return z.enum(CRITERION_NAMES)
}

function hasWeight(weights: Readonly<Record<string, number>>): boolean {
  const all = Object.values(weights)
  return all.length === 0 || all.some((weight) => weight > 0)
}

function quantity(parse: (text: unknown) => number | undefined, form: string) {
  return z.union([z.string(), z.number()], form).transform((text, context) => {
    const value = parse(text)
    if (value !== undefined) return value
    context.addIssue({ code: 'custom', message: form })
    return z.NEVER
  })
}

function scale(end: ReturnType<typeof quantity>) {
  return z.strictObject({ good: end, bad: end }).refine(({ good, bad }) => good < bad, 'a good end below the bad end')
}

function formula() {
  return z.string().transform(async (text, context): Promise<Formula> => {
    try {
      return await compileFormula(text)
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) })
      return z.NEVER
    }
  })
}
