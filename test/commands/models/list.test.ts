import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import ModelsList from '../../../src/commands/models/list.ts'
import { put, temporaryFolder } from '../../support/model-files.ts'
import { runCommand } from '../../support/run-command.ts'

test('says how to bring a model that is not here', async () => {
  const { stdout, exit } = await runCommand(ModelsList, [], {
    env: { HF_HUB_CACHE: temporaryFolder(), COLUMNS: '160' },
  })
  expect(exit).toBe(0)
  const [head, shipped, row] = stdout.split('\n')
  expect(head).toMatch(/^MODEL +SIZE +KIND +WHAT +WHERE$/)
  expect(shipped).toMatch(/^atlas +\d\.\d MiB +language model +.*demonstration/)
  expect(row).toMatch(
    /^smollm2-135m +language model +SmolLM2-135M-Instruct \(Q4_1\) +not here: whichedit models pull smollm2-135m$/,
  )
})

test('prints nothing of a model file that a terminal would obey', async () => {
  const cache = temporaryFolder()
  const folder = join(cache, 'models--a--b')
  for (const path of ['refs', 'snapshots/1']) mkdirSync(join(folder, path), { recursive: true })
  put(join(folder, 'refs'), 'main', '1')
  put(join(folder, 'snapshots', '1'), 'model.safetensors', '')
  put(join(folder, 'snapshots', '1'), 'config.json', '{"model_type": "x\\u001b[2J"}')
  const { stdout } = await runCommand(ModelsList, [], { env: { HF_HUB_CACHE: cache, COLUMNS: '160' } })
  expect(stdout).toContain('a/b')
  expect(stdout).not.toContain('\u001b')
})

test('gives the same as JSON', async () => {
  const { stdout } = await runCommand(ModelsList, ['--json'], { env: { HF_HUB_CACHE: temporaryFolder() } })
  expect(JSON.parse(stdout)).toMatchObject({
    schemaVersion: 1,
    models: [
      { name: 'atlas' },
      { name: 'smollm2-135m', path: null, bytes: null },
      { name: 'gemma3-270m' },
      { name: 'minilm', kind: 'encoder' },
    ],
  })
})
