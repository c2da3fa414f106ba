import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type LaneEvent, type LanesEnd, runLanes } from '../../src/evidence/lanes.ts'
import type { JournalRecord } from '../../src/evidence/record.ts'
import { RunStore, readRun } from '../../src/evidence/store.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { compileForChild } from '../support/compile.ts'
import { makeStubPlan, type StubPlan } from '../support/stub-plan.ts'

let entry: string
let program: string
beforeAll(() => {
  entry = compileForChild('test/support/stub-lane.ts', 'lanes')
  program = compileForChild('test/support/lanes-child.ts', 'lanes')
})

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'whichedit-lanes-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

interface Ran {
  readonly end: LanesEnd
  readonly records: readonly JournalRecord[]
  readonly events: readonly LaneEvent[]
}

type Options = StubPlan & {
  readonly signal?: AbortSignal
  readonly retryErrors?: boolean
  readonly report?: (event: LaneEvent) => void
  readonly lanes?: number
}

async function run(options: Options): Promise<Ran> {
  const plan = makeStubPlan(options)
  const { retryErrors = false, signal = new AbortController().signal, lanes = 1 } = options
  const owner = { pid: process.pid, isAlive: () => true }
  const store = await RunStore.open(root, plan.info, { owner, retryErrors })
  const events: LaneEvent[] = []
  const report = (event: LaneEvent): void => {
    events.push(event)
    options.report?.(event)
  }
  try {
    const memoryBytes = Number.POSITIVE_INFINITY
    const sharing = { lanes, session: {} }
    const where = { model: '0', chat: false, memoryBytes, places: { hubCache: '' }, cacheDir: root, sharing, entry }
    const end = await runLanes({ plan, store, ...where, signal, report })
    return { end, records: store.records, events }
  } finally {
    await store.close()
  }
}

/** The records as a set, without what is different every time: times and memory. */
function comparable(records: readonly JournalRecord[]): Map<string, unknown> {
  return new Map(
    records.map((record) => {
      const { kind, method, factId } = record
      const what = kind === 'cost' ? record.cost : kind === 'probe' ? `${record.probe} ${record.item}` : kind
      const isTimed = kind === 'cost' && record.cost !== 'patch'
      return [
        `${method} ${factId} ${what}`,
        { ...record, ...(isTimed && { value: 0 }), ...(kind === 'case' && { wallS: 0 }) },
      ]
    }),
  )
}

const THREE = ['stub', 'other', 'third']

const failuresOf = (records: readonly JournalRecord[]) => records.filter((record) => record.kind === 'failure')

describe('a run', () => {
  test('takes every method through every case and tells how it goes', async () => {
    const { end, records, events } = await run({ cases: 3 })
    expect(end).toEqual({ isStopped: false, done: 6, total: 6 })
    expect(records.filter(({ kind }) => kind === 'case').map(({ method }) => method)).toEqual([
      ...['stub', 'stub', 'stub'],
      ...['other', 'other', 'other'],
    ])
    const stages = events.filter(({ method }) => method === 'stub').map(({ stage, done }) => `${stage} ${done}`)
    expect([...new Set(stages)]).toEqual(['open 0', 'prepare 0', 'case 0', 'case 1', 'case 2', 'case 3', 'end 3'])
    expect(events.at(-1)).toMatchObject({ rates: { reliability: 1, generalization: 0, locality: 1, portability: 0 } })
    expect(events.some(({ step }) => step?.task === 'editing')).toBe(true)
  })

  test('takes every method through every regime, each prepared for itself', async () => {
    const { end, records } = await run({ cases: 2, regimes: ['single', 'stream-2'], methods: ['stub'] })
    expect(end).toEqual({ isStopped: false, done: 4, total: 4 })
    const lines = records.flatMap((record) =>
      record.kind === 'case' || (record.kind === 'cost' && record.cost === 'prepare')
        ? [`${record.regime} ${record.factId}`]
        : [],
    )
    expect(lines.toSorted()).toEqual([
      ...['single f0', 'single f1', 'single null'],
      ...['stream-2 f0', 'stream-2 f1', 'stream-2 null'],
    ])
  })

  test('that is done starts no process again', async () => {
    const first = await run({ cases: 2 })
    const again = await run({ cases: 2 })
    expect(again.end).toEqual(first.end)
    expect(again.records).toEqual(first.records)
    expect(again.events.map(({ stage }) => stage)).toEqual(['end', 'end'])
  })

  test('asks the unedited model once for all methods', async () => {
    await run({ cases: 2 })
    const [name = ''] = readdirSync(root)
    const lines = readFileSync(join(root, name, 'readings.jsonl'), 'utf8')
      .trim()
      .split('\n')
    expect(lines.map((line) => JSON.parse(line).factId).sort()).toEqual(['f0', 'f1'])
  })
})

describe('lanes side by side', () => {
  test('keep the records of lanes one after another, the first of which asks the unedited model for all', async () => {
    const together = await run({ cases: 3, methods: THREE, delayMs: 30, lanes: 2 })
    expect(together.end).toEqual({ isStopped: false, done: 9, total: 9 })
    const at = (wanted: string): number =>
      together.events.findIndex(({ method, stage }) => `${method} ${stage}` === wanted)
    expect(at('stub end')).toBeLessThan(at('other open'))
    expect(at('third open')).toBeLessThan(at('other end'))
    rmSync(root, { recursive: true })
    const inTurn = await run({ cases: 3, methods: THREE, delayMs: 30 })
    expect(comparable(together.records)).toEqual(comparable(inTurn.records))
  })

  test('stop with the one that meets a full disk, and what is finished is kept', async () => {
    const methods = ['stub', 'third', 'other']
    const wrong = { wrong: 'full', at: 'f1', wrongIn: 'other' } as const
    const ran = run({ cases: 40, methods, delayMs: 50, lanes: 2, ...wrong })
    await expect(ran).rejects.toMatchObject({ code: 'E_DISK_FULL' })
    const { records } = await readRun(join(root, makeStubPlan({ cases: 40, methods, delayMs: 50, ...wrong }).info.id))
    const done = (name: string) => records.filter(({ kind, method }) => kind === 'case' && method === name).length
    expect(done('stub')).toBe(40)
    expect(done('other')).toBeLessThan(40)
    expect(done('third')).toBeLessThan(40)
  })

  test('stop together when the user says so', async () => {
    const stop = new AbortController()
    const report = ({ method, done }: LaneEvent): void => {
      if (method === 'third' && done === 1) stop.abort(new Error('enough'))
    }
    const options = { cases: 20, methods: THREE, delayMs: 50, lanes: 2 }
    const { end, records } = await run({ ...options, signal: stop.signal, report })
    expect(end.isStopped).toBe(true)
    expect(end.done).toBeLessThan(40)
    expect(failuresOf(records)).toEqual([])
    expect((await run(options)).end).toEqual({ isStopped: false, done: 60, total: 60 })
  })
})

describe('a method that is killed', () => {
  test('loses the case it was at, and nothing else', async () => {
    const { end, records } = await run({ cases: 3, wrong: 'dies', at: 'f1' })
    expect(end.done).toBe(6)
    expect(failuresOf(records)).toEqual([
      {
        kind: 'failure',
        method: 'stub',
        regime: 'single',
        factId: 'f1',
        stage: 'edit',
        code: 'E_LANE_DIED',
        message: 'Stub stub was ended by the system (SIGKILL) during fact f1, most likely for lack of memory.',
      },
    ])
    expect(records.filter(({ kind }) => kind === 'case')).toHaveLength(6)
  })

  test('in its preparation has no cases, and the others go on', async () => {
    const { end, records } = await run({ cases: 2, wrong: 'dies', at: '' })
    expect(failuresOf(records)).toMatchObject([{ method: 'stub', factId: null, stage: 'prepare', code: 'E_LANE_DIED' }])
    expect(end).toEqual({ isStopped: false, done: 2, total: 4 })
    expect(records.filter(({ kind }) => kind === 'case').map(({ method }) => method)).toEqual(['other', 'other'])
  })

  test('is tried again only when asked', async () => {
    const wrong = { cases: 2, wrong: 'throws', at: 'f0', methods: ['stub'] } as const
    const first = await run(wrong)
    const second = await run(wrong)
    expect(second.events.map(({ stage }) => stage)).toEqual(['end'])
    const third = await run({ ...wrong, retryErrors: true })
    expect(third.events.length).toBeGreaterThan(1)
    expect(comparable(third.records)).toEqual(comparable(first.records))
  })
})

describe('what is no outcome of a method ends the run with an error', () => {
  test('a full disk', async () => {
    const ran = run({ cases: 2, wrong: 'full', at: 'f0', methods: ['stub'] })
    await expect(ran).rejects.toMatchObject({ code: 'E_DISK_FULL', exit: 75 })
  })

  test('a process that ends for no reason', async () => {
    const ran = run({ cases: 2, wrong: 'exits', at: 'f0', methods: ['stub'] })
    await expect(ran).rejects.toMatchObject({ code: 'E_INTERNAL', message: expect.stringContaining('exit code 3') })
  })

  test('a lane that somebody else ends', async () => {
    const report = (event: LaneEvent): void => {
      if (event.step === undefined) return
      for (const pid of childrenOf(process.pid)) process.kill(pid, 'SIGTERM')
    }
    const ran = run({ cases: 2, delayMs: 300, methods: ['stub'], report })
    await expect(ran).rejects.toMatchObject({ code: 'E_LANE_STOPPED', exit: 75 })
  })
})

/** The lanes that a process has started. */
function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
        const [, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        return Number(ppid) === parent && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('stub-lane.js')
      } catch {
        return false
      }
    })
    .map(Number)
}

describe('a run that is stopped', () => {
  test('keeps what is finished and goes on later as if nothing had happened', async () => {
    const stop = new AbortController()
    const report = ({ done }: LaneEvent): void => {
      if (done === 2) stop.abort(new Error('enough'))
    }
    const first = await run({ cases: 4, delayMs: 30, signal: stop.signal, report })
    expect(first.end).toMatchObject({ isStopped: true, total: 8 })
    expect(first.end.done).toBeGreaterThanOrEqual(2)
    expect(first.end.done).toBeLessThan(8)
    const second = await run({ cases: 4, delayMs: 30 })
    expect(second.end).toEqual({ isStopped: false, done: 8, total: 8 })
    rmSync(root, { recursive: true })
    const undisturbed = await run({ cases: 4, delayMs: 30 })
    expect(comparable(second.records)).toEqual(comparable(undisturbed.records))
  })

  test('ends a lane that does not listen', async () => {
    const stop = new AbortController()
    const report = ({ step }: LaneEvent): void => {
      if (step !== undefined) setTimeout(() => stop.abort(), 300)
    }
    const start = performance.now()
    const { end } = await run({ cases: 1, wrong: 'hangs', at: 'f0', methods: ['stub'], signal: stop.signal, report })
    expect(end).toEqual({ isStopped: true, done: 0, total: 1 })
    expect(performance.now() - start).toBeLessThan(5_000)
  })
})

describe.skipIf(!existsSync('/proc/self'))('the program killed', () => {
  const CASES = 4
  const DELAY_MS = 10
  const start = (delay = DELAY_MS) => {
    const child = spawn('node', [program, root, entry, String(CASES), String(delay)], {
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const lines: string[] = []
    child.stdout.on('data', (piece) => lines.push(...String(piece).trim().split('\n')))
    return { child, lines, exit: once(child, 'exit') }
  }
  const read = async () =>
    (await readRun(join(root, makeStubPlan({ cases: CASES, delayMs: DELAY_MS, methods: THREE }).info.id))).records

  test('ten times at random moments, it ends with the records of a run left alone', async () => {
    await start().exit
    const expected = comparable(await read())
    expect(expected.size).toBe(3 * (2 + CASES * 10))
    rmSync(root, { recursive: true })
    const random = createRandom('kill')
    for (let kills = 0; kills < 10; kills++) {
      const { child, exit } = start()
      // Every other time it may finish a case first: otherwise a slow machine would only see lanes being started.
      const moment =
        kills % 2 === 0
          ? once(child.stdout, 'data').then(() => sleep(100 * random.uniform()))
          : sleep(600 * random.uniform())
      await Promise.race([exit, moment])
      child.kill('SIGKILL')
      await exit
    }
    await start().exit
    expect(comparable(await read())).toEqual(expected)
  })

  test('leaves no lane behind', async () => {
    const { child, exit } = start(60)
    await once(child.stdout, 'data')
    const lanes = childrenOf(child.pid ?? 0)
    expect(lanes).toHaveLength(1)
    child.kill('SIGKILL')
    await exit
    await expect.poll(() => lanes.filter((pid) => existsSync(`/proc/${pid}`)), { timeout: 4_000 }).toEqual([])
  })

  test('by Ctrl-C, which reaches the lane too, ends within seconds and tells how far it has come', async () => {
    const { child, lines, exit } = start(60)
    await once(child.stdout, 'data')
    const at = performance.now()
    process.kill(-(child.pid ?? 0), 'SIGINT')
    expect((await exit)[0]).toBe(130)
    expect(performance.now() - at).toBeLessThan(4_000)
    expect(lines.at(-1)).toMatch(/^end \{"isStopped":true,"done":\d+,"total":12\}$/)
  })
})
