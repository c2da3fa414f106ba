import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import ProfileShow from '../../../src/commands/profile/show.ts'
import { runCommand } from '../../support/run-command.ts'

const BALANCED = fileURLToPath(new URL('../../../profiles/balanced.yaml', import.meta.url))

test('prints the YAML as it is written, comments and all', async () => {
  expect((await runCommand(ProfileShow, ['balanced'])).stdout).toBe(readFileSync(BALANCED, 'utf8'))
})

test('gives as JSON every default filled in, weights of sum 1', async () => {
  const { profile } = JSON.parse((await runCommand(ProfileShow, ['balanced', '--json'])).stdout)
  expect(profile.weights.reliability).toBeCloseTo(0.3, 12)
  expect(profile.workload).toMatchObject({ edits: 10, arrival: 'single' })
  expect(profile.formula).toBeNull()
})

test('suggests the nearest name for one that nothing has', async () => {
  const { exit, stderr } = await runCommand(ProfileShow, ['reserch'])
  expect(exit).toBe(2)
  expect(stderr).toMatch(/^E_NO_PROFILE .*Did you mean research\?\n$/)
})
