import { cpSync, mkdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { hubFolder } from '../../src/models/hub-cache.ts'
import { listModels, unknownModel } from '../../src/models/inventory.ts'
import { KNOWN_MODELS, pathInHub } from '../../src/models/known.ts'
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
  const [atlas, ...known] = models
  expect(atlas).toMatchObject({ name: 'atlas', kind: 'language-model', path: expect.stringMatching(/models.atlas$/) })
  expect(atlas?.bytes).toBeGreaterThan(1_000_000)
  expect(known).toEqual(KNOWN_MODELS.map(({ name, title, kind }) => ({ name, title, kind, path: null, bytes: null })))
})

test('lists what the cache holds, passing over what is no model', async () => {
  const hubCache = temporaryFolder()
  const known = KNOWN_MODELS[0]
  if (known === undefined) throw new Error('no known model')
  const file = pathInHub(known, hubCache)
  mkdirSync(dirname(file), { recursive: true })
  put(dirname(file), basename(file), 'abcd')
  cpSync(join(GOLDEN, 'tiny-llama'), repository(hubCache, 'someone/tiny'), { recursive: true })
  put(repository(hubCache, 'someone/Some-GGUF'), 'a.gguf', 'abc')
  put(repository(hubCache, 'someone/data'), 'rows.parquet', 'abc')
  put(repository(hubCache, 'someone/odd'), 'model.safetensors', 'abc')
  put(join(hubFolder('someone/odd', hubCache), 'snapshots', 'abc'), 'config.json', '{')
  mkdirSync(join(hubCache, 'models--no--main', 'snapshots'), { recursive: true })
  mkdirSync(join(hubCache, 'datasets--a--b'))
  put(repository(hubCache, 'bare'), 'model.safetensors', 'abcde')
  const vectors = repository(hubCache, 'someone/vectors')
  put(vectors, 'config.json', '{"model_type": "bert"}')
  put(vectors, 'model.safetensors', 'ab')
  const models = await listModels({ hubCache })
  expect(models.slice(1).map(({ name, title, kind, bytes }) => [name, title, kind, bytes])).toEqual([
    [known.name, known.title, 'language-model', 4],
    ...KNOWN_MODELS.slice(1).map(({ name, title, kind }) => [name, title, kind, null]),
    ['bare', 'no config.json', 'language-model', 5],
    ['someone/Some-GGUF', 'GGUF', 'language-model', 3],
    ['someone/odd', 'unreadable config.json', 'language-model', 3],
    ['someone/tiny', 'llama', 'language-model', 209_848],
    ['someone/vectors', 'bert', 'encoder', 2],
  ])
})

test.each([
  ['smolm2-135m', 'whichedit models pull smollm2-135m'],
  ['someone/tinny', '--model someone/tiny'],
  ['someone/vektors', 'whichedit models pull someone/vectors'],
  ['quite/another-thing', 'whichedit models pull quite/another-thing'],
  ['nothing', 'whichedit models pull smollm2-135m'],
  ['./no/folder', 'whichedit models pull smollm2-135m'],
])('says what may have been meant by %s', async (reference, advice) => {
  const hubCache = temporaryFolder()
  cpSync(join(GOLDEN, 'tiny-llama'), repository(hubCache, 'someone/tiny'), { recursive: true })
  cpSync(join(GOLDEN, 'tiny-bert'), repository(hubCache, 'someone/vectors'), { recursive: true })
  expect(await unknownModel(reference, { hubCache })).toMatchObject({
    code: 'E_MODEL_UNKNOWN',
    message: expect.stringMatching(new RegExp(`Try: ${advice}$`)),
  })
})
