/**
 * The questions of `advise`, asked only where no flag has answered them. An answer is the value of a flag: what the wizard
 * gathers is the command that repeats it.
 */
import { existsSync } from 'node:fs'
import { CRITERIA, CRITERION_NAMES, type Criterion } from '../../scoring/criteria.ts'
import type { Profile } from '../../scoring/profile.ts'
import { DURATION_FORM, formatDuration, parseDuration, parseSize, SIZE_FORM } from '../../scoring/quantity.ts'
import type { Asker, Choice } from './asker.ts'
import { toPoints } from './points.ts'
import type { ProfileAnswers } from './profile-flags.ts'

/** What `advise` must know. */
export interface Answers extends ProfileAnswers {
  readonly model: string
  readonly facts: string
  readonly cases: number
  /** A built-in profile or a file; absent where priorities are given alone. */
  readonly profile?: string | undefined
  /** Where the profile that comes out is to be saved. */
  readonly save?: string | undefined
}

/** A profile to begin with. */
export interface Preset {
  readonly name: string
  readonly profile: Profile
}

/** What there is to choose from. */
export interface Offers {
  readonly models: readonly Choice<string>[]
  readonly facts: readonly Choice<string>[]
  readonly presets: readonly Preset[]
  /** False where the terminal takes ASCII only. */
  readonly unicode: boolean
}

/** Tells good from bad in minutes; more cases tell more. */
export const DEFAULT_CASES = 16
const DEFAULT_SAVE = 'whichedit.yaml'
const OTHER = ''

/** What no and full points of a criterion mean: points without a range mean nothing. */
const RANGES = {
  reliability: 'no edit … every edit takes',
  generalization: 'no … every rewording gets the new answer',
  locality: 'every … no other answer changes',
  portability: 'no … every related question follows',
} as const satisfies Record<Exclude<Criterion, 'efficiency'>, string>

/** Asks what `given` lacks. Ends with Inquirer's ExitPromptError on Ctrl-C. */
export async function askMissing(asker: Asker, given: Partial<Answers>, offers: Offers): Promise<Answers> {
  const model = given.model ?? (await askModel(asker, offers))
  const facts = given.facts ?? (await askFacts(asker, offers))
  const cases =
    given.cases ?? (await asker.count('How many facts to try? 16 tell good from bad, 64 tell more.', DEFAULT_CASES))
  const named = { ...given, model, facts, cases }
  if (given.profile !== undefined || given.weights !== undefined || given.order !== undefined) return named
  return { ...named, ...(await askProfile(asker, given, offers)) }
}

async function askModel(asker: Asker, { models }: Offers): Promise<string> {
  const other = { value: OTHER, name: 'another: a folder or a GGUF file' }
  const chosen = await asker.choose('Which model is to be edited?', [...models, other])
  return chosen === OTHER ? asker.text('Where is it?', { check: checkExists }) : chosen
}

async function askFacts(asker: Asker, { facts }: Offers): Promise<string> {
  const other = { value: OTHER, name: 'my own: a file' }
  const chosen = await asker.choose('Which facts are to be tried?', [...facts, other])
  return chosen === OTHER ? asker.text('Which file?', { check: checkExists }) : chosen
}

function checkExists(path: string): true | string {
  return existsSync(path) || 'There is nothing of that name. Give a path, from this folder or from the root.'
}

/** Begins with the nearest preset and changes what the user wants changed. */
export async function askProfile(asker: Asker, given: Partial<Answers>, offers: Offers): Promise<Partial<Answers>> {
  const choices = offers.presets.map(({ name, profile }) => ({
    value: name,
    name: `${name}: ${profile.title}`,
    description: describePoints(profile),
  }))
  const chosen = await asker.choose('Which is nearest to what you need?', choices)
  const preset = offers.presets.find(({ name }) => name === chosen)?.profile
  if (preset === undefined) return { profile: chosen }
  const workload = await askWorkload(asker, preset, given)
  const priorities = await askPriorities(asker, preset, offers.unicode)
  const answers = { profile: chosen, ...workload, ...priorities }
  if (Object.keys(workload).length + Object.keys(priorities).length === 0) return answers
  const save = given.save ?? (await askSave(asker))
  return save === undefined ? answers : { ...answers, save }
}

async function askWorkload(asker: Asker, { workload }: Profile, given: Partial<Answers>): Promise<ProfileAnswers> {
  const { edits, queries, arrival, relatedKnowledge } = workload
  const summary = `${edits} edits (${arrival}), ${queries} questions, related knowledge: ${relatedKnowledge}`
  if (await asker.agree(`Is this your workload? ${summary}`, true)) return {}
  return {
    edits: given.edits ?? (await asker.count('How many edits do you plan for?', edits)),
    arrival: given.arrival ?? (await asker.choose('How do they arrive?', ARRIVAL_CHOICES, arrival)),
    related: given.related ?? (await asker.choose('Must related knowledge follow?', RELATED_CHOICES, relatedKnowledge)),
    queries: given.queries ?? (await asker.count('How many questions will the edited model answer?', queries, 0)),
    ...(await askLimits(asker, given)),
  }
}

async function askLimits(asker: Asker, given: Partial<Answers>): Promise<ProfileAnswers> {
  const memory =
    given['max-memory'] ?? (await asker.text('Most memory a method may take? (Enter: no limit)', { check: checkSize }))
  const prepare =
    given['max-prepare'] ?? (await asker.text('Longest preparation? (Enter: no limit)', { check: checkDuration }))
  return { 'max-memory': memory || undefined, 'max-prepare': prepare || undefined }
}

function checkSize(text: string): true | string {
  return text === '' || parseSize(text) !== undefined || `Expected ${SIZE_FORM}.`
}

function checkDuration(text: string): true | string {
  return text === '' || parseDuration(text) !== undefined || `Expected ${DURATION_FORM}.`
}

async function askPriorities(asker: Asker, preset: Profile, unicode: boolean): Promise<ProfileAnswers> {
  const way = await asker.choose('What matters to you?', [
    { value: 'keep', name: `as in this profile: ${describePoints(preset)}` },
    { value: 'points', name: 'give points yourself' },
    { value: 'order', name: 'just put them in order' },
  ])
  if (way === 'keep') return {}
  if (way === 'order') return { order: (await askOrder(asker)).join(',') }
  const points = await asker.points({
    message: 'How many points is each worth to you?',
    rows: CRITERION_NAMES.map((label) => ({ label, range: describeRange(label, preset) })),
    start: presetPoints(preset),
    unicode,
  })
  return { weights: CRITERION_NAMES.map((name, i) => `${name}=${points[i] ?? 0}`).join(',') }
}

async function askOrder(asker: Asker): Promise<Criterion[]> {
  const order: Criterion[] = []
  while (order.length < CRITERION_NAMES.length - 1) {
    const left = CRITERION_NAMES.filter((name) => !order.includes(name))
    const choices = left.map((value) => ({ value, name: `${value}: ${CRITERIA[value].asks}` }))
    order.push(await asker.choose(order.length === 0 ? 'What matters most?' : 'And then?', choices))
  }
  return [...order, ...CRITERION_NAMES.filter((name) => !order.includes(name))]
}

async function askSave(asker: Asker): Promise<string | undefined> {
  if (!(await asker.agree('Save this as a profile of your own?', false))) return undefined
  const check = (file: string): true | string =>
    !existsSync(file) || 'There is a file of that name already; choose another.'
  return asker.text('Under which name?', { start: DEFAULT_SAVE, check })
}

function presetPoints({ weights }: Profile): number[] {
  return toPoints(CRITERION_NAMES.map((name) => weights[name]))
}

function describePoints(profile: Profile): string {
  const points = presetPoints(profile)
  return CRITERION_NAMES.map((name, i) => `${name} ${points[i] ?? 0}`).join(', ')
}

function describeRange(criterion: Criterion, { scales }: Profile): string {
  if (criterion !== 'efficiency') return RANGES[criterion]
  const { bad, good } = scales.efficiency
  return `${formatDuration(bad)} … ${formatDuration(good)} for your workload`
}

const ARRIVAL_CHOICES = [
  { value: 'single', name: 'one, on a fresh model each time' },
  { value: 'batch', name: 'many at once' },
  { value: 'stream', name: 'one after another, on the same model' },
] as const satisfies readonly Choice<string>[]

const RELATED_CHOICES = [
  { value: 'low', name: 'no: the fact alone' },
  { value: 'medium', name: 'somewhat: other names, obvious consequences' },
  { value: 'high', name: 'yes: what follows from it, too' },
] as const satisfies readonly Choice<string>[]
