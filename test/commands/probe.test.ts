import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import Probe from '../../src/commands/probe.ts'
import { readDocuments } from '../../src/commands/support/probing.ts'
import type { JournalRecord } from '../../src/evidence/record.ts'
import { readRun } from '../../src/evidence/store.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { runBin, runCommand, startBin } from '../support/run-command.ts'

const MODEL = fileURLToPath(new URL('../golden/tiny-llama', import.meta.url))
const FACTS = ['France', 'Spain', 'Italy', 'Japan', 'Kenya'].map((subject, index) => ({
  subject,
  prompt: 'The capital of {} is',
  targetNew: `City${index}`,
  tests: {
    paraphrases: ['{} is ruled from'],
    neighbours: [{ prompt: 'The capital of Chile is', targets: ['Santiago'] }],
  },
}))

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'whichedit-probe-'))
  writeFileSync(join(cwd, 'facts.json'), JSON.stringify(FACTS))
})
afterEach(() => rmSync(cwd, { recursive: true, force: true }))

const argv = (flags: Readonly<Record<string, string>>, ...more: string[]) => {
  const all = { model: MODEL, facts: 'facts.json', cases: '2', ...flags }
  return ['probe', ...Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]), ...more]
}
const where = () => ({ cwd, env: { XDG_CACHE_HOME: join(cwd, 'cache'), WHICHEDIT_JSON: undefined, CI: '1' } })
const run = (methods: string, ...more: string[]) => runBin(argv({ methods }, ...more), where())
const runsFolder = () => join(cwd, '.whichedit', 'runs')

async function readOnly(): Promise<readonly JournalRecord[]> {
  const [name = ''] = readdirSync(runsFolder())
  return (await readRun(join(runsFolder(), name))).records
}

/** What does not differ from time to time. */
function comparable(records: readonly JournalRecord[]): Map<string, unknown> {
  return new Map(
    records.flatMap((record) => {
      const { kind, method, factId } = record
      if (kind === 'cost' && record.cost !== 'patch') return []
      const what = kind === 'probe' ? `${record.probe} ${record.item}` : kind
      return [[`${method} ${factId} ${what}`, kind === 'case' ? { ...record, wallS: 0 } : record]]
    }),
  )
}

describe('probe', () => {
  test('measures methods on a model, then has nothing left to do', async () => {
    const first = await run('none,grace', '--json')
    expect(first).toMatchObject({ exit: 0 })
    const result = JSON.parse(first.stdout)
    expect(result).toMatchObject({
      schemaVersion: 1,
      cases: { done: 4, total: 4 },
      folder: join('.whichedit', 'runs', result.run),
      failures: [],
      info: { data: { name: 'facts.json', facts: 5 }, methods: [{ name: 'none' }, { name: 'grace' }] },
    })
    expect(first.stderr).toContain('none: 2/2  reliability 0  generalization 0  locality 100\n')
    const again = await run('none,grace')
    expect(again.stdout).toBe(
      `4 of 4 cases are in .whichedit/runs/${result.run}.\n\`whichedit rank --run ${result.run}\` ranks them.\n`,
    )
    expect(again.stderr).toMatch(/^Going on with run [0-9a-f]{16}: 4 cases are there already\.\n/)
  })

  test('leaves out what cannot fit, with numbers, and runs the others', async () => {
    const first = await run('none,ike', '--max-memory', '60 MB', '--json')
    expect(first).toMatchObject({ exit: 0 })
    const { cases, failures, run: id } = JSON.parse(first.stdout)
    expect(cases).toEqual({ done: 2, total: 4 })
    const message = expect.stringMatching(
      /^IKE: expected at least \S+ MiB of memory \(\S+ KiB of weights, up to \S+ MiB to work\), found a limit of 57\.2 MiB\./,
    )
    expect(failures).toEqual([
      { method: 'ike', regime: 'single', kind: 'failure', factId: null, stage: 'prepare', code: 'E_MEMORY', message },
    ])
    const told = await run('none,ike', '--max-memory', '60 MB')
    expect(told.stderr).toMatch(/^Left out: IKE: expected at least/m)
    expect(told.stdout).toMatch(/ 1 failed; --retry-errors tries them again\.$/m)
    const ranked = await runBin(['rank', '--run', id, '--json'], where())
    const [ike] = JSON.parse(ranked.stdout).ranking.filter(({ method }: { method: string }) => method === 'ike')
    expect(ike.ruledOut).toEqual([expect.stringContaining('could not be prepared: IKE: expected at least')])
    // Once there is room, it can be tried again.
    const again = JSON.parse((await run('none,ike', '--retry-errors', '--json')).stdout)
    expect([again.run, again.cases, again.failures]).toEqual([id, { done: 4, total: 4 }, []])
  })

  test('refuses where nothing fits, before anything is written', async () => {
    const { exit, stdout } = await run('none,ike', '--max-memory', '32 MB', '--json')
    const { code, message } = JSON.parse(stdout).error
    expect([exit, code]).toEqual([75, 'E_MEMORY'])
    expect(message).toMatch(/^No edit: expected at least .* found a limit of 30\.5 MiB\..*a smaller model/)
    expect(existsSync(runsFolder())).toBe(false)
  })

  test('asks through the chat template as another run of another model, and keeps every answer without an edit', async () => {
    const folder = join(cwd, 'tiny-chat')
    cpSync(MODEL, folder, { recursive: true })
    const ask = (...more: string[]) =>
      runBin(argv({ methods: 'none,grace', model: folder }, '--json', ...more), where())
    expect(await ask('--chat')).toMatchObject({ exit: 2, stdout: expect.stringContaining('E_CHAT_TEMPLATE') })
    writeFileSync(
      join(folder, 'chat_template.jinja'),
      "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}{{ 'assistant:' if add_generation_prompt }}",
    )
    const [plain, chat] = [JSON.parse((await ask()).stdout), JSON.parse((await ask('--chat')).stdout)]
    expect([chat.info.model.name, chat.info.settings.maxNewTokens]).toEqual(['tiny-chat (chat)', 32])
    expect(chat).toMatchObject({ cases: { done: 4, total: 4 }, failures: [] })
    expect([plain.info.model.name, plain.info.model.id === chat.info.model.id]).toEqual(['tiny-chat', false])
    expect(plain.run).not.toBe(chat.run)
    const { records } = await readRun(join(runsFolder(), chat.run))
    const kept = records.filter((record) => record.kind === 'probe' && record.method === 'none')
    expect(kept.filter((record) => record.kind === 'probe' && record.criterion === 'locality')).toMatchObject([
      { value: 1, teacherForced: 1 },
      { value: 1, teacherForced: 1 },
    ])
  })

  test('without an edit keeps every answer, in both readings', async () => {
    await run('none')
    const kept = (await readOnly()).filter((record) => record.kind === 'probe' && record.criterion === 'locality')
    expect(kept).toHaveLength(2)
    expect(kept).toMatchObject(kept.map(() => ({ value: 1, teacherForced: 1 })))
  })

  test('killed at ten random moments ends with the records of a run left alone', async () => {
    await run('ft-m,grace')
    const expected = comparable(await readOnly())
    rmSync(runsFolder(), { recursive: true })
    const random = createRandom('kill')
    for (let kills = 0; kills < 10; kills++) {
      const { child, promise } = startBin(argv({ methods: 'ft-m,grace' }), where())
      await Promise.race([promise, sleep(300 + 1500 * random.uniform())])
      child.kill('SIGKILL')
      await promise
    }
    expect(await run('ft-m,grace')).toMatchObject({ exit: 0 })
    expect(comparable(await readOnly())).toEqual(expected)
  }, 180_000)
})

describe('stopped', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('by %s it says how much is kept and ends with %i', async (signal, exit) => {
    const { child, promise } = startBin(argv({ methods: 'none,ft-m,grace', cases: '5' }), where())
    await new Promise((resolve) => {
      child.stderr.on('data', (text: string) => /none: [1-5]\/5/.test(text) && resolve(undefined))
    })
    child.kill(signal)
    const outcome = await promise
    expect(outcome.exit).toBe(exit)
    expect(outcome.stderr).toMatch(/Saved \d+ of 15 cases; run the same command to go on\.\n$/)
    expect((await readOnly()).filter(({ kind }) => kind === 'case').length).toBeGreaterThan(0)
  })
})

describe('what cannot be done is told, with the right code', () => {
  test.each([
    ['an unknown method', argv({ methods: 'magic' }), 2, 'E_METHOD'],
    ['an unknown model', argv({ model: 'nowhere' }), 66, 'E_MODEL_UNKNOWN'],
    ['a missing file of facts', argv({ facts: 'nowhere.json' }), 66, 'E_FACTS_MISSING'],
    ['a missing text', argv({ text: 'nowhere.txt' }), 66, 'E_TEXT'],
    ['no cases', argv({ cases: '0' }), 2, '--cases'],
  ])('%s', async (_, words, exit, message) => {
    const outcome = await runCommand(Probe, words.slice(1), where())
    expect(outcome).toMatchObject({ exit, stdout: '' })
    expect(outcome.stderr).toContain(message)
    expect(existsSync(runsFolder())).toBe(false)
  })

  test('a file where the folder of runs should be', async () => {
    writeFileSync(join(cwd, '.whichedit'), '')
    expect(await run('none')).toMatchObject({ exit: 1, stderr: expect.stringContaining('.whichedit') })
  })

  test('a second program on the same run', async () => {
    const long = argv({ methods: 'none,ft-m,grace', cases: '5' })
    const first = startBin(long, where())
    await new Promise((resolve) => first.child.stderr.once('data', resolve))
    const second = await runBin(long, where())
    expect(second).toMatchObject({
      exit: 75,
      stderr: expect.stringContaining(`found process ${first.child.pid} on it`),
    })
    expect((await first.promise).exit).toBe(0)
  })
})

describe('a text for preparations', () => {
  const write = (bytes: string | Uint8Array): string => {
    mkdirSync(cwd, { recursive: true })
    writeFileSync(join(cwd, 'text.txt'), bytes)
    return join(cwd, 'text.txt')
  }

  test('is split at empty lines', async () => {
    const file = write('\uFEFFOne\ntwo\n\n  \nThree\r\n\r\nFour\n')
    expect(await readDocuments(file)).toEqual(['One\ntwo', 'Three', 'Four'])
  })

  test.each([
    ['nothing', '', 'no text'],
    ['blanks', ' \n\n \n', 'no text'],
    ['other bytes', new Uint8Array([0xff, 0xfe, 0x41]), 'something else'],
  ])('is refused when it holds %s', async (_, bytes, found) => {
    await expect(readDocuments(write(bytes))).rejects.toMatchObject({ code: 'E_TEXT', exit: 66, values: { found } })
  })
})
