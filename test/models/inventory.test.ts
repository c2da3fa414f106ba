import { cpSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { listModels } from '../../src/models/inventory.ts'
import { fileInHub, hubFolder, KNOWN_MODELS } from '../../src/models/known.ts'
import { GOLDEN, put, temporaryFolder } from '../support/model-files.ts'

/** Lays out a repository of the Hugging Face cache and returns its snapshot's folder. */
function repository(hubCache: string, name: string): string {
  const folder = hubFolder(name, hubCache)
  const snapshot = join(folder, 'snapshots', 'abc')
  for (const path of [join(folder, 'refs'), snapshot]) mkdirSync(path, { recursive: true })
  put(join(folder, 'refs'), 'main', 'abc')
  return snapshot
}

test('lists known models where there is no cache at all', async () => {
  const models = await listModels({ hubCache: join(temporaryFolder(), 'none') })
  expect(models).toEqual(KNOWN_MODELS.map(({ name, title }) => ({ name, title, path: null, bytes: null })))
})

test('lists what the cache holds, passing over what is no model', async () => {
  const hubCache = temporaryFolder()
  const known = KNOWN_MODELS[0]
  if (known === undefined) throw new Error('no known model')
  const file = fileInHub(known, hubCache)
  mkdirSync(dirname(file), { recursive: true })
  put(dirname(file), known.file, 'abcd')
  cpSync(join(GOLDEN, 'tiny-llama'), repository(hubCache, 'someone/tiny'), { recursive: true })
  put(repository(hubCache, 'someone/Some-GGUF'), 'a.gguf', 'abc')
  put(repository(hubCache, 'someone/data'), 'rows.parquet', 'abc')
  put(repository(hubCache, 'someone/odd'), 'model.safetensors', 'abc')
  put(join(hubFolder('someone/odd', hubCache), 'snapshots', 'abc'), 'config.json', '{')
  mkdirSync(join(hubCache, 'models--no--main', 'snapshots'), { recursive: true })
  mkdirSync(join(hubCache, 'datasets--a--b'))
  const models = await listModels({ hubCache })
  expect(models.map(({ name, title, bytes }) => [name, title, bytes])).toEqual([
    [known.name, known.title, 4],
    ['someone/Some-GGUF', 'GGUF', 3],
    ['someone/odd', 'unreadable config.json', 3],
    ['someone/tiny', 'llama', 209_848],
  ])
})
