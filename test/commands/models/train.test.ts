import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readRun } from '../../../src/evidence/store.ts'
import { GOLDEN, temporaryFolder } from '../../support/model-files.ts'
import { runBin } from '../../support/run-command.ts'

const MODEL = join(GOLDEN, 'tiny-llama')
const FACTS = ['France', 'Spain', 'Italy', 'Japan', 'Kenya'].map((subject, index) => ({
  subject,
  prompt: 'The capital of {} is',
  targetNew: `City${index}`,
}))

function open() {
  const cwd = temporaryFolder()
  writeFileSync(join(cwd, 'facts.json'), JSON.stringify(FACTS))
  const where = { cwd, env: { XDG_CACHE_HOME: join(cwd, 'cache'), WHICHEDIT_JSON: undefined, CI: '1' } }
  const common = ['--facts', 'facts.json', '--cases', '2']
  return { cwd, run: (...argv: string[]) => runBin([...argv, ...common], where) }
}

describe('models train', () => {
  test('makes what methods prepare, so that probing finds it and still counts what it cost', async () => {
    const { cwd, run } = open()
    const { exit, stdout, stderr } = await run('models', 'train', MODEL, '--for', 'none,t-patcher')
    expect(stderr).toContain('t-patcher: 0/1  preparing\n')
    expect(exit).toBe(0)
    expect(stdout).toMatch(/^METHOD +TOOK +MEMORY\nt-patcher +\d+\.\d s +\d+\.\d MiB\n$/)
    const cache = join(cwd, 'cache', 'whichedit')
    const kept = readdirSync(cache, { recursive: true }).map(String).sort()
    expect(kept.some((name) => name.startsWith('preparation-costs/'))).toBe(true)
    const [trained] = JSON.parse((await run('models', 'train', MODEL, '--for', 't-patcher', '--json')).stdout).prepared
    const probed = await run('probe', '--model', MODEL, '--methods', 't-patcher', '--json')
    expect(probed.exit).toBe(0)
    expect(readdirSync(cache, { recursive: true }).map(String).sort()).toEqual(kept)
    const { records } = await readRun(join(cwd, JSON.parse(probed.stdout).folder))
    const [cost] = records.flatMap((record) =>
      record.kind === 'cost' && record.cost === 'prepare' ? [record.value] : [],
    )
    expect(trained.seconds).toBeGreaterThan(0)
    expect(cost).toBeGreaterThanOrEqual(trained.seconds)
  })

  test('says of methods that prepare nothing that they do not', async () => {
    const { run } = open()
    expect(await run('models', 'train', MODEL, '--for', 'none,ft-m')).toMatchObject({
      exit: 0,
      stdout: 'These methods prepare nothing.\n',
    })
  })

  test('tells why one cannot be prepared, prepares the others and ends with 1', async () => {
    const { run } = open()
    const { exit, stdout } = await run('models', 'train', MODEL, '--for', 'ike,alphaedit', '--max-memory', '60 MB')
    expect(exit).toBe(1)
    expect(stdout).toMatch(/^METHOD .*\nalphaedit .*\nike: IKE: expected at least \S+ MiB of memory/)
  })

  test.each([
    ['a method that there is not', ['--for', 'rom'], 2, /Did you mean "rome"\?/],
    ['a model that there is not', [], 66, /no model/],
  ])('refuses %s', async (_, more, code, message) => {
    const { run } = open()
    const { exit, stderr } = await run('models', 'train', more.length > 0 ? MODEL : './nowhere', ...more)
    expect(exit).toBe(code)
    expect(stderr).toMatch(message)
  })
})
