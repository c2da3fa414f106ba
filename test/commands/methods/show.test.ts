import { expect, test } from 'vitest'
import MethodsShow from '../../../src/commands/methods/show.ts'
import { EDITORS } from '../../../src/editors/index.ts'
import { runCommand } from '../../support/run-command.ts'

test('shows idea, paper, needs and settings', async () => {
  const { stdout, exit } = await runCommand(MethodsShow, ['ft-m'], { env: { COLUMNS: '120' } })
  expect(exit).toBe(0)
  expect(stdout).toMatch(/^FT-M \(ft-m\)\n/)
  expect(stdout).toContain('Needs   gradient')
  expect(stdout).toMatch(/^learningRate +0\.0005 +1e-8–1 +lr +learning rate of Adam$/m)
  expect(stdout).toMatch(/^layer +21\/32 +a layer +layers/m)
})

test.each(Object.keys(EDITORS))('%s: every setting has its published value', async (name) => {
  const { stdout } = await runCommand(MethodsShow, [name, '--json'])
  const { settings } = JSON.parse(stdout)
  expect(settings.filter(({ value }: { value: unknown }) => value === null)).toEqual([])
})

test('says that a method has no settings', async () => {
  expect((await runCommand(MethodsShow, ['none'])).stdout).toContain('It has no settings.')
})

test('names the nearest method for a word that names none', async () => {
  const { stderr, exit } = await runCommand(MethodsShow, ['ft-n'])
  expect(exit).toBe(2)
  expect(stderr).toMatch(/^E_METHOD {2}expected a method of none, ft-l, .*, found "ft-n"\. Did you mean "ft-[lm]"\?/)
})

test('refuses names of the object prototype', async () => {
  expect((await runCommand(MethodsShow, ['constructor'])).exit).toBe(2)
})
