/** Evidence sketched in a few numbers: `rates` gives each probe's answers by case; everything else has a plain default. */

import type { JournalRecord, MethodInfo } from '../../src/evidence/record.ts'
import type { Criterion } from '../../src/scoring/criteria.ts'
import type { Evidence } from '../../src/scoring/matrix.ts'
import { type Profile, parseProfile } from '../../src/scoring/profile.ts'
import { makeProbeRecord, makeRunInfo } from './records.ts'

/** Answers of one probe by case: a number, several prompts' numbers, or null where it cannot be judged. */
export type Answers = readonly (number | null | readonly (number | null)[])[]

export interface MethodSketch {
  readonly family?: MethodInfo['family']
  readonly rates?: Readonly<Record<string, Answers>>
  /** Answers in the teacher-forced reading; those of `rates` where absent. */
  readonly teacherForced?: Readonly<Record<string, Answers>>
  readonly prepareS?: number
  /** Seconds of each edit. */
  readonly editS?: number | readonly number[]
  readonly queryS?: number
  readonly peakBytes?: number
  /** Message of failing to prepare. */
  readonly prepareFailure?: string
  /** Cases whose edit failed. */
  readonly failed?: readonly number[]
}

export interface EvidenceSketch {
  readonly methods: Readonly<Record<string, MethodSketch>>
  /** The unedited model's answers, by probe and case; 0 where absent. */
  readonly base?: Readonly<Record<string, readonly number[]>>
  readonly regime?: string
  readonly run?: Parameters<typeof makeRunInfo>[0]
}

const CRITERION_OF: Readonly<Record<string, Criterion>> = {
  reliability: 'reliability',
  generalization: 'generalization',
  neighbours: 'locality',
  'other-relations': 'locality',
  alias: 'portability',
  reversed: 'portability',
  'one-hop': 'portability',
}

/** Makes one run of the sketch. */
export function sketchEvidence({ methods, base = {}, regime = 'single', run = {} }: EvidenceSketch): Evidence {
  const records = Object.entries(methods).flatMap(([method, sketch]) => sketchRecords({ method, regime }, sketch, base))
  const cases = [...new Set(records.flatMap((record) => ('factId' in record ? (record.factId ?? []) : [])))]
  const info = makeRunInfo({
    methods: Object.entries(methods).map(([name, { family = 'locate-then-edit' }]) => ({
      name,
      title: name.toUpperCase(),
      family,
      version: 1,
      hparams: {},
    })),
    data: { name: 'facts.json', hash: 'd1', format: 'counterfact', cases, facts: cases.length },
    ...run,
  })
  return { run: info, records }
}

/** A profile from YAML without its first line. */
export function makeProfile(yaml: string): Promise<Profile> {
  return parseProfile(`schema: whichedit/profile@1\n${yaml}`, 'test.yaml')
}

function sketchRecords(
  name: { method: string; regime: string },
  sketch: MethodSketch,
  base: Readonly<Record<string, readonly number[]>>,
): JournalRecord[] {
  const { rates = {}, teacherForced = {}, prepareS, queryS, peakBytes, prepareFailure, failed = [] } = sketch
  const records: JournalRecord[] = []
  const cost = (kind: 'prepare' | 'edit' | 'query' | 'memory', value: number, factId: string | null): void => {
    records.push({ ...name, kind: 'cost', cost: kind, value, unit: kind === 'memory' ? 'bytes' : 's', factId })
  }
  if (prepareFailure !== undefined) {
    const failure = { stage: 'prepare', code: 'E_TEST', message: prepareFailure } as const
    return [{ ...name, kind: 'failure', factId: null, ...failure }]
  }
  if (prepareS !== undefined) cost('prepare', prepareS, null)
  const count = Math.max(0, ...Object.values(rates).map((answers) => answers.length), ...failed.map((i) => i + 1))
  for (let i = 0; i < count; i++) {
    const factId = `f${String(i).padStart(3, '0')}`
    if (failed.includes(i)) {
      records.push({
        ...name,
        kind: 'failure',
        factId,
        stage: 'edit',
        code: 'E_TEST',
        message: 'the loss is not finite',
      })
    } else {
      const editS = typeof sketch.editS === 'object' ? sketch.editS[i] : sketch.editS
      cost('edit', editS ?? 1, factId)
      if (queryS !== undefined) cost('query', queryS, factId)
      if (peakBytes !== undefined) cost('memory', peakBytes, factId)
      for (const [probe, answers] of Object.entries(rates)) {
        const forced = itemsOf((teacherForced[probe] ?? answers)[i])
        itemsOf(answers[i]).forEach((value, item) => {
          records.push(
            makeProbeRecord({
              ...name,
              factId,
              probe,
              item,
              criterion: CRITERION_OF[probe] ?? 'portability',
              value,
              teacherForced: value === null ? null : (forced[item] ?? null),
              baseValue: base[probe]?.[i] ?? 0,
              baseTeacherForced: base[probe]?.[i] ?? 0,
            }),
          )
        })
      }
    }
    records.push({ ...name, kind: 'case', factId, report: {}, wallS: 1 })
  }
  return records
}

function itemsOf(answers: number | null | readonly (number | null)[] | undefined): readonly (number | null)[] {
  if (answers === undefined) return []
  return typeof answers === 'object' && answers !== null ? answers : [answers]
}
