/** What the files of a run must look like: the types of `record.ts`, checked where text from a file becomes records. */
import { z } from 'zod'
import type { CaseReadings, JournalRecord, RunInfo } from './record.ts'

const rate = z.number().min(0).max(1)
const criterion = z.enum(['reliability', 'generalization', 'locality', 'portability', 'efficiency'])
const base = { method: z.string().min(1), regime: z.string().min(1) }

const reading = z
  .object({
    text: z.string(),
    targetIds: z.array(z.int()),
    logProbs: z.array(z.number()),
    argmax: z.array(z.int()),
    loopFailed: z.literal(true).optional(),
  })
  .refine(({ targetIds, logProbs, argmax }) => [logProbs, argmax].every((list) => list.length === targetIds.length), {
    error: 'targetIds, logProbs and argmax must have the same length',
  })

const probeRecord = z
  .object({
    ...base,
    kind: z.literal('probe'),
    factId: z.string(),
    probe: z.string().min(1),
    item: z.int().min(0),
    criterion,
    prompt: z.string(),
    targets: z.array(z.string()),
    value: rate.nullable(),
    teacherForced: rate.nullable(),
    baseValue: rate.nullable(),
    baseTeacherForced: rate.nullable(),
    reason: z.string().optional(),
    base: reading,
    edited: reading,
  })
  .refine(({ value, teacherForced }) => (value === null) === (teacherForced === null), {
    error: 'value and teacherForced must be null together',
  })
  .refine(({ value, reason }) => value !== null || reason !== undefined, {
    error: 'a value of null needs a reason',
  })

const costRecord = z.object({
  ...base,
  kind: z.literal('cost'),
  factId: z.string().nullable(),
  cost: z.enum(['prepare', 'edit', 'query', 'memory', 'patch']),
  value: z.number().min(0),
  unit: z.enum(['s', 'bytes']),
})

const failureRecord = z.object({
  ...base,
  kind: z.literal('failure'),
  factId: z.string().nullable(),
  stage: z.enum(['prepare', 'edit', 'probe']),
  code: z.string().min(1),
  message: z.string(),
})

const caseRecord = z.object({
  ...base,
  kind: z.literal('case'),
  factId: z.string(),
  report: z.record(z.string(), z.number()),
  wallS: z.number().min(0),
})

/** The records by kind, so that a problem is told about the record at hand and not about all kinds. */
export const RECORDS = { probe: probeRecord, cost: costRecord, failure: failureRecord, case: caseRecord }

/** A line of the journal. */
export const JOURNAL_RECORD = z.union(Object.values(RECORDS)) satisfies z.ZodType<JournalRecord>

/** What tells the kinds of records apart. */
export const RECORD_KIND = z.object({ kind: z.enum(['probe', 'cost', 'failure', 'case']) })

/** A line of the readings' file. */
export const CASE_READINGS = z.object({
  factId: z.string(),
  items: z.array(z.object({ probe: z.string(), item: z.int().min(0), base: reading, required: reading.optional() })),
}) satisfies z.ZodType<CaseReadings>

/** The machine that something was measured on. */
export const MACHINE = z.object({
  platform: z.string(),
  arch: z.string(),
  cpu: z.string(),
  cores: z.number(),
  memoryBytes: z.number(),
})

/** `run.json`. */
export const RUN_INFO = z.object({
  schemaVersion: z.literal(1),
  id: z.string().min(1),
  createdAt: z.iso.datetime(),
  model: z.object({
    name: z.string(),
    notice: z.string().optional(),
    id: z.string(),
    architecture: z.string(),
    layers: z.int(),
    width: z.int(),
  }),
  data: z.object({
    name: z.string(),
    hash: z.string(),
    format: z.string(),
    cases: z.array(z.string()),
    facts: z.int(),
    learning: z.string().optional(),
  }),
  methods: z.array(
    z.object({
      name: z.string(),
      title: z.string(),
      family: z.enum([
        'memory',
        'in-context',
        'extra-parameters',
        'locate-then-edit',
        'meta-learning',
        'fine-tuning',
        'control',
      ]),
      version: z.number(),
      hparams: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])),
      encoder: z.string().nullable().optional(),
    }),
  ),
  probes: z.array(z.object({ name: z.string(), criterion, version: z.number() })),
  regimes: z.array(z.string()),
  settings: z.object({
    seed: z.number(),
    itemsPerProbe: z.int().min(1),
    maxNewTokens: z.int().min(1),
    text: z.string().nullable(),
  }),
  machine: MACHINE,
  versions: z.record(z.string(), z.string()),
}) satisfies z.ZodType<RunInfo>
