import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import ProfileNew from '../../../src/commands/profile/new.ts'
import { parseProfile } from '../../../src/scoring/profile.ts'
import { runCommand } from '../../support/run-command.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'whichedit-new-'))
})
afterEach(() => rmSync(cwd, { recursive: true, force: true }))
const make = (...argv: string[]) => runCommand(ProfileNew, argv, { cwd, env: { XDG_CONFIG_HOME: join(cwd, 'config') } })
const text = (name = 'whichedit.yaml') => readFileSync(join(cwd, name), 'utf8')

test("writes the project's profile with what flags say, the comments kept", async () => {
  const { stdout, exit } = await make(
    '--from',
    'few-precise-edits',
    '--weights',
    'locality=3,reliability=1',
    '--edits',
    '7',
  )
  expect(exit).toBe(0)
  expect(stdout).toContain('Wrote whichedit.yaml.')
  expect(text()).toContain('#')
  const profile = await parseProfile(text(), 'whichedit.yaml')
  expect(profile).toMatchObject({ title: 'My a few precise edits', workload: { edits: 7 } })
  expect(profile.weights).toMatchObject({ locality: 0.75, reliability: 0.25, generalization: 0 })
})

test('keeps an existing file unless told otherwise', async () => {
  writeFileSync(join(cwd, 'mine.yaml'), 'mine')
  expect(await make('mine.yaml')).toMatchObject({ exit: 2, stderr: expect.stringContaining('E_PROFILE_EXISTS') })
  expect(text('mine.yaml')).toBe('mine')
  expect(await make('mine.yaml', '--force', '--title', 'Anew')).toMatchObject({ exit: 0 })
  expect(text('mine.yaml')).toContain('title: Anew')
})

test('writes nothing where an answer is wrong', async () => {
  expect(await make('--weights', 'locality=-1')).toMatchObject({ exit: 2 })
  expect(await make('--from', 'nobody')).toMatchObject({ exit: 2 })
  expect(existsSync(join(cwd, 'whichedit.yaml'))).toBe(false)
})
