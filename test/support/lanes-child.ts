/**
 * A program that takes three stub methods through a run, two of them side by side, as `whichedit probe` does, for tests that kill it:
 * `node lanes-child.js <root> <lane> <cases> <delay ms> [ignores]`. It prints a line for each case that is complete.
 */
import process from 'node:process'
import { runLanes } from '../../src/evidence/lanes.ts'
import { RunStore } from '../../src/evidence/store.ts'
import { makeStubPlan } from './stub-plan.ts'

const [, , root = '', entry = '', cases = '1', delay = '0'] = process.argv
const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort(new Error(signal)))

const plan = makeStubPlan({ cases: Number(cases), delayMs: Number(delay), methods: ['stub', 'other', 'third'] })
const store = await RunStore.open(root, plan.info, { owner: { pid: process.pid, isAlive } })
const told = new Map([...plan.info.methods].map(({ name }) => [name, 0]))
try {
  const end = await runLanes({
    plan,
    store,
    model: delay,
    chat: false,
    memoryBytes: Number.POSITIVE_INFINITY,
    places: { hubCache: '' },
    cacheDir: root,
    sharing: { lanes: 2, session: {} },
    entry,
    signal: stop.signal,
    report: ({ method, done }) => {
      if (done !== told.get(method)) process.stdout.write(`${method} ${done}\n`)
      told.set(method, done)
    },
  })
  process.stdout.write(`end ${JSON.stringify(end)}\n`)
} finally {
  await store.close()
}
process.exit(stop.signal.aborted ? 130 : 0)

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
