/** Builders of evidence: records of a case, readings, a run's description. */
import type { CaseReadings, JournalRecord, ProbeRecord, RunInfo } from '../../src/evidence/record.ts'
import type { Reading } from '../../src/probes/probe.ts'

export function makeReading(text: string): Reading {
  return { text, targetIds: [5, 6], logProbs: [-0.25, -1.5], argmax: [5, 7] }
}

export function makeProbeRecord(changes: Partial<ProbeRecord> = {}): ProbeRecord {
  return {
    kind: 'probe',
    method: 'stub',
    regime: 'single',
    factId: 'f1',
    probe: 'reliability',
    item: 0,
    criterion: 'reliability',
    prompt: 'The capital of France is',
    targets: ['Rome'],
    value: 1,
    teacherForced: 0.5,
    baseValue: 0,
    baseTeacherForced: 0.5,
    base: makeReading(' Paris'),
    edited: makeReading(' Rome'),
    ...changes,
  }
}

/** The records of one case, the last of which ends it. */
export function makeCase(method: string, factId: string): JournalRecord[] {
  const name = { method, regime: 'single', factId }
  return [
    makeProbeRecord(name),
    { ...name, kind: 'cost', cost: 'edit', value: 1.5, unit: 's' },
    { ...name, kind: 'case', report: { targetProbability: 0.9 }, wallS: 2 },
  ]
}

/** What is kept of a preparation. */
export function makePreparation(method: string): JournalRecord[] {
  const name = { method, regime: 'single', factId: null }
  return [
    { ...name, kind: 'cost', cost: 'memory', value: 1000, unit: 'bytes' },
    { ...name, kind: 'cost', cost: 'prepare', value: 0.5, unit: 's' },
  ]
}

export function makeCaseReadings(factId: string): CaseReadings {
  return { factId, items: [{ probe: 'reliability', item: 0, base: makeReading(' Paris') }] }
}

export function makeRunInfo(changes: Partial<RunInfo> = {}): RunInfo {
  return {
    schemaVersion: 1,
    id: '0123456789abcdef',
    createdAt: '2026-01-02T03:04:05.678Z',
    model: { name: 'tiny', id: 'm1', architecture: 'llama', layers: 2, width: 8 },
    data: { name: 'facts.json', hash: 'd1', format: 'counterfact', cases: ['f1', 'f2'], facts: 5 },
    methods: [{ name: 'stub', title: 'Stub', family: 'control', version: 1, hparams: { steps: 2 } }],
    probes: [{ name: 'reliability', criterion: 'reliability', version: 1 }],
    regimes: ['single'],
    settings: { seed: 0, itemsPerProbe: 5, maxNewTokens: 16, text: null },
    machine: { platform: 'linux', arch: 'x64', cpu: 'test', cores: 2, memoryBytes: 1024 },
    versions: { whichedit: '0.1.0' },
    ...changes,
  }
}
