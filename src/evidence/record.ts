/**
 * One line of a run's journal. A probe record is named by method, regime, fact, probe and item: once in a run, never twice.
 * Records and `run.json` are all that scoring sees.
 */
import type { Criterion, Reading } from '../probes/probe.ts'

/** Facts common to all records. */
export interface RecordBase {
  readonly method: string
  /** `single`; later `batch-100`, `stream-10#2`. */
  readonly regime: string
}

/** One judged answer, with what both models said. */
export interface ProbeRecord extends RecordBase {
  readonly kind: 'probe'
  readonly factId: string
  readonly probe: string
  readonly item: number
  readonly criterion: Criterion
  readonly prompt: string
  readonly targets: readonly string[]
  /** From free generation, in [0, 1]; null where it cannot be judged. */
  readonly value: number | null
  /** From teacher forcing, in [0, 1]; null together with `value`. */
  readonly teacherForced: number | null
  /** The same judgement of the unedited model, where it has a meaning: its own rate. */
  readonly baseValue: number | null
  readonly baseTeacherForced: number | null
  readonly reason?: string
  readonly base: Reading
  readonly edited: Reading
}

/** What something cost. `query` is the extra time an edited model needs for one query, against the unedited one. */
export interface CostRecord extends RecordBase {
  readonly kind: 'cost'
  readonly factId: string | null
  readonly cost: 'prepare' | 'edit' | 'query' | 'memory' | 'patch'
  readonly value: number
  readonly unit: 's' | 'bytes'
}

/** An edit or a preparation that failed: a recorded outcome, not retried unless asked. */
export interface FailureRecord extends RecordBase {
  readonly kind: 'failure'
  readonly factId: string | null
  readonly stage: 'prepare' | 'edit' | 'probe'
  readonly code: string
  readonly message: string
}

/** Written last for a case: everything before it is complete. `report` is the patch's own. */
export interface CaseRecord extends RecordBase {
  readonly kind: 'case'
  readonly factId: string
  readonly report: Readonly<Record<string, number>>
  readonly wallS: number
}

/** A line of the journal. */
export type JournalRecord = ProbeRecord | CostRecord | FailureRecord | CaseRecord
