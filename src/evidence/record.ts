/**
 * One line of a run's journal. A probe record is named by method, regime, fact, probe and item: once in a run, never twice.
 * Records and `run.json` are all that scoring sees.
 */
import type { Family, Hparams } from '../editors/editor.ts'
import type { Criterion, Reading } from '../probes/probe.ts'

/** Facts common to all records. */
export interface RecordBase {
  readonly method: string
  /** `single`, `batch-100`, `stream-10#2`, `stream-10+simie`. */
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

/** What the unedited model said to the questions about one fact: asked once, shared by all methods. */
export interface CaseReadings {
  readonly factId: string
  readonly items: readonly {
    readonly probe: string
    readonly item: number
    readonly base: Reading
    /** Of what the item requires, where it requires something. */
    readonly required?: Reading
  }[]
}

/** A method as it was run: its version and settings are part of the run's identity. */
export interface MethodInfo {
  readonly name: string
  readonly title: string
  readonly family: Family
  readonly version: number
  readonly hparams: Hparams
  /** Of a method that searches by sentence vectors, the hash of the encoder that made them; null: the model's own states did. */
  readonly encoder?: string | null
}

/** A probe as it was asked. */
export interface ProbeInfo {
  readonly name: string
  readonly criterion: Criterion
  readonly version: number
}

/** The machine a run was made on. Timings are this machine's and are never merged with another's. */
export interface MachineInfo {
  readonly platform: string
  readonly arch: string
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
}

/** The model that was edited. */
export interface ModelInfo {
  readonly name: string
  /** What is to be said with every result of it, if anything. */
  readonly notice?: string
  /** Hash of weights, configuration and tokenizer. */
  readonly id: string
  readonly architecture: string
  readonly layers: number
  readonly width: number
}

/** The data set a run drew its cases from. */
export interface DataInfo {
  /** What a person calls it: a file's name or a built-in set's. */
  readonly name: string
  /** Hash of all its facts, as read. */
  readonly hash: string
  /** The format it was read as: `counterfact`, `zsre`, … */
  readonly format: string
  /** The ids of the cases' facts, in the order in which they are run. */
  readonly cases: readonly string[]
  /** How many facts the data set holds in all. */
  readonly facts: number
  /** Hash of the facts that methods learn from, where these are a set of their own. */
  readonly learning?: string | undefined
}

/** The settings that all methods of a run share. */
export interface RunSettings {
  readonly seed: number
  /** At most so many prompts of one probe are asked about one fact. */
  readonly itemsPerProbe: number
  /** Tokens of a free answer, at least; facts with long targets get more. */
  readonly maxNewTokens: number
  /** Hash of the text that preparations learn from; null where the model itself is sampled. */
  readonly text: string | null
}

/** How the edits came that a model holds when it is asked, and how many they are. */
export interface Regime {
  /** `single`, `batch-16`, `stream-16`, `stream-16+simie`; `stream-16#2` is the same in another order. */
  readonly name: string
  readonly arrival: 'single' | 'batch' | 'stream'
  readonly edits: number
  /** Whether SimIE keeps earlier edits of the stream (`editors/steps/simie.ts`). */
  readonly isSimIE: boolean
  /** What the order of the facts is drawn by: a stream and the same one with SimIE have the same. */
  readonly order: string
}

/** Each fact edited alone into the unedited model. */
export const SINGLE = 'single'

/** The regime of that name; undefined where it names none. */
export function parseRegime(name: string): Regime | undefined {
  if (name === SINGLE) return { name, arrival: SINGLE, edits: 1, isSimIE: false, order: name }
  const [, arrival, edits, simie, order = ''] =
    /^(batch|stream)-([1-9]\d{0,5})(\+simie)?(#[1-9]\d{0,2})?$/.exec(name) ?? []
  if (arrival !== 'batch' && arrival !== 'stream') return undefined
  const isSimIE = simie !== undefined
  if (isSimIE && arrival !== 'stream') return undefined
  return { name, arrival, edits: Number(edits), isSimIE, order: `${arrival}-${edits}${order}` }
}

/** `run.json`: what was run, on what, with which settings. Written before the first record, never changed. */
export interface RunInfo {
  readonly schemaVersion: 1
  /** Hash of everything that determines the results: all of this but times, machine and versions of programs. */
  readonly id: string
  /** ISO 8601, UTC. */
  readonly createdAt: string
  readonly model: ModelInfo
  readonly data: DataInfo
  readonly methods: readonly MethodInfo[]
  readonly probes: readonly ProbeInfo[]
  readonly regimes: readonly string[]
  readonly settings: RunSettings
  readonly machine: MachineInfo
  /** Versions of the programs: `whichedit`, `node`, `onnxruntime`. */
  readonly versions: Readonly<Record<string, string>>
}
