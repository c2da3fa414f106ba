import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import Rank from '../../src/commands/rank.ts'
import { RunStore } from '../../src/evidence/store.ts'
import { runBin, runCommand } from '../support/run-command.ts'
import { type EvidenceSketch, sketchEvidence } from '../support/sketch-evidence.ts'

const OLD = 'aaaa000000000000'
const NEW = 'bbbb000000000000'
const METHODS: EvidenceSketch['methods'] = {
  rome: { rates: { reliability: [1, 1, 1, 1], neighbours: [0, 0, 1, 0] }, editS: 2 },
  grace: { rates: { reliability: [1, 0, 1, 1], neighbours: [1, 1, 1, 1] }, editS: 1 },
}

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'whichedit-rank-'))
})
afterEach(() => rmSync(cwd, { recursive: true, force: true }))

async function store(id: string, createdAt: string, methods = METHODS): Promise<void> {
  const { run, records } = sketchEvidence({ methods, run: { id, createdAt } })
  const opened = await RunStore.open(join(cwd, '.whichedit', 'runs'), run, {
    owner: { pid: process.pid, isAlive: () => true },
  })
  await opened.append(records)
  await opened.close()
}

const where = () => ({
  cwd,
  env: { XDG_CONFIG_HOME: join(cwd, 'config'), COLUMNS: '100', WHICHEDIT_JSON: undefined, WHICHEDIT_SEED: undefined },
})
const rank = (...flags: string[]) => runCommand(Rank, flags, where())
const order = (stdout: string): string[] => JSON.parse(stdout).ranking.map(({ method }: { method: string }) => method)

describe('rank', () => {
  test('leads with the answer, then shows the table and where it comes from', async () => {
    await store(NEW, '2026-02-01T00:00:00.000Z')
    const { stdout, exit } = await rank('--weights', 'reliability=1')
    expect(exit).toBe(0)
    expect(stdout).toMatch(/^ROME leads GRACE by 25/)
    expect(stdout).toMatch(/^1= +ROME +100/m)
    expect(stdout).toContain(`run ${NEW} · 4 cases of facts.json`)
  })

  test('turns round when the weights do', async () => {
    await store(NEW, '2026-02-01T00:00:00.000Z')
    expect(order((await rank('--weights', 'reliability=1', '--json')).stdout)).toEqual(['rome', 'grace'])
    expect(order((await rank('--weights', 'locality=1', '--json')).stdout)).toEqual(['grace', 'rome'])
    expect(order((await rank('--order', 'locality,reliability', '--json')).stdout)).toEqual(['grace', 'rome'])
  })

  test('gives the very same bytes for the same seed', async () => {
    await store(NEW, '2026-02-01T00:00:00.000Z')
    const [first, second, other] = [await rank('--json'), await rank('--json'), await rank('--json', '--seed', '7')]
    expect(second.stdout).toBe(first.stdout)
    expect(JSON.parse(other.stdout).seed).toBe(7)
  })

  test('takes the newest run, or the one whose id begins as given', async () => {
    await store(NEW, '2026-02-01T00:00:00.000Z')
    await store(OLD, '2026-01-01T00:00:00.000Z')
    const ids = (stdout: string) => JSON.parse(stdout).runs.map(({ id }: { id: string }) => id)
    expect(ids((await rank('--json')).stdout)).toEqual([NEW])
    expect(ids((await rank('--json', '--run', 'aaaa')).stdout)).toEqual([OLD])
  })

  test("follows the project's own profile", async () => {
    await store(NEW, '2026-02-01T00:00:00.000Z')
    writeFileSync(join(cwd, 'whichedit.yaml'), 'schema: whichedit/profile@1\ntitle: Ours\nweights:\n  locality: 1\n')
    const { stdout } = await rank('--json')
    expect(JSON.parse(stdout).profile.title).toBe('Ours')
    expect(order(stdout)).toEqual(['grace', 'rome'])
  })

  test('names what would rank otherwise in the other reading', async () => {
    await store(NEW, '2026-02-01T00:00:00.000Z', {
      rome: { rates: { reliability: [0, 0, 1, 0] }, teacherForced: { reliability: [1, 1, 1, 1] } },
      grace: { rates: { reliability: [1, 1, 1, 0] } },
    })
    const weights = ['--weights', 'reliability=1', '--json']
    expect(order((await rank(...weights)).stdout)[0]).toBe('grace')
    expect(order((await rank(...weights, '--reading', 'teacher-forced')).stdout)[0]).toBe('rome')
  })

  test('ends with 4 where every method is ruled out, the table shown all the same', async () => {
    await store(NEW, '2026-02-01T00:00:00.000Z')
    writeFileSync(
      join(cwd, 'strict.yaml'),
      'schema: whichedit/profile@1\nweights: { locality: 1 }\nlimits: { edit: 1 ms }\n',
    )
    const { stdout, exit } = await runBin(['rank', '--profile', 'strict.yaml'], where())
    expect(exit).toBe(4)
    expect(stdout).toMatch(/^out +ROME/m)
  })

  test.each([
    [['--run', 'cccc'], 66, 'E_NO_RUN'],
    [['--profile', 'balancd'], 2, 'Did you mean balanced?'],
    [['--weights', 'reliabilty=1'], 2, 'reliability'],
    [['--reading', 'aloud'], 2, 'free-running'],
  ])('%j ends with %d', async (flags, exit, message) => {
    await store(NEW, '2026-02-01T00:00:00.000Z')
    const outcome = await rank(...flags)
    expect(outcome).toMatchObject({ exit, stdout: '' })
    expect(outcome.stderr).toContain(message)
  })

  test('without a run says how to make one', async () => {
    expect(await rank()).toMatchObject({ exit: 66, stderr: expect.stringContaining('whichedit probe') })
  })
})
