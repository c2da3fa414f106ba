/**
 * From records to numbers by case: for each method and criterion, one number a case, with how much that case weighs.
 *
 * The unit is the case: a fact with all its prompts. Inside a case the answers to one probe are averaged; the probes of
 * a criterion are mixed by the profile's weights m_p. Not every case has every probe, so a case's answers enter as
 *
 *     size_i  = Σ_p m_p / n_p · (N / Σ_p m_p)        over the probes that case i has; n_p: cases that have probe p
 *     value_i = Σ_p (m_p / n_p) · y_ip / Σ_p (m_p / n_p)
 *
 * whose weighted mean Σ size·value / Σ size is exactly Σ_p m_p · mean_p / Σ_p m_p: the mix holds over all cases, however
 * unevenly the probes are spread, and the case stays the unit. Sizes average 1.
 *
 * What cannot be judged (null) is left out, never 0. A case whose edit failed counts as 0 for what the edit was to gain,
 * on the prompts that other methods were asked; it says nothing about locality, as there is no edited model to ask.
 */
import { WhicheditError } from '../errors.ts'
import type { CostRecord, JournalRecord, MethodInfo, ProbeRecord, RunInfo } from '../evidence/record.ts'
import { printable } from '../printable.ts'
import { CRITERIA, type Criterion, mapCriteria } from './criteria.ts'
import { mixKey, type Profile } from './profile.ts'
import { chooseRegime } from './regime.ts'

/** A run and its records. */
export interface Evidence {
  readonly run: RunInfo
  readonly records: readonly JournalRecord[]
}

/**
 * Which answers count: what the model says when it generates freely, or the token accuracy along the given answer that
 * papers report, which shows the model the beginning and the length of what it should say and so comes out higher.
 */
export type ReadingKind = 'free-running' | 'teacher-forced'

/** Numbers by case, in the order of the matrix's cases. Where `size` is 0 the case has none. */
export interface CaseNumbers {
  /** How much the case weighs; sizes average 1 over the cases that have a number. [cases] */
  readonly size: Float64Array
  /** [cases] */
  readonly value: Float64Array
  /** The unedited model's number on the same prompts. [cases] */
  readonly base: Float64Array
  /** Cases that have a number. */
  readonly count: number
}

/** What is known of one method. */
export interface MethodEvidence {
  readonly info: MethodInfo
  readonly rates: Readonly<Record<Criterion, CaseNumbers>>
  /** Seconds by case; `base` is unused. */
  readonly edit: CaseNumbers
  readonly query: CaseNumbers
  /** Seconds, once; 0 for a method that prepares nothing. */
  readonly prepareS: number
  /** Null where it was not measured. */
  readonly peakBytes: number | null
  /** Why it could not be prepared, if so. */
  readonly prepareFailure: string | null
  /** Cases whose edit or probing failed, by reason. */
  readonly failures: ReadonlyMap<string, number>
}

/** Everything that was measured, by case. */
export interface Matrix {
  /** One name for each case, sorted. */
  readonly cases: readonly string[]
  readonly methods: readonly MethodEvidence[]
  /** The probes that have an answer, by criterion. */
  readonly probes: Readonly<Record<Criterion, readonly string[]>>
  readonly notes: readonly string[]
}

/** How records are read. */
export interface MatrixOptions {
  readonly reading: ReadingKind
  readonly profile: Pick<Profile, 'mix' | 'workload'>
}

/**
 * Arranges evidence by method and case. Runs may be joined where they are of one model; of a prompt that was asked twice the
 * later run's answer counts, and times are taken from the latest run that has the method.
 * @throws E_NO_EVIDENCE where there is nothing to rank, E_MIXED_MODELS for runs of different models, E_RECORD for a number
 * outside its range.
 */
export function buildMatrix(evidence: readonly Evidence[], { reading, profile }: MatrixOptions): Matrix {
  const runs = evidence.toSorted((a, b) => a.run.createdAt.localeCompare(b.run.createdAt))
  const models = new Set(runs.map(({ run }) => run.model.id))
  if (models.size > 1) throw new WhicheditError('E_MIXED_MODELS', { found: [...models].join(', ') })
  const { regime, notes } = chooseRegime(
    runs.flatMap(({ records }) => records.map((record) => record.regime)),
    profile.workload,
  )
  const kept = runs.map(({ run, records }) => ({ run, records: records.filter((record) => record.regime === regime) }))
  const answers = collectAnswers(kept, reading)
  const cases = [...new Set(kept.flatMap(({ run, records }) => casesOf(run, records)))].sort()
  const infos = new Map(runs.flatMap(({ run }) => run.methods.map((info) => [info.name, info])))
  if (cases.length === 0) {
    throw new WhicheditError('E_NO_EVIDENCE', { run: runs.map(({ run }) => run.id).join(', ') || 'none' })
  }
  const methods = [...infos.values()]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((info) => arrangeMethod(info, { cases, answers, runs: kept, mix: profile.mix }))
  const probes = mapCriteria((criterion) => [...(answers.prompts.get(criterion)?.keys() ?? [])].sort())
  return { cases, methods, probes, notes }
}

interface Answer {
  readonly value: number
  readonly base: number
}

interface Answers {
  /** A method's answers to a probe in a case, by item. */
  readonly of: (
    method: string,
    criterion: Criterion,
    probe: string,
    name: string,
  ) => ReadonlyMap<number, Answer> | undefined
  /** The unedited model's mean by criterion, probe and case, for every prompt that anybody's answer could be judged on. */
  readonly prompts: ReadonlyMap<Criterion, ReadonlyMap<string, ReadonlyMap<string, number>>>
}

function caseName(run: RunInfo, factId: string): string {
  return `${run.data.hash}/${factId}`
}

/** Cases that were tried: a cost alone does not make one. */
function casesOf(run: RunInfo, records: readonly JournalRecord[]): string[] {
  const ids = new Set<string>()
  for (const record of records) {
    if (record.kind !== 'cost' && record.factId !== null) ids.add(record.factId)
  }
  return [...ids].map((id) => caseName(run, id))
}

function collectAnswers(runs: readonly Evidence[], reading: ReadingKind): Answers {
  const byPlace = new Map<string, Map<number, Answer>>()
  const prompts = new Map<Criterion, Map<string, Map<string, number>>>()
  for (const { run, records } of runs) {
    for (const record of records) {
      if (record.kind !== 'probe') continue
      const answer = readAnswer(record, reading)
      if (answer === null) continue
      const { method, criterion, probe, item } = record
      const name = caseName(run, record.factId)
      const items = getOrAdd(byPlace, placeOf(method, criterion, probe, name), () => new Map<number, Answer>())
      items.set(item, answer)
      const probes = getOrAdd(prompts, criterion, () => new Map<string, Map<string, number>>())
      const bases = getOrAdd(probes, probe, () => new Map<string, number>())
      bases.set(
        name,
        averageOf(items.values(), ({ base }) => base),
      )
    }
  }
  const of: Answers['of'] = (...place) => byPlace.get(placeOf(...place))
  return { of, prompts }
}

function wrongRecord(record: ProbeRecord | CostRecord, what: string, found: number, expected: string): WhicheditError {
  const where = printable(`${record.method}, ${record.factId ?? 'once'}, ${what}`)
  return new WhicheditError('E_RECORD', { where, expected, found: String(found) })
}

/** A key for a method's answers to a probe in a case. The case comes last: only its name is free text. */
function placeOf(method: string, criterion: Criterion, probe: string, name: string): string {
  return `${method}\n${criterion}\n${probe}\n${name}`
}

function readAnswer(record: ProbeRecord, reading: ReadingKind): Answer | null {
  const isFree = reading === 'free-running'
  const value = isFree ? record.value : record.teacherForced
  // Without a judgement of the unedited model there is nothing to take out.
  const base = (isFree ? record.baseValue : record.baseTeacherForced) ?? 0
  if (value === null) return null
  for (const number of [value, base]) {
    if (!(number >= 0 && number <= 1))
      throw wrongRecord(record, `${record.probe} ${record.item}`, number, 'a rate within 0–1')
  }
  return { value, base }
}

interface Arrangement {
  readonly cases: readonly string[]
  readonly answers: Answers
  readonly runs: readonly Evidence[]
  readonly mix: Profile['mix']
}

function arrangeMethod(info: MethodInfo, arrangement: Arrangement): MethodEvidence {
  const { runs, cases } = arrangement
  const own = runs.flatMap(({ run, records }) => {
    const mine = records.filter(({ method }) => method === info.name)
    return mine.length === 0 ? [] : [{ run, records: mine }]
  })
  const failed = failedCases(own)
  // Times belong to one machine and one state of it: the latest run's.
  const timed = own.at(-1) ?? { run: null, records: [] }
  const costs = timed.records.flatMap((record) => (record.kind === 'cost' ? [checkCost(record)] : []))
  const latest = (cost: string): number | undefined => costs.findLast((record) => record.cost === cost)?.value
  const byCase = (cost: string): CaseNumbers => {
    const numbers = new Map<string, number>()
    for (const { factId, value, cost: kind } of costs) {
      if (kind === cost && factId !== null && timed.run !== null) numbers.set(caseName(timed.run, factId), value)
    }
    return arrangeNumbers(cases, numbers)
  }
  const peaks = costs.filter(({ cost }) => cost === 'memory').map(({ value }) => value)
  return {
    info,
    rates: mapCriteria((criterion) => arrangeRates(info.name, criterion, { ...arrangement, failed })),
    edit: byCase('edit'),
    query: byCase('query'),
    prepareS: latest('prepare') ?? 0,
    peakBytes: peaks.length === 0 ? null : Math.max(...peaks),
    prepareFailure: prepareFailure(own),
    failures: countReasons(failed),
  }
}

/** Only the extra time of a query, a difference of two, may come out below 0. */
function checkCost(record: CostRecord): CostRecord {
  const least = record.cost === 'query' ? Number.NEGATIVE_INFINITY : 0
  if (Number.isFinite(record.value) && record.value >= least) return record
  throw wrongRecord(record, record.cost, record.value, `a cost of 0 and more in ${record.unit}`)
}

/** The last word on preparing: a failure, unless a later run of the method prepared or edited after it. */
function prepareFailure(own: readonly Evidence[]): string | null {
  const records = own.at(-1)?.records ?? []
  const failure = records.findLast((record) => record.kind === 'failure' && record.factId === null)
  return failure?.kind === 'failure' ? failure.message : null
}

/** Cases whose edit or probing failed, with the reason. */
function failedCases(own: readonly Evidence[]): Map<string, string> {
  const failed = new Map<string, string>()
  for (const { run, records } of own) {
    for (const record of records) {
      if (record.kind === 'failure' && record.factId !== null) failed.set(caseName(run, record.factId), record.message)
      // A later run in which the same case went well.
      if (record.kind === 'case' && !hasFailure(records, record.factId)) failed.delete(caseName(run, record.factId))
    }
  }
  return failed
}

function hasFailure(records: readonly JournalRecord[], factId: string): boolean {
  return records.some((record) => record.kind === 'failure' && record.factId === factId)
}

function countReasons(failed: ReadonlyMap<string, string>): Map<string, number> {
  const counts = new Map<string, number>()
  for (const reason of failed.values()) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  return counts
}

function arrangeRates(
  method: string,
  criterion: Criterion,
  { cases, answers, mix, failed }: Arrangement & { readonly failed: ReadonlyMap<string, string> },
): CaseNumbers {
  const isGain = CRITERIA[criterion].scale === 'gain'
  const parts: { weight: number; numbers: CaseNumbers }[] = []
  for (const [probe, bases] of answers.prompts.get(criterion) ?? []) {
    const numbers = new Map<string, Answer>()
    for (const [name, base] of bases) {
      const given = answers.of(method, criterion, probe, name)
      if (given !== undefined) numbers.set(name, averageAnswer([...given.values()]))
      else if (isGain && failed.has(name)) numbers.set(name, { value: 0, base })
    }
    const weight = mix[criterion]?.[mixKey(probe)] ?? 1
    if (numbers.size > 0 && weight > 0) parts.push({ weight, numbers: arrangeNumbers(cases, numbers) })
  }
  return mixParts(cases.length, parts)
}

/** Mixes the probes of a criterion, as the head of this file says. */
function mixParts(count: number, parts: readonly { weight: number; numbers: CaseNumbers }[]): CaseNumbers {
  const size = new Float64Array(count)
  const value = new Float64Array(count)
  const base = new Float64Array(count)
  for (const { weight, numbers } of parts) {
    for (let i = 0; i < count; i++) {
      const share = ((numbers.size[i] ?? 0) * weight) / numbers.count
      size[i] = (size[i] ?? 0) + share
      value[i] = (value[i] ?? 0) + share * (numbers.value[i] ?? 0)
      base[i] = (base[i] ?? 0) + share * (numbers.base[i] ?? 0)
    }
  }
  const measured = size.filter((share) => share > 0).length
  const total = parts.reduce((sum, { weight }) => sum + weight, 0)
  for (let i = 0; i < count; i++) {
    const share = size[i] ?? 0
    if (share === 0) continue
    value[i] = (value[i] ?? 0) / share
    base[i] = (base[i] ?? 0) / share
    size[i] = (share * measured) / total
  }
  return { size, value, base, count: measured }
}

function arrangeNumbers(cases: readonly string[], numbers: ReadonlyMap<string, number | Answer>): CaseNumbers {
  const size = new Float64Array(cases.length)
  const value = new Float64Array(cases.length)
  const base = new Float64Array(cases.length)
  cases.forEach((name, i) => {
    const number = numbers.get(name)
    if (number === undefined) return
    size[i] = 1
    value[i] = typeof number === 'number' ? number : number.value
    base[i] = typeof number === 'number' ? 0 : number.base
  })
  return { size, value, base, count: numbers.size }
}

function averageAnswer(answers: readonly Answer[]): Answer {
  return { value: averageOf(answers, ({ value }) => value), base: averageOf(answers, ({ base }) => base) }
}

function averageOf(answers: Iterable<Answer>, pick: (answer: Answer) => number): number {
  let sum = 0
  let count = 0
  for (const answer of answers) {
    sum += pick(answer)
    count++
  }
  return sum / count
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key)
  if (found !== undefined) return found
  const made = make()
  map.set(key, made)
  return made
}
