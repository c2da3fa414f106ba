import { createHash } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Context } from '../../src/context.ts'
import type { Hub } from '../../src/models/hub.ts'
import { hubFolder } from '../../src/models/hub-cache.ts'
import { chooseFiles } from '../../src/models/hub-files.ts'
import { pullRepository } from '../../src/models/hub-pull.ts'
import { listModels } from '../../src/models/inventory.ts'
import { findModel } from '../../src/models/locate.ts'
import { serveFile } from '../support/file-server.ts'
import { COMMIT, type HubPlan, serveHub, TOKEN } from '../support/hub-server.ts'
import { GOLDEN, put, temporaryFolder } from '../support/model-files.ts'
import { testContext } from '../support/tiny-model.ts'

const tiny = (name: string) => readFileSync(join(GOLDEN, 'tiny-llama', name))
const FILES = {
  'README.md': Buffer.from('not needed'),
  'config.json': tiny('config.json'),
  'tokenizer.json': tiny('tokenizer.json'),
  'model.safetensors': tiny('model.safetensors'),
  'pytorch_model.bin': Buffer.from('not wanted'),
}
const NEEDED = ['config.json', 'model.safetensors', 'tokenizer.json']
const SIZE = FILES['config.json'].length + FILES['tokenizer.json'].length + FILES['model.safetensors'].length

async function setUp(plan: Partial<HubPlan> = {}) {
  const server = await serveHub({ files: FILES, ...plan })
  const places = { hubCache: temporaryFolder() }
  const ctx = testContext({ cacheDir: temporaryFolder() })
  const folder = hubFolder('someone/small', places.hubCache)
  const pull = (
    changes: { readonly hub?: Partial<Hub>; readonly ctx?: Partial<Context>; readonly revision?: string } = {},
  ) =>
    pullRepository(
      { repository: 'someone/small', choose: chooseFiles, ...(changes.revision && { revision: changes.revision }) },
      { ...server.hub, ...changes.hub },
      places,
      { ...ctx, ...changes.ctx },
    )
  return { ...server, places, ctx, folder, blobs: join(folder, 'blobs'), pull }
}

const largeDigest = createHash('sha256').update(FILES['model.safetensors']).digest('hex')

/** What lies in a snapshot and what is in it. */
function snapshotOf(folder: string): Record<string, string> {
  return Object.fromEntries(readdirSync(folder).map((name) => [name, readlinkSync(join(folder, name))]))
}

describe('pullRepository', () => {
  test("lays files out as Python's tools do, and only those needed", async () => {
    const { folder, blobs, pull } = await setUp()
    const pulled = await pull()
    const path = join(folder, 'snapshots', COMMIT)
    expect(pulled).toEqual({ path, commit: COMMIT, bytes: SIZE, license: 'mit', fetched: true })
    expect(readdirSync(path).sort()).toEqual(NEEDED)
    // Large files go by their sha256, small ones by the hash git names them by.
    expect(snapshotOf(path)['model.safetensors']).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/)
    expect(snapshotOf(path)['config.json']).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/)
    for (const name of NEEDED) expect(readFileSync(join(path, name)).equals(tiny(name))).toBe(true)
    expect(readdirSync(blobs).length).toBe(3)
    expect(readFileSync(join(folder, 'refs', 'main'), 'utf8')).toBe(COMMIT)
  })

  test('brings a model that can be found and listed by its name', async () => {
    const { places, ctx, pull } = await setUp()
    await pull()
    const model = await findModel('someone/small', ctx, places)
    expect([model.name, model.config.num_hidden_layers]).toEqual(['small', 4])
    const listed = (await listModels(places)).find(({ name }) => name === 'someone/small')
    expect(listed).toMatchObject({ title: 'llama', kind: 'language-model', path: expect.any(String) })
  })

  test('fetches nothing where all is there, and what is damaged or gone again', async () => {
    const { requests, folder, pull } = await setUp()
    const { path } = await pull()
    const asked = () => requests.splice(0).filter((line) => line.includes('/resolve/'))
    asked()
    expect([(await pull()).fetched, asked()]).toEqual([false, []])
    const config = realpathSync(join(path, 'config.json'))
    writeFileSync(config, Buffer.alloc(FILES['config.json'].length))
    rmSync(realpathSync(join(path, 'tokenizer.json')))
    rmSync(join(folder, 'snapshots'), { recursive: true })
    expect((await pull()).fetched).toBe(true)
    expect(asked().map((line) => line.split('/').at(-1))).toEqual(['config.json', 'tokenizer.json'])
    expect(readFileSync(config).equals(FILES['config.json'])).toBe(true)
  })

  test('notes a branch by its name, and none for a commit', async () => {
    const { folder, pull } = await setUp()
    await pull({ revision: 'refs/pr/1' })
    expect(readFileSync(join(folder, 'refs', 'refs', 'pr', '1'), 'utf8')).toBe(COMMIT)
    rmSync(join(folder, 'refs'), { recursive: true })
    await pull({ revision: COMMIT })
    expect(existsSync(join(folder, 'refs'))).toBe(false)
  })

  test('notes the newest main commit over an older one', async () => {
    const { folder, pull } = await setUp()
    mkdirSync(join(folder, 'refs'), { recursive: true })
    put(join(folder, 'refs'), 'main', 'older')
    await pull()
    expect(readFileSync(join(folder, 'refs', 'main'), 'utf8')).toBe(COMMIT)
  })

  test('leads to the file where only one is taken', async () => {
    const { pull, folder } = await setUp({ files: { 'small.gguf': Buffer.from('GGUF') } })
    expect((await pull()).path).toBe(join(folder, 'snapshots', COMMIT, 'small.gguf'))
  })

  test('lets many bring the same at once, with no moment at which a file is not right', async () => {
    const storage = await serveFile(FILES['model.safetensors'])
    const { blobs, pull } = await setUp({ storage: storage.url })
    const wrong: string[] = []
    let isDone = false
    const watch = async (): Promise<void> => {
      const large = tiny('model.safetensors')
      while (!isDone) {
        for (const name of existsSync(blobs) ? readdirSync(blobs).filter((name) => /^[0-9a-f]{64}$/.test(name)) : []) {
          if (!readFileSync(join(blobs, name)).equals(large)) wrong.push(name)
        }
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    }
    const watching = watch()
    const pulls = await Promise.all(Array.from({ length: 6 }, () => pull()))
    isDone = true
    await watching
    expect(wrong).toEqual([])
    for (const { path } of pulls) {
      for (const name of NEEDED) expect(readFileSync(join(path, name)).equals(tiny(name))).toBe(true)
    }
    expect(pulls.filter(({ fetched }) => fetched).length).toBe(1)
    expect(storage.requests).toEqual(['all'])
    expect(readdirSync(blobs).length).toBe(3)
  })

  test('goes on where a broken pull stopped', async () => {
    const storage = await serveFile(FILES['model.safetensors'], { breakAfter: 50_000 })
    const { pull } = await setUp({ storage: storage.url })
    const { path } = await pull()
    expect(storage.requests.length).toBeGreaterThan(3)
    expect(readFileSync(join(path, 'model.safetensors')).equals(tiny('model.safetensors'))).toBe(true)
  })

  test('keeps what it has when stopped, shows no half of a model, and goes on later', async () => {
    const storage = await serveFile(FILES['model.safetensors'])
    const { places, folder, blobs, pull } = await setUp({ storage: storage.url })
    const stop = new AbortController()
    const progress: Context['progress'] = ({ task }) => {
      if (task.includes('model.safetensors')) stop.abort(new Error('stopped'))
    }
    await expect(pull({ ctx: { signal: stop.signal, progress } })).rejects.toThrow('stopped')
    expect(readdirSync(folder)).toEqual(['blobs'])
    expect((await listModels(places)).map(({ name }) => name)).not.toContain('someone/small')
    const [part] = readdirSync(blobs).filter((name) => name.endsWith('.part'))
    const have = lstatSync(join(blobs, part ?? '')).size
    expect(have).toBeGreaterThan(0)
    await pull()
    expect(storage.requests).toEqual(['all', ...(have < FILES['model.safetensors'].length ? [`bytes=${have}-`] : [])])
  })

  test.each(['config.json', 'model.safetensors'])('throws %s away where it is not what was promised', async (name) => {
    const wrong = Buffer.alloc(FILES[name as keyof typeof FILES].length, 'x')
    const { folder, blobs, pull } = await setUp({
      instead: (path) => (path.endsWith(`/${name}`) ? { body: wrong } : undefined),
    })
    await expect(pull()).rejects.toMatchObject({ code: 'E_CHECKSUM', exit: 75 })
    expect(readdirSync(folder)).toEqual(['blobs'])
    expect(readdirSync(blobs).some((file) => file.endsWith('.part'))).toBe(false)
  })

  test('leaves alone what another process, whose turn it is, put in place of what was checked', async () => {
    const { blobs, pull } = await setUp()
    const progress: Context['progress'] = ({ task }) => {
      const [part] = existsSync(blobs) ? readdirSync(blobs).filter((name) => /^[0-9a-f]{64}\.part$/.test(name)) : []
      if (task !== 'reading model.safetensors' || part === undefined) return
      renameSync(put(blobs, 'other', 'begun anew'), join(blobs, part))
    }
    await expect(pull({ ctx: { progress } })).rejects.toMatchObject({ code: 'E_DOWNLOAD' })
    const [part, ...more] = readdirSync(blobs).filter((name) => name.startsWith(largeDigest))
    expect([part, more]).toEqual([`${largeDigest}.part`, []])
    expect(readFileSync(join(blobs, part ?? ''), 'utf8')).toBe('begun anew')
  })

  test('refuses what the disk cannot hold before it fetches anything', async () => {
    const huge = Number.MAX_SAFE_INTEGER
    const { requests, pull } = await setUp({
      entry: (row) => ({ ...row, ...(row.lfs && { lfs: { ...row.lfs, size: huge } }) }),
    })
    await expect(pull()).rejects.toMatchObject({ code: 'E_DISK_FULL', exit: 75 })
    expect(requests.filter((line) => line.includes('/resolve/'))).toEqual([])
  })

  test('writes nothing outside of its folder, whatever names the hub gives', async () => {
    const { places, pull } = await setUp({
      entry: (row) => (row.path === 'tokenizer.json' ? { ...row, path: '../../../../tokenizer.json' } : row),
    })
    const { path } = await pull()
    expect(readdirSync(path).sort()).toEqual(['config.json', 'model.safetensors'])
    expect(readdirSync(places.hubCache).sort()).toEqual(['.locks', 'models--someone--small'])
  })

  test('shows the token to the hub only, and in no file', async () => {
    const storage = await serveFile(FILES['model.safetensors'])
    const { places, authorizations, pull } = await setUp({ storage: storage.url })
    await pull({ hub: { token: { value: TOKEN, source: 'HF_TOKEN' } } })
    expect(new Set(authorizations)).toEqual(new Set([`Bearer ${TOKEN}`]))
    expect(storage.authorizations).toEqual(['none'])
    for (const file of readdirSync(places.hubCache, { recursive: true, encoding: 'utf8' })) {
      const path = join(places.hubCache, file)
      if (lstatSync(path).isFile()) expect(readFileSync(path).includes(TOKEN)).toBe(false)
    }
  })
})
