import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { compileForChild } from '../../support/compile.ts'

test('a lane started by hand says what it is for and ends', () => {
  const entry = compileForChild('test/support/stub-lane.ts', 'channel')
  const { status, stderr } = spawnSync('node', [entry], { encoding: 'utf8' })
  expect(status).toBe(1)
  expect(stderr).toContain('a lane that nobody started')
})
