import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { ARCHITECTURES, loadModel } from '../../src/models/index.ts'
import { openTinyModel, testContext } from '../support/tiny-model.ts'

const TINY = fileURLToPath(new URL('../golden/tiny-llama', import.meta.url))

async function changedModel(change: (config: Record<string, unknown>) => void): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'whichedit-model-'))
  await cp(TINY, folder, { recursive: true })
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>
  change(config)
  await writeFile(join(folder, 'config.json'), JSON.stringify(config))
  return folder
}

test('an architecture that is not there is refused with those that are', async () => {
  const folder = await changedModel((config) => {
    config.model_type = 'rwkv'
  })
  const opening = loadModel(folder, { hubCache: '' }, testContext())
  await expect(opening).rejects.toMatchObject({
    code: 'E_ARCHITECTURE',
    values: { type: 'rwkv', known: Object.keys(ARCHITECTURES).join(', ') },
  })
  await rm(folder, { recursive: true })
})

test('a folder that lacks a layer of its configuration is refused by the weight that is missing', async () => {
  const folder = await changedModel((config) => {
    config.num_hidden_layers = 5
  })
  const opening = loadModel(folder, { hubCache: '' }, testContext())
  await expect(opening).rejects.toMatchObject({
    code: 'E_WEIGHT',
    values: { name: 'model.layers.4.input_layernorm.weight' },
  })
  await rm(folder, { recursive: true })
})

test('weights of other sizes than the configuration says are refused', async () => {
  const folder = await changedModel((config) => {
    config.intermediate_size = 48
  })
  const opening = loadModel(folder, { hubCache: '' }, testContext())
  await expect(opening).rejects.toMatchObject({ code: 'E_SHAPE' })
  await rm(folder, { recursive: true })
})

test('a closed model frees its sessions and says so when asked again', async () => {
  const model = await openTinyModel()
  const tokens = { rows: [Int32Array.of(1, 2)] }
  await model.run({ tokens, read: [{ site: 'logits', at: 'all', as: 'argmax' }] })
  await model.close()
  await expect(model.run({ tokens, read: [{ site: 'logits', at: 'all' }] })).rejects.toMatchObject({ code: 'E_CLOSED' })
})
