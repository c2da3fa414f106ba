import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { WhicheditError } from '../../src/errors.ts'
import type { LaneEvent } from '../../src/evidence/lanes.ts'
import { type PreparingRequest, prepareMethods } from '../../src/evidence/prepare-methods.ts'
import { compileForChild } from '../support/compile.ts'
import { makeStubPlan, type StubPlan } from '../support/stub-plan.ts'

let entry: string
beforeAll(() => {
  entry = compileForChild('test/support/stub-lane.ts', 'lanes')
})

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'whichedit-prepare-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function prepare(options: Omit<StubPlan, 'cases'>, more: Partial<PreparingRequest> = {}) {
  const where = { model: '0', chat: false, memoryBytes: Number.POSITIVE_INFINITY, places: { hubCache: '' } }
  return prepareMethods({
    ...where,
    plan: makeStubPlan({ cases: 2, ...options }),
    unfit: new Map(),
    cacheDir: root,
    entry,
    signal: new AbortController().signal,
    report: () => {},
    ...more,
  })
}

test('prepares each method and edits nothing', async () => {
  const events: LaneEvent[] = []
  const prepared = await prepare({ delayMs: 20 }, { report: (event) => events.push(event) })
  const cost = {
    seconds: expect.toSatisfy((value) => value >= 0.01),
    peakBytes: expect.toSatisfy((value) => value > 0),
  }
  expect(prepared).toEqual([
    { method: 'stub', ...cost },
    { method: 'other', ...cost },
  ])
  expect(events.map(({ method, stage, done }) => `${method} ${stage} ${done}`)).toEqual([
    ...['stub open 0', 'stub prepare 0', 'stub end 1'],
    ...['other open 0', 'other prepare 0', 'other end 1'],
  ])
})

test.each([
  ['throws', 'E_NO_FACTS'],
  ['dies', 'E_LANE_DIED'],
] as const)('one that %s holds no other up', async (wrong, code) => {
  const [first, second] = await prepare({ wrong, at: '' })
  expect(first).toMatchObject({ method: 'stub', failure: { code } })
  expect(second).toMatchObject({ method: 'other', seconds: expect.any(Number) })
})

test('one that has no room is not begun', async () => {
  const reason = new WhicheditError('E_NO_FACTS', { title: 'Stub' })
  const events: LaneEvent[] = []
  const unfit = new Map([['stub', reason]])
  const [first] = await prepare({ methods: ['stub'] }, { unfit, report: (event) => events.push(event) })
  expect(first).toEqual({ method: 'stub', failure: { code: 'E_NO_FACTS', message: reason.message } })
  expect(events).toEqual([])
})

test('a full disk ends it', async () => {
  await expect(prepare({ wrong: 'full', at: '' })).rejects.toMatchObject({ code: 'E_DISK_FULL' })
})

test('stopped, it throws why', async () => {
  const stop = new AbortController()
  const report = ({ stage }: LaneEvent): void => {
    if (stage === 'prepare') stop.abort(new Error('enough'))
  }
  await expect(prepare({ delayMs: 500 }, { signal: stop.signal, report })).rejects.toThrow('enough')
})
