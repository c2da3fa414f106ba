import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import ProfileValidate from '../../../src/commands/profile/validate.ts'
import { runCommand } from '../../support/run-command.ts'

let file: string
beforeEach(() => {
  file = join(mkdtempSync(join(tmpdir(), 'whichedit-profile-')), 'mine.yaml')
})
afterEach(() => rmSync(join(file, '..'), { recursive: true, force: true }))

test('says that a profile can be used', async () => {
  writeFileSync(file, 'schema: whichedit/profile@1\ntitle: Mine\nweights: { locality: 1 }\n')
  const { stdout, exit } = await runCommand(ProfileValidate, [file])
  expect({ stdout, exit }).toEqual({ stdout: `${file} is valid: Mine\n`, exit: 0 })
})

test('names every mistake with its line and column, and ends with 2', async () => {
  writeFileSync(
    file,
    'schema: whichedit/profile@1\nweights:\n  localty: 1\nworkload:\n  edits: many\nlimits:\n  memory: 3 elephants\n',
  )
  const { stderr, exit } = await runCommand(ProfileValidate, [file])
  expect(exit).toBe(2)
  expect(stderr).toContain(`${file}:3:3`)
  expect(stderr).toContain('locality')
  expect(stderr).toContain(`${file}:5:10`)
  expect(stderr).toContain(`${file}:7:11`)
})

test('ends with 66 where there is no such file', async () => {
  expect(await runCommand(ProfileValidate, [file])).toMatchObject({
    exit: 66,
    stderr: expect.stringContaining('E_SETTINGS_MISSING'),
  })
})
