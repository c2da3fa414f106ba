import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  truncateSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { hubFolder } from '../../src/models/hub-cache.ts'
import { KNOWN_MODELS, pathInHub } from '../../src/models/known.ts'
import { describeInHub, findModel } from '../../src/models/locate.ts'
import { agree } from '../../src/models/terms.ts'
import { GOLDEN, put, safetensorsBytes, temporaryFolder } from '../support/model-files.ts'
import { testContext } from '../support/tiny-model.ts'

const TINY = join(GOLDEN, 'tiny-llama')
const UNTIED = join(GOLDEN, 'tiny-llama-untied')
const NOWHERE = { hubCache: join(GOLDEN, 'no-such-folder') }
const context = () => testContext({ cacheDir: temporaryFolder() })

/** A folder that can be damaged. */
function copyOf(model: string): string {
  const folder = join(temporaryFolder(), 'model')
  cpSync(model, folder, { recursive: true })
  return folder
}

describe('a checkpoint folder', () => {
  test('in 32 bits is used where it lies', async () => {
    const ctx = context()
    const model = await findModel(TINY, ctx, NOWHERE)
    expect([model.name, model.storedAs, model.weights.size]).toEqual(['tiny-llama', 'F32', 38])
    expect(new Set([...model.weights.values()].map(({ file }) => file))).toEqual(
      new Set([realpathSync(join(TINY, 'model.safetensors'))]),
    )
    expect(readdirSync(ctx.cacheDir)).toEqual(['hashes'])
    expect(await model.tokenizer.decode([...(await model.tokenizer.encodeContinuation(' Paris'))])).toBe(' Paris')
  })

  test('in 16 bits is converted once, and found again', async () => {
    const ctx = context()
    const first = await findModel(UNTIED, ctx, NOWHERE)
    const second = await findModel(UNTIED, ctx, NOWHERE)
    expect(first.storedAs).toBe('BF16')
    expect([...second.weights]).toEqual([...first.weights])
    expect(second.fingerprint).toBe(first.fingerprint)
    expect([...first.weights.values()].every(({ shape, bytes }) => bytes === shape.reduce((n, d) => n * d, 4))).toBe(
      true,
    )
    expect(readdirSync(join(ctx.cacheDir, 'models'))).toEqual([first.fingerprint])
  })

  test('has a fingerprint of everything that decides what it says', async () => {
    const fingerprint = async (change: (folder: string) => void): Promise<string> => {
      const folder = copyOf(TINY)
      change(folder)
      return (await findModel(folder, context(), NOWHERE)).fingerprint
    }
    const edit = (name: string, from: string, to: string) => (folder: string) => {
      put(folder, name, readFileSync(join(folder, name), 'utf8').replace(from, to))
    }
    const same = await fingerprint(() => {})
    expect(await fingerprint((folder) => put(folder, 'README.md', 'other'))).toBe(same)
    const others = [
      await fingerprint(edit('config.json', '1e-05', '1e-06')),
      await fingerprint(edit('tokenizer.json', '"individual_digits":true', '"individual_digits":false')),
      await fingerprint((folder) => {
        const weights = readFileSync(join(folder, 'model.safetensors'))
        weights[weights.length - 4] = (weights.at(-4) ?? 0) ^ 1
        put(folder, 'model.safetensors', weights)
      }),
    ]
    expect(new Set([same, ...others]).size).toBe(4)
  })

  test.each<[string, unknown, unknown, number[]]>([
    ['one of config.json', 7, undefined, [7]],
    ['several of config.json', [7, 8], undefined, [7, 8]],
    ['those of both files', 7, { eos_token_id: [9, 7] }, [7, 9]],
    ['that of generation_config.json alone', null, { eos_token_id: 9 }, [9]],
    ['that of config.json alone', 7, { do_sample: true }, [7]],
  ])('knows the ends of a text: %s', async (_, own, generation, ends) => {
    const folder = copyOf(TINY)
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))
    put(folder, 'config.json', JSON.stringify({ ...config, eos_token_id: own }))
    if (generation !== undefined) put(folder, 'generation_config.json', JSON.stringify(generation))
    expect((await findModel(folder, context(), NOWHERE)).tokenizer.endsOfText).toEqual(ends)
  })

  test('of an encoder, which ends no text, has the token that fills a text up instead', async () => {
    const folder = copyOf(TINY)
    const { eos_token_id: _, ...config } = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))
    put(folder, 'config.json', JSON.stringify({ ...config, pad_token_id: 3 }))
    expect((await findModel(folder, context(), NOWHERE)).tokenizer.endsOfText).toEqual([3])
  })

  test.each(['config.json', 'tokenizer.json', 'model.safetensors'])('is refused without its %s', async (name) => {
    const folder = copyOf(TINY)
    rmSync(join(folder, name))
    await expect(findModel(folder, context(), NOWHERE)).rejects.toMatchObject({
      code: 'E_MODEL_INCOMPLETE',
      exit: 66,
      message: expect.stringContaining(name),
    })
  })

  test.each<[string, string, string, string]>([
    ['config.json', '"eos_token_id": 0', '"eos_token_id": "x"', 'E_CONFIG'],
    ['config.json', '"eos_token_id": 0', '"eos_token_id": [0, "x"]', 'E_CONFIG'],
    ['config.json', '"eos_token_id": 0', '"eos_token_id": []', 'E_CONFIG'],
    ['config.json', '"vocab_size": 448', '"vocab_size": -1', 'E_CONFIG'],
    ['config.json', '"vocab_size": 448', '"vocab_size": 400', 'E_TOKENIZER'],
    ['config.json', '{', '[', 'E_JSON'],
    ['tokenizer.json', '"BPE"', '"??"', 'E_TOKENIZER'],
  ])('is refused where %s says %s as %s', async (name, from, to, code) => {
    const folder = copyOf(TINY)
    put(folder, name, readFileSync(join(folder, name), 'utf8').replace(from, to))
    await expect(findModel(folder, context(), NOWHERE)).rejects.toMatchObject({ code })
  })

  test('may hold positions and masks besides, which are no weights', async () => {
    const folder = copyOf(TINY)
    const bytes = readFileSync(join(folder, 'model.safetensors'))
    const length = Number(bytes.readBigUInt64LE())
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + length))
    const data = bytes.subarray(8 + length)
    for (const [i, [name, dtype, width]] of (
      [
        ['embeddings.position_ids', 'I64', 8],
        ['h.0.attn.mask', 'BOOL', 1],
        ['h.0.attention.bias', 'U8', 1],
      ] as const
    ).entries()) {
      const start = data.length + 8 * i
      header[name] = { dtype, shape: [1, 8 / width], data_offsets: [start, start + 8] }
    }
    put(folder, 'model.safetensors', safetensorsBytes(header, Buffer.concat([data, Buffer.alloc(24)])))
    const model = await findModel(folder, context(), NOWHERE)
    expect([model.storedAs, model.weights.size]).toEqual(['F32', 38])
  })

  test('is refused with numbers of an unknown kind', async () => {
    const folder = copyOf(TINY)
    const bytes = readFileSync(join(folder, 'model.safetensors'))
    bytes.write('"U32"', bytes.indexOf('"F32"'))
    put(folder, 'model.safetensors', bytes)
    await expect(findModel(folder, context(), NOWHERE)).rejects.toMatchObject({ code: 'E_NUMBER_FORMAT' })
  })
})

describe('the cache of conversions', () => {
  test('makes a damaged conversion again', async () => {
    const ctx = context()
    const { fingerprint } = await findModel(UNTIED, ctx, NOWHERE)
    truncateSync(join(ctx.cacheDir, 'models', fingerprint, 'model.safetensors'), 1000)
    expect((await findModel(UNTIED, ctx, NOWHERE)).weights.size).toBe(21)
  })

  test('reads a large file once', async () => {
    const tasks: string[] = []
    const ctx = testContext({ cacheDir: temporaryFolder(), progress: ({ task }) => tasks.push(task) })
    await findModel(UNTIED, ctx, NOWHERE)
    expect(tasks.length).toBeGreaterThan(0)
    tasks.length = 0
    await findModel(UNTIED, ctx, NOWHERE)
    expect(tasks).toEqual([])
  })
})

describe('a name', () => {
  const known = KNOWN_MODELS[0]
  if (known === undefined) throw new Error('no known model')

  test('of a known model is looked up in the Hugging Face cache, through its link', async () => {
    const places = { hubCache: temporaryFolder() }
    const path = pathInHub(known, places.hubCache)
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(join(GOLDEN, 'tiny-llama.gguf'), path)
    expect((await findModel(known.name, context(), places)).name).toBe(known.name)
  })

  test('of a repository leads to its main commit', async () => {
    const places = { hubCache: temporaryFolder() }
    const folder = hubFolder('someone/Tiny-1.0', places.hubCache)
    mkdirSync(join(folder, 'refs'), { recursive: true })
    put(join(folder, 'refs'), 'main', 'abc123\n')
    cpSync(TINY, join(folder, 'snapshots', 'abc123'), { recursive: true })
    expect((await findModel('someone/Tiny-1.0', context(), places)).name).toBe('Tiny-1.0')
  })

  test('of a repository whose main commit is a path leads nowhere', async () => {
    const places = { hubCache: temporaryFolder() }
    const folder = hubFolder('a/b', places.hubCache)
    mkdirSync(join(folder, 'refs'), { recursive: true })
    put(join(folder, 'refs'), 'main', '../../../..')
    await expect(findModel('a/b', context(), places)).rejects.toMatchObject({ code: 'E_MODEL_UNKNOWN' })
  })

  test.each(['smollm2-135m', 'smolm2', './no/such/folder', '../../no-such-folder/', 'nothing.gguf', ''])(
    'that leads nowhere is told with what there is: %j',
    async (name) => {
      await expect(findModel(name, context(), NOWHERE)).rejects.toMatchObject({
        code: 'E_MODEL_UNKNOWN',
        exit: 66,
        message: expect.stringContaining('whichedit models pull smollm2-135m'),
      })
    },
  )

  test('that may be one of the hub is told how to bring it', async () => {
    await expect(findModel('a/b', context(), NOWHERE)).rejects.toMatchObject({
      code: 'E_MODEL_UNKNOWN',
      message: expect.stringContaining('whichedit models pull a/b'),
    })
  })

  test('without an owner is looked up, too', async () => {
    const places = { hubCache: temporaryFolder() }
    const folder = hubFolder('tiny', places.hubCache)
    mkdirSync(join(folder, 'refs'), { recursive: true })
    put(join(folder, 'refs'), 'main', 'abc123')
    await expect(findModel('tiny', context(), places)).rejects.toMatchObject({ code: 'E_MODEL_UNKNOWN' })
    cpSync(TINY, join(folder, 'snapshots', 'abc123'), { recursive: true })
    expect((await findModel('tiny', context(), places)).name).toBe('tiny')
  })

  test.each(['name', 'repository'] as const)('of a model with terms (its %s) waits for agreement', async (key) => {
    const places = { hubCache: temporaryFolder() }
    const termed = KNOWN_MODELS.find(({ terms }) => terms !== undefined)
    if (termed === undefined) throw new Error('no model with terms')
    const path = pathInHub(termed, places.hubCache)
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(join(GOLDEN, 'tiny-llama.gguf'), path)
    mkdirSync(join(hubFolder(termed.repository, places.hubCache), 'refs'))
    put(join(hubFolder(termed.repository, places.hubCache), 'refs'), 'main', termed.revision)
    await expect(findModel(termed[key], context(), places)).rejects.toMatchObject({ code: 'E_TERMS', exit: 2 })
    await agree(termed, places)
    expect((await findModel(termed[key], context(), places)).name).toBe(termed.name)
  })

  test('is never looked for among paths of other kinds', async () => {
    const file = put(temporaryFolder(), 'notes.txt', 'hello')
    await expect(findModel(file, context(), NOWHERE)).rejects.toMatchObject({ code: 'E_MODEL_UNKNOWN' })
  })
})

describe('a folder with GGUF files', () => {
  test('stands for its only one', async () => {
    const folder = temporaryFolder()
    cpSync(join(GOLDEN, 'tiny-llama.gguf'), join(folder, 'only.gguf'))
    expect((await findModel(folder, context(), NOWHERE)).config.num_hidden_layers).toBe(4)
    cpSync(join(GOLDEN, 'tiny-llama.gguf'), join(folder, 'second.gguf'))
    await expect(findModel(folder, context(), NOWHERE)).rejects.toMatchObject({ code: 'E_MODEL_INCOMPLETE' })
  })

  test('that is empty is told as such', async () => {
    await expect(findModel(temporaryFolder(), context(), NOWHERE)).rejects.toMatchObject({
      message: expect.stringContaining('an empty folder'),
    })
  })
})

test('converted weights and their origin lie in one folder', async () => {
  const ctx = context()
  const model = await findModel(join(GOLDEN, 'tiny-llama.gguf'), ctx, NOWHERE)
  const folders = new Set([...model.weights.values()].map(({ file }) => dirname(file)))
  expect([...folders]).toEqual([realpathSync(join(ctx.cacheDir, 'models', model.fingerprint))])
  expect(existsSync(join([...folders][0] ?? '', 'config.json'))).toBe(true)
})

test('a name of the cache is not a folder of that name', async () => {
  // Such a folder would be refused, were it looked into: it lacks a checkpoint.
  const folder = temporaryFolder()
  await expect(findModel(folder, context(), NOWHERE)).rejects.toMatchObject({ code: 'E_MODEL_INCOMPLETE' })
  expect(await describeInHub(folder, context(), NOWHERE)).toBeUndefined()
})
