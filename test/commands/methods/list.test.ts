import { expect, test } from 'vitest'
import MethodsList from '../../../src/commands/methods/list.ts'
import { EDITORS } from '../../../src/editors/index.ts'
import { runCommand } from '../../support/run-command.ts'

test('names every method of the registry in a line of its own', async () => {
  const { stdout, exit } = await runCommand(MethodsList, [], { env: { COLUMNS: '200' } })
  expect(exit).toBe(0)
  const lines = stdout.split('\n')
  expect(lines[0]).toMatch(/^METHOD +TITLE +FAMILY +WHAT IT DOES$/)
  expect(lines.slice(1, 1 + Object.keys(EDITORS).length).map((line) => line.split(' ')[0])).toEqual(
    Object.keys(EDITORS),
  )
  expect(stdout).toMatch(/^none +No edit +control +Leaves the model as it is/m)
})

test('gives the same as JSON', async () => {
  const { stdout } = await runCommand(MethodsList, ['--json'])
  const { schemaVersion, methods } = JSON.parse(stdout)
  expect(schemaVersion).toBe(1)
  expect(methods).toHaveLength(Object.keys(EDITORS).length)
  expect(methods[0]).toEqual({
    name: 'none',
    title: 'No edit',
    family: 'control',
    batch: 'many',
    needs: [],
    summary: expect.any(String),
  })
})
