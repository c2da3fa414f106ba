import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import Doctor from '../../src/commands/doctor.ts'
import {
  checkDisk,
  checkFolder,
  checkMemory,
  checkModels,
  checkNode,
  checkPip,
  checkRuntime,
  checkTokenizers,
  runChecks,
} from '../../src/commands/support/checks.ts'
import { KNOWN_MODELS, pathInHub } from '../../src/models/known.ts'
import { runCommand } from '../support/run-command.ts'

const folder = mkdtempSync(join(tmpdir(), 'whichedit-doctor-'))
const env = {
  XDG_CACHE_HOME: join(folder, 'cache'),
  XDG_CONFIG_HOME: join(folder, 'config'),
  HF_HOME: join(folder, 'hf'),
}

afterAll(() => rmSync(folder, { recursive: true }))

test('a machine on which everything works ends with 0, a line for each part', async () => {
  const { stdout, exit } = await runCommand(Doctor, [], { env, cwd: folder })
  expect(exit).toBe(0)
  expect(stdout).toMatch(/^ok {4}runtime +onnxruntime-node computes/m)
  expect(stdout).toMatch(/^ok {4}tokenizer /m)
  expect(stdout).toContain('Everything that is needed works.')
})

test('a folder that cannot be written ends with 1, also under --json', async () => {
  const broken = { ...env, XDG_CACHE_HOME: '/proc/nowhere' }
  const plain = await runCommand(Doctor, [], { env: broken, cwd: folder })
  const machine = await runCommand(Doctor, ['--json'], { env: broken, cwd: folder })
  expect([plain.exit, machine.exit]).toEqual([1, 1])
  expect(plain.stdout).toMatch(/^fail {2}cache folder .*\n +Give yourself the right to write/m)
  const checks: { name: string; status: string; remedy?: string }[] = JSON.parse(machine.stdout).checks
  expect(checks.find(({ name }) => name === 'cache folder')).toMatchObject({
    status: 'fail',
    remedy: expect.any(String),
  })
})

describe('the parts', () => {
  test('the runtime computes, the tokenizer encodes', async () => {
    expect(await checkRuntime()).toMatchObject({ status: 'ok' })
    expect(await checkTokenizers()).toMatchObject({ status: 'ok' })
  })

  test.each([
    ['20.20.2', 'warn'],
    ['22.13.0', 'ok'],
    ['24.1.0', 'ok'],
  ])('Node %s: %s', async (version, status) => {
    expect(await checkNode(version)).toMatchObject({ status })
  })

  test('no pip is a warning with a way out', async () => {
    expect(await checkPip([['no-such-program-anywhere']])).toEqual({
      status: 'warn',
      found: 'no pip',
      remedy: expect.stringContaining('--model'),
    })
  })

  test('the first pip that answers counts', async () => {
    const node = process.execPath
    expect(await checkPip([['no-such-program-anywhere'], [node]])).toEqual({ status: 'ok', found: process.version })
  })

  test('a model that is not there is a warning with the command that brings it', async () => {
    const hubCache = join(folder, 'hub')
    expect(await checkModels({ hubCache })).toEqual({
      status: 'warn',
      found: `only atlas, for demonstration; none in ${hubCache}`,
      remedy: expect.stringMatching(/^whichedit models pull \S+, or/),
    })
    const [known] = KNOWN_MODELS
    const file = known === undefined ? '' : pathInHub(known, hubCache)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, 'x')
    expect(await checkModels({ hubCache })).toEqual({ status: 'ok', found: `atlas, ${known?.name}` })
  })

  test('a folder need not exist yet', async () => {
    expect(await checkFolder(join(folder, 'a/b/c'))).toMatchObject({ status: 'ok' })
  })

  test.each([
    [3, 'ok'],
    [1, 'warn'],
  ])('%d GiB of memory: %s', async (gib, status) => {
    expect(await checkMemory(gib * 2 ** 30, 8 * 2 ** 30)).toMatchObject({ status })
  })

  test('free space is that of the nearest folder there is', async () => {
    expect(await checkDisk(join(folder, 'x/y'))).toMatchObject({ found: expect.stringMatching(/^\d+\.\d GiB free at/) })
  })

  test('a check that throws has failed, and the others still run', async () => {
    const checks = [
      { name: 'a', look: () => Promise.reject(new Error('broken')) },
      { name: 'b', look: async () => ({ status: 'ok' as const, found: 'fine' }) },
    ]
    expect(await runChecks(checks)).toEqual([
      { name: 'a', status: 'fail', found: 'broken' },
      { name: 'b', status: 'ok', found: 'fine' },
    ])
  })
})
