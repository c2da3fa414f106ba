import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import ProfileList from '../../../src/commands/profile/list.ts'
import { runCommand } from '../../support/run-command.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'whichedit-profiles-'))
})
afterEach(() => rmSync(cwd, { recursive: true, force: true }))
const list = (...flags: string[]) =>
  runCommand(ProfileList, flags, { cwd, env: { XDG_CONFIG_HOME: join(cwd, 'config'), COLUMNS: '200' } })

test("lists what is built in, the user's and the project's, each with its title", async () => {
  mkdirSync(join(cwd, 'config', 'whichedit', 'profiles'), { recursive: true })
  const profile = (title: string) => `schema: whichedit/profile@1\ntitle: ${title}\nweights: { locality: 1 }\n`
  writeFileSync(join(cwd, 'config', 'whichedit', 'profiles', 'mine.yaml'), profile('Mine'))
  writeFileSync(join(cwd, 'whichedit.yaml'), profile('Ours'))
  writeFileSync(join(cwd, 'other.yaml'), 'not: a profile\n')
  const { stdout, exit } = await list()
  expect(exit).toBe(0)
  expect(stdout).toMatch(/^balanced +built-in +Balanced$/m)
  expect(stdout).toMatch(/^mine +user +Mine$/m)
  expect(stdout).toMatch(/^whichedit +project +Ours$/m)
  expect(stdout).not.toContain('other')
})

test('names the mistake of one that cannot be read, and lists the others', async () => {
  writeFileSync(join(cwd, 'whichedit.yaml'), 'schema: whichedit/profile@1\nweigths: { locality: 1 }\n')
  const { profiles } = JSON.parse((await list('--json')).stdout)
  expect(profiles.at(-1)).toMatchObject({ source: 'project', problem: expect.stringContaining('weigths') })
  expect(profiles[0]).toMatchObject({ name: 'balanced', title: 'Balanced' })
})
