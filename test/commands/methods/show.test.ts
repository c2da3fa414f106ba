import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import MethodsShow from '../../../src/commands/methods/show.ts'
import { EDITORS } from '../../../src/editors/index.ts'
import { snapshotFolder } from '../../../src/models/hub-cache.ts'
import { ENCODER } from '../../../src/models/index.ts'
import { KNOWN_MODELS, type KnownModel } from '../../../src/models/known.ts'
import { runCommand } from '../../support/run-command.ts'

test('shows idea, paper, needs and settings', async () => {
  const { stdout, exit } = await runCommand(MethodsShow, ['ft-m'], { env: { COLUMNS: '120' } })
  expect(exit).toBe(0)
  expect(stdout).toMatch(/^FT-M \(ft-m\)\n/)
  expect(stdout).toContain('Trains the down-projection of one layer on the one fact. It leads the model along')
  expect(stdout).toContain('\n  loss = mean over j of −log p(tⱼ | x, t₁ … tⱼ₋₁)\n')
  expect(stdout).toMatch(/^- Paraphrases seldom follow/m)
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

test('says what makes the sentence vectors of a method that searches by them, and of no other', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'whichedit-test-'))
  const vectorsOf = async (name: string) =>
    JSON.parse((await runCommand(MethodsShow, [name, '--json'], { env: { HF_HOME: folder } })).stdout).sentenceVectors
  expect(await vectorsOf('ft-m')).toBeNull()
  expect(await vectorsOf('ike')).toMatch(/own hidden states, .* models pull minilm brings it$/)
  const minilm = KNOWN_MODELS.find(({ name }) => name === ENCODER)
  for (const { path } of minilm?.files ?? []) {
    const file = join(snapshotFolder(minilm as KnownModel, join(folder, 'hub')), path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, 'x')
  }
  expect(await vectorsOf('ike')).toBe('by the encoder minilm')
})
