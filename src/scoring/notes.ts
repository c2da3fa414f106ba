/** What a reader of a ranking must know besides the numbers: what was left out, what failed, what to doubt. */
import { suggest } from '../suggest.ts'
import { CRITERION_NAMES, type Criterion, FAMILIES } from './criteria.ts'
import type { Lead } from './lead.ts'
import type { Evidence, Matrix, ReadingKind } from './matrix.ts'
import { mixKey, type Profile } from './profile.ts'
import type { RankedMethod } from './ranking.ts'

/** All that notes are taken on. */
export interface NoteSources {
  readonly matrix: Matrix
  readonly profile: Profile
  readonly evidence: readonly Evidence[]
  readonly counted: readonly Criterion[]
  readonly ranking: readonly RankedMethod[]
  readonly lead: Lead | null
  readonly reading: ReadingKind
}

/** Below this many cases intervals are so wide that a ranking is a hint. */
const FEW_CASES = 8

/** Collects the notes, the gravest first. */
export function collectNotes(sources: NoteSources): string[] {
  return [
    ...noteModel(sources),
    ...noteControl(sources),
    ...sources.matrix.notes,
    ...noteMissing(sources),
    ...noteFailures(sources),
    ...noteCases(sources),
    ...noteTimes(sources),
    ...noteWords(sources),
    ...noteReading(sources),
  ]
}

/** What the model itself wants said. */
function noteModel({ evidence }: NoteSources): string[] {
  return [...new Set(evidence.flatMap(({ run }) => run.model.notice ?? []))]
}

/** A do-nothing editor keeps everything and costs nothing: weights that let it win ask for no edit at all. */
function noteControl({ ranking }: NoteSources): string[] {
  const ranked = ranking.filter(({ rank }) => rank !== null)
  return ranked
    .filter(({ family }) => family === 'control')
    .flatMap(({ title, rank }) => {
      if (rank === 1) {
        return [
          `${title}, the control, scores best: with these weights leaving the model alone beats every method. Give reliability more weight.`,
        ]
      }
      if (rank === null || rank * 2 > ranked.length) return []
      return [
        `${title}, the control, is in the upper half: these weights reward doing nothing. Give reliability more weight or a minimum.`,
      ]
    })
}

function noteMissing({ profile, matrix, counted }: NoteSources): string[] {
  const missing = CRITERION_NAMES.filter((criterion) => profile.weights[criterion] > 0 && !counted.includes(criterion))
  if (profile.formula !== null && !profile.formula.usesWeights) return []
  return missing.map((criterion) => {
    const asked = matrix.methods.some(({ rates }) => rates[criterion].count > 0)
    const why = asked ? 'the unedited model already gives every answer' : 'no method has an answer that could be judged'
    return `${criterion} is left out and its weight shared among the others: ${why}.`
  })
}

function noteFailures({ matrix, ranking }: NoteSources): string[] {
  return matrix.methods.flatMap(({ info, failures }) => {
    const method = ranking.find(({ method }) => method === info.name)
    const [reason] = [...failures].sort((a, b) => b[1] - a[1])
    if (reason === undefined || method === undefined || method.score === null) return []
    return [
      `${info.title}: ${method.failedCases} of ${matrix.cases.length} cases failed (${reason[0]}). They count as 0 for what the edit was to gain and say nothing about locality.`,
    ]
  })
}

function noteCases({ matrix, ranking, lead }: NoteSources): string[] {
  const notes: string[] = []
  const cases = matrix.cases.length
  if (cases < FEW_CASES)
    notes.push(`Only ${cases} case${cases === 1 ? '' : 's'}: take this as a hint, not as a result.`)
  const behind = ranking.filter(({ rank, criteria }) => rank !== null && mostCases(criteria) < cases)
  for (const { title, criteria } of behind) {
    notes.push(`${title} was measured on ${mostCases(criteria)} of ${cases} cases.`)
  }
  const tied = ranking.filter(({ tie }) => tie)
  if (tied.length > 1 && lead?.settles) {
    notes.push(
      `${tied.map(({ title }) => title).join(', ')} cannot be told apart: ${cases} cases settle differences of about ${Math.ceil(lead.settles)} points.`,
    )
  }
  return notes
}

function mostCases(criteria: RankedMethod['criteria']): number {
  return Math.max(...CRITERION_NAMES.map((criterion) => criteria[criterion].cases))
}

function noteTimes({ evidence, ranking, profile }: NoteSources): string[] {
  const machines = new Set(evidence.map(({ run }) => JSON.stringify(run.machine)))
  const notes = machines.size > 1 ? ['Times come from different machines: compare efficiency with care.'] : []
  const untimed = ranking.filter(({ rank, cost }) => rank !== null && cost.queryS === null)
  if (untimed.length > 0 && profile.workload.queries > 0) {
    const names = untimed.map(({ title }) => title).join(', ')
    notes.push(`The extra time of a query was not measured for ${names}; it counts as none.`)
  }
  return notes
}

/** Words of the profile that nothing in the evidence answers to. */
function noteWords({ profile, matrix }: NoteSources): string[] {
  const methods = matrix.methods.map(({ info }) => info.name)
  const preferred = Object.keys(profile.prefer).filter((name) => ![...FAMILIES, ...methods].includes(name))
  const notes = preferred.map((name) => sayUnknown('prefer', name, [...FAMILIES, ...methods]))
  for (const criterion of CRITERION_NAMES) {
    const known = criterion === 'efficiency' ? ['time', 'memory'] : matrix.probes[criterion].map(mixKey)
    const unknown = Object.keys(profile.mix[criterion] ?? {}).filter((name) => !known.includes(name))
    notes.push(...unknown.map((name) => sayUnknown(`mix.${criterion}`, name, known)))
  }
  return notes
}

function sayUnknown(where: string, name: string, known: readonly string[]): string {
  const [nearest] = suggest(name, known)
  const hint = nearest === undefined ? '' : ` Did you mean ${nearest}?`
  return `The profile's ${where} names ${name}, which is not in this evidence.${hint}`
}

function noteReading({ reading }: NoteSources): string[] {
  if (reading === 'free-running') return []
  return [
    'Teacher-forced scores are optimistic: the model is shown the beginning and the length of the answer it should give.',
  ]
}
