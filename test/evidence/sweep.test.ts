import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { LaneEvent } from '../../src/evidence/lanes.ts'
import {
  type CandidateRequest,
  listCandidates,
  runSweep,
  type SweepEnd,
  secondsLeft,
} from '../../src/evidence/sweep.ts'
import { compileForChild } from '../support/compile.ts'
import { makeCase, makePreparation } from '../support/records.ts'
import { makeStubPlan } from '../support/stub-plan.ts'

describe('the candidates', () => {
  const peak = (layer: number) => ({ peak: layer, range: [layer, layer] as const })
  const ROWS: (CandidateRequest & { firsts: number[]; origins?: string; why: string })[] = [
    {
      why: 'the depth and its neighbours',
      published: { layer: 20 },
      proposed: null,
      layers: 32,
      firsts: [20, 18, 22, 16, 24],
    },
    { why: 'a step is a layer at least', published: { layer: 3 }, proposed: null, layers: 6, firsts: [3, 2, 4, 1, 5] },
    { why: 'none outside of the model', published: { layer: 5 }, proposed: null, layers: 6, firsts: [5, 4, 3] },
    { why: 'one layer has nothing to choose', published: { layer: 0 }, proposed: null, layers: 1, firsts: [0] },
    {
      why: 'the depth, the peak and neighbours of the peak, then of the depth',
      published: { layer: 5 },
      proposed: peak(9),
      layers: 32,
      firsts: [5, 9, 7, 11, 3],
      origins: 'published traced near near near',
    },
    {
      why: 'where tracing agrees it counts once',
      published: { layer: 2 },
      proposed: peak(2),
      layers: 6,
      firsts: [2, 1, 3, 0, 4],
      origins: 'published near near near near',
    },
    {
      why: 'a range stands in the middle of what tracing proposes: 13 of 10 to 16',
      published: { firstLayer: 4, lastLayer: 8 },
      proposed: { peak: 15, range: [10, 16] },
      layers: 32,
      firsts: [4, 11, 9, 13, 2],
      origins: 'published traced near near near',
    },
    {
      why: 'a range stays inside the model',
      published: { firstLayer: 0, lastLayer: 3 },
      proposed: { peak: 5, range: [5, 5] },
      layers: 6,
      firsts: [0, 2, 1],
    },
  ]
  test.each(ROWS)('$why', ({ firsts, origins, ...request }) => {
    const candidates = listCandidates(request)
    const [first = Number.NaN] = Object.values(request.published)
    expect(candidates.map(({ sites }) => Object.values(sites)[0])).toEqual(firsts)
    expect(candidates.map(({ offset }) => offset)).toEqual(firsts.map((layer) => layer - first))
    if (origins !== undefined) expect(candidates.map(({ origin }) => origin).join(' ')).toBe(origins)
    for (const { sites, offset } of candidates) {
      const moved = Object.entries(request.published).map(([name, layer]) => [name, layer + offset])
      expect(sites).toEqual(Object.fromEntries(moved))
      expect(Math.max(...Object.values(sites))).toBeLessThan(request.layers)
    }
  })
})

test('the time left goes on as so far, and a candidate that could not be prepared takes none', () => {
  // 0.5 s to prepare, 2 s a case.
  const begun = [...makePreparation('stub'), ...makeCase('stub', 'f1')]
  expect(secondsLeft([[]], [2])).toBeNull()
  expect(secondsLeft([begun], [2])).toBe(2)
  expect(secondsLeft([begun], [2, 2])).toBe(2 + 0.5 + 4)
  const failed = { method: 'stub', regime: 'single', kind: 'failure', factId: null, stage: 'prepare' } as const
  expect(secondsLeft([begun, [{ ...failed, code: 'E_X', message: 'no' }]], [2, 2])).toBe(2)
})

describe('a sweep', () => {
  let entry: string
  beforeAll(() => {
    entry = compileForChild('test/support/stub-lane.ts', 'sweep')
  })
  let root: string
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'whichedit-sweep-'))
  })
  afterEach(() => rmSync(root, { recursive: true, force: true }))

  function countReadings(): number {
    const files = readdirSync(root)
      .filter((id) => /^[0-9a-f]{16}$/.test(id))
      .map((id) => join(root, id, 'readings.jsonl'))
    return files.flatMap((file) => readFileSync(file, 'utf8').trim().split('\n')).filter((line) => line !== '').length
  }

  type Told = [candidate: number, event: LaneEvent, leftS: number | null]
  function sweep(report: (...told: Told) => void = () => {}, signal = new AbortController().signal): Promise<SweepEnd> {
    // Candidates differ in a setting, as those of layers do.
    const plans = [1, 2].map((delayMs) => makeStubPlan({ cases: 3, methods: ['stub'], delayMs }))
    const where = { model: '0', chat: false, memoryBytes: Number.POSITIVE_INFINITY, places: { hubCache: '' } }
    const sharing = { lanes: 1, session: {} }
    const owner = { pid: process.pid, isAlive: () => true }
    return runSweep({ ...where, root, cacheDir: root, plans, owner, sharing, entry, signal, report })
  }

  test('runs each candidate on the same cases, and asks the unedited model once', async () => {
    const told: Told[] = []
    const known: number[] = []
    const { runs, ...end } = await sweep((...one) => {
      told.push(one)
      if (one[1].stage === 'open') known.push(countReadings())
    })
    expect(end).toEqual({ isStopped: false, done: 6, total: 6 })
    expect(new Set(runs.map(({ info }) => info.id)).size).toBe(2)
    expect(new Set(runs.map(({ info }) => info.data.cases.join())).size).toBe(1)
    expect([...new Set(told.map(([candidate]) => candidate))]).toEqual([0, 1])
    // Each candidate finds the answers to its three cases before its process is begun.
    expect(known).toEqual([0, 6])
    const left = told.flatMap(([, , leftS]) => (leftS === null ? [] : [leftS]))
    expect([told[0]?.[2], (left[0] ?? 0) > 0, left.at(-1)]).toEqual([null, true, 0])
  })

  test('stopped and begun again ends as if it had not been stopped', async () => {
    const stop = new AbortController()
    const stopped = await sweep((candidate, { done }) => {
      if (candidate === 1 && done === 1) stop.abort(new Error('enough'))
    }, stop.signal)
    expect(stopped.isStopped).toBe(true)
    expect(stopped.done).toBeGreaterThanOrEqual(4)
    expect(stopped.done).toBeLessThan(6)
    const before = stopped.runs.map(({ records }) => [...records])
    const opened: number[] = []
    const { runs, ...end } = await sweep((candidate, { stage }) => {
      if (stage === 'open') opened.push(candidate)
    })
    expect(end).toEqual({ isStopped: false, done: 6, total: 6 })
    // What was finished is not done again: the first candidate has no process, and no record of before is lost.
    expect(opened).toEqual([1])
    for (const [i, records] of before.entries()) expect(runs[i]?.records.slice(0, records.length)).toEqual(records)
  })
})
