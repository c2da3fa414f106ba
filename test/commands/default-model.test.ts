/** What works with no model and no facts named: the model and the facts that ship. Every result says what the model is for. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import FactsBuild from '../../src/commands/facts/build.ts'
import FactsCheck from '../../src/commands/facts/check.ts'
import ModelsInspect from '../../src/commands/models/inspect.ts'
import { runBin, runCommand } from '../support/run-command.ts'

const NOTICE = 'atlas is a demonstration model'
/** Wrapped lines as one. */
const flat = (text: string) => text.replaceAll(/\s+/g, ' ')

let cwd: string
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'whichedit-default-'))
  // A folder of the model's name is not meant.
  mkdirSync(join(cwd, 'atlas'))
})
afterAll(() => rmSync(cwd, { recursive: true, force: true }))
const where = () => ({
  cwd,
  env: { XDG_CACHE_HOME: join(cwd, 'cache'), XDG_CONFIG_HOME: join(cwd, 'config'), HF_HUB_CACHE: join(cwd, 'hub') },
})
const run = (...argv: string[]) => runBin(argv, where())

describe('without --model and --facts', () => {
  test('advise runs on the model that ships and the facts it knows', async () => {
    const options = ['--cases', '3', '--methods', 'none,grace', '--profile', 'balanced', '--no-input']
    const { stdout, stderr } = await run('advise', ...options)
    expect(stdout).toContain('model atlas · profile Balanced')
    expect(stdout).toMatch(/3 cases of world:probe/)
    expect(flat(stdout)).toContain(`! ${NOTICE}`)
    expect(flat(stderr)).toContain(NOTICE)
  })

  test('its evidence goes on saying so, without the model', async () => {
    const { stdout } = await run('rank', '--json')
    const { notes, model } = JSON.parse(stdout)
    expect(model.name).toBe('atlas')
    expect(notes[0]).toContain(NOTICE)
  })

  test('probe says it with its result, quiet or not', async () => {
    const { stdout, stderr, exit } = await run('probe', '--cases', '2', '--methods', 'none', '--quiet')
    expect({ stderr, exit }).toEqual({ stderr: '', exit: 0 })
    expect(stdout).toContain('2 of 2 cases')
    expect(stdout).toContain(NOTICE)
    const json = await run('probe', '--cases', '2', '--methods', 'none', '--json')
    expect(JSON.parse(json.stdout).info.model.notice).toContain(NOTICE)
  })
})

test.each([
  ['models inspect', () => runCommand(ModelsInspect, ['atlas'], where())],
  ['facts check', () => runCommand(FactsCheck, ['countries', '--model', 'atlas'], where())],
])('%s says it', async (_, outcome) => {
  expect(flat((await outcome()).stdout)).toContain(NOTICE)
})

test('facts build says it beside the facts, which are not mixed with it', async () => {
  const table = join(cwd, 'table.csv')
  writeFileSync(table, 'subject,relation,targetNew,targetOld\nFrance,capital,Osaka,Paris\nSpain,capital,,Madrid\n')
  const { stdout, stderr } = await runCommand(FactsBuild, [table, '--model', 'atlas'], where())
  expect(stderr).toContain(NOTICE)
  expect(JSON.parse(stdout)).toMatchObject({ subject: 'France', targetNew: 'Osaka' })
})
