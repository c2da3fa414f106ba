import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { JournalRecord } from '../../src/evidence/record.ts'
import { findRun, RunStore, readRun } from '../../src/evidence/store.ts'
import { compileForChild } from '../support/compile.ts'
import { makeCase, makeCaseReadings, makePreparation, makeRunInfo } from '../support/records.ts'

const INFO = makeRunInfo()
const ME = { pid: process.pid, isAlive: () => true }
const FIRST = makeCase('stub', 'f1')
const SECOND = makeCase('stub', 'f2')
const FAILED: JournalRecord[] = [
  { kind: 'failure', method: 'stub', regime: 'single', factId: 'f3', stage: 'edit', code: 'E_X', message: 'm' },
  { kind: 'case', method: 'stub', regime: 'single', factId: 'f3', report: {}, wallS: 1 },
]

let root: string
let folder: string
let journal: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'whichedit-store-'))
  folder = join(root, INFO.id)
  journal = join(folder, 'journal.jsonl')
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

async function write(groups: readonly (readonly JournalRecord[])[], options = {}): Promise<void> {
  const store = await RunStore.open(root, INFO, { owner: ME, ...options })
  for (const group of groups) await store.append(group)
  await store.close()
}

describe('a run on disk', () => {
  test('is read as it was written', async () => {
    await write([makePreparation('stub'), FIRST])
    await write([SECOND])
    expect(await readRun(folder)).toEqual({
      folder,
      info: INFO,
      records: [...makePreparation('stub'), ...FIRST, ...SECOND],
      notes: [],
    })
  })

  test('goes on where it stopped, with the description it began with', async () => {
    await write([FIRST])
    const later = makeRunInfo({ createdAt: '2027-01-01T00:00:00.000Z' })
    const store = await RunStore.open(root, later, { owner: ME })
    expect(store.info).toEqual(INFO)
    expect(store.records).toEqual(FIRST)
    await store.close()
  })

  test('cut at any byte of its last case and written again, it is as if nothing had happened', async () => {
    await write([FIRST])
    const kept = statSync(journal).size
    await write([SECOND])
    const whole = readFileSync(journal)
    // Every byte is tried on the text in journal.test.ts; here every 37th, through the files.
    for (let length = kept; length < whole.length; length += 37) {
      truncateSync(journal, length)
      const store = await RunStore.open(root, INFO, { owner: ME })
      expect(store.records).toEqual(FIRST)
      expect(store.notes).toHaveLength(length === kept ? 0 : 1)
      await store.append(SECOND)
      await store.close()
      expect(readFileSync(journal)).toEqual(whole)
    }
  })

  test('refuses a group without its last record', async () => {
    const store = await RunStore.open(root, INFO, { owner: ME })
    await expect(store.append(FIRST.slice(0, 2))).rejects.toMatchObject({ code: 'E_INTERNAL' })
    await expect(store.append([])).rejects.toMatchObject({ code: 'E_INTERNAL' })
    await store.close()
    expect(readFileSync(journal, 'utf8')).toBe('')
  })

  test('names file and line of damage, and gives the lock back', async () => {
    await write([FIRST, SECOND])
    const lines = readFileSync(journal, 'utf8').split('\n')
    writeFileSync(journal, ['{', ...lines.slice(1)].join('\n'))
    const expected = { code: 'E_JOURNAL', values: { file: journal, line: 1 } }
    await expect(RunStore.open(root, INFO, { owner: ME })).rejects.toMatchObject(expected)
    await expect(RunStore.open(root, INFO, { owner: ME })).rejects.toMatchObject(expected)
    await expect(readRun(folder)).rejects.toMatchObject(expected)
  })

  test.each([
    ['no JSON', '{', 'it holds no JSON'],
    ['an unknown version', JSON.stringify({ ...INFO, schemaVersion: 2 }), 'schemaVersion'],
    ['a missing part', JSON.stringify({ ...INFO, data: undefined }), 'data'],
    ['another run', JSON.stringify({ ...INFO, id: 'f'.repeat(16) }), 'expected run 0123456789abcdef, found ffff'],
  ])('refuses a run.json with %s', async (_, text, problem) => {
    await write([])
    writeFileSync(join(folder, 'run.json'), text)
    await expect(RunStore.open(root, INFO, { owner: ME })).rejects.toMatchObject({
      code: 'E_RUN_FILE',
      exit: 2,
      values: { file: join(folder, 'run.json'), problem: expect.stringContaining(problem) },
    })
  })

  test('removes what an atomic write left when it was killed', async () => {
    await write([FIRST])
    writeFileSync(join(folder, 'run.json.123456'), 'half')
    await write([])
    expect(readdirSync(folder).sort()).toEqual(['journal.jsonl', 'owner.json', 'readings.jsonl', 'run.json'])
  })

  test('started over keeps the earlier evidence beside it', async () => {
    await write([FIRST])
    await write([SECOND], { fresh: true })
    await write([], { fresh: true })
    const readAside = (name: string) => readFileSync(join(folder, name, 'journal.jsonl'), 'utf8')
    expect((await readRun(folder)).records).toEqual([])
    expect(readAside('before-1')).toContain('"f1"')
    expect(readAside('before-2')).toContain('"f2"')
  })

  test('forgets failures when they are to be tried again, and nothing else', async () => {
    const lost: JournalRecord = {
      kind: 'failure',
      method: 'b',
      regime: 'single',
      factId: null,
      stage: 'prepare',
      code: 'E',
      message: '',
    }
    await write([FIRST, FAILED, [lost], SECOND])
    await write([])
    expect((await readRun(folder)).records).toHaveLength(9)
    await write([FAILED], { retryErrors: true })
    expect((await readRun(folder)).records).toEqual([...FIRST, ...SECOND, ...FAILED])
  })
})

describe('readings of the unedited model', () => {
  test('are kept and found again', async () => {
    const store = await RunStore.open(root, INFO, { owner: ME })
    await store.appendReadings(makeCaseReadings('f1'))
    await store.close()
    const again = await RunStore.open(root, INFO, { owner: ME })
    expect([...again.readings.values()]).toEqual([makeCaseReadings('f1')])
    await again.close()
  })

  test('are cut off where they are damaged: they can be made again', async () => {
    await write([])
    const line = `${JSON.stringify(makeCaseReadings('f1'))}\n`
    writeFileSync(join(folder, 'readings.jsonl'), `${line}{"factId":7}\n${line}`)
    const store = await RunStore.open(root, INFO, { owner: ME })
    expect([...store.readings.keys()]).toEqual(['f1'])
    await store.appendReadings(makeCaseReadings('f2'))
    await store.close()
    expect(readFileSync(join(folder, 'readings.jsonl'), 'utf8')).toBe(line + line.replace('"f1"', '"f2"'))
  })
})

describe('finding a run', () => {
  const add = (id: string, createdAt: string) => {
    mkdirSync(join(root, id), { recursive: true })
    writeFileSync(join(root, id, 'run.json'), JSON.stringify(makeRunInfo({ id, createdAt })))
  }
  const [A, B] = ['aa00000000000000', 'ab00000000000000']

  test('takes the newest, or the one whose id begins so', async () => {
    add(A, '2026-01-02T00:00:00.000Z')
    add(B, '2026-01-01T00:00:00.000Z')
    mkdirSync(join(root, 'ac00000000000000'))
    mkdirSync(join(root, 'notes'))
    expect(await findRun(root)).toBe(join(root, A))
    expect(await findRun(root, 'ab')).toBe(join(root, B))
    await expect(findRun(root, 'aa0')).resolves.toBe(join(root, A))
  })

  test.each([
    ['no folder', undefined, 'none'],
    ['an unknown id', 'ff', 'none'],
    ['two of that name', 'a', `${A}, ${B}`],
  ])('%s is input missing', async (name, id, found) => {
    if (name !== 'no folder') {
      add(A, '2026-01-02T00:00:00.000Z')
      add(B, '2026-01-01T00:00:00.000Z')
    }
    const place = name === 'no folder' ? join(root, 'nowhere') : root
    await expect(findRun(place, id)).rejects.toMatchObject({ code: 'E_NO_RUN', exit: 66, values: { found } })
  })
})

describe('what the disk refuses', () => {
  test.skipIf(process.getuid?.() === 0)('a folder that may not be written is told', async () => {
    chmodSync(root, 0o500)
    await expect(RunStore.open(root, INFO, { owner: ME })).rejects.toMatchObject({ code: 'E_NOT_WRITABLE', exit: 1 })
  })

  // What every user, root too, may not write: a folder of the kernel's.
  test.skipIf(!existsSync('/proc/self'))('a file system that takes no folders is told', async () => {
    const refused = RunStore.open('/sys/whichedit', INFO, { owner: ME })
    await expect(refused).rejects.toMatchObject({ code: 'E_NOT_WRITABLE', exit: 1 })
  })
})

describe('between programs', () => {
  let child: string
  beforeAll(() => {
    child = compileForChild('test/support/store-child.ts', 'store')
  })

  test('the second one on a run is sent away, and let in when the first has gone', async () => {
    const first = spawn('node', [child, root, 'hold'])
    await once(first.stdout, 'data')
    await expect(RunStore.open(root, INFO, { owner: ME })).rejects.toMatchObject({
      code: 'E_RUN_LOCKED',
      exit: 75,
      values: { id: INFO.id, pid: first.pid },
    })
    first.stdin.write('go\n')
    await once(first, 'exit')
    await write([FIRST])
  })

  test('the lock of a killed program is taken at once', async () => {
    const first = spawn('node', [child, root, 'hold'])
    await once(first.stdout, 'data')
    first.kill('SIGKILL')
    await once(first, 'exit')
    expect(existsSync(join(folder, 'run.lock'))).toBe(true)
    const start = performance.now()
    const isAlive = (pid: number) => pid !== first.pid
    await write([FIRST], { owner: { pid: process.pid, isAlive } })
    expect(performance.now() - start).toBeLessThan(2_000)
  })

  test('a lock that nobody renews is taken, whoever held it', async () => {
    await write([])
    mkdirSync(join(folder, 'run.lock'))
    const longAgo = new Date(Date.now() - 60_000)
    utimesSync(join(folder, 'run.lock'), longAgo, longAgo)
    writeFileSync(join(folder, 'owner.json'), '{"pid":')
    await write([FIRST])
  })

  test('of four that start at once on the lock of a dead one, one gets it', async () => {
    await write([])
    mkdirSync(join(folder, 'run.lock'))
    writeFileSync(
      join(folder, 'owner.json'),
      JSON.stringify({ pid: 2 ** 22 + 1, host: (await import('node:os')).hostname() }),
    )
    const racers = [1, 2, 3, 4].map(() => spawn('node', [child, root, 'hold']))
    const said = await Promise.all(racers.map(async ({ stdout }) => String((await once(stdout, 'data'))[0]).trim()))
    expect(said.sort()).toEqual(['E_RUN_LOCKED', 'E_RUN_LOCKED', 'E_RUN_LOCKED', 'open'])
    for (const racer of racers) racer.kill()
  })

  test('a full disk ends with 75 and a journal that is whole', async () => {
    // A limit on the size of files is met as a full disk is: in the middle of a case.
    const run = promisify(execFile)('bash', ['-c', `ulimit -f 5; exec node "${child}" "${root}" fill`])
    await expect(run).rejects.toMatchObject({ code: 75, stdout: 'open\nE_DISK_FULL\n' })
    const { records, notes } = await readRun(folder)
    expect(notes).toEqual([])
    expect(records.length).toBeGreaterThan(3)
    expect(records.length % 3).toBe(0)
    await write([makeCase('stub', 'f99')])
    expect((await readRun(folder)).records).toHaveLength(records.length + 3)
  })
})
