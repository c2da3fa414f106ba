import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { download } from '../../src/models/download.ts'
import { type ServerHabits, serveFile } from '../support/file-server.ts'
import { put, temporaryFolder } from '../support/model-files.ts'
import { testContext } from '../support/tiny-model.ts'

const BYTES = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 251))
const part = () => join(temporaryFolder(), 'file.part')
const job = (url: string) => ({ name: 'file', url, bytes: BYTES.length })

describe('download', () => {
  test('fetches a file and tells how far it is', async () => {
    const { url } = await serveFile(BYTES)
    const file = part()
    let done = 0
    await download(job(url), file, testContext({ progress: (event) => (done = event.done) }))
    expect([readFileSync(file).equals(BYTES), done]).toEqual([true, BYTES.length])
  })

  test('goes on where a broken connection stopped', async () => {
    const { url, requests } = await serveFile(BYTES, { breakAfter: 120_000 })
    const file = part()
    await expect(download(job(url), file, testContext())).rejects.toMatchObject({ code: 'E_DOWNLOAD', exit: 75 })
    while (statSync(file).size < BYTES.length) await download(job(url), file, testContext()).catch(() => {})
    const starts = requests.map((range) => Number(/\d+/.exec(range)?.[0] ?? 0))
    expect(starts.length).toBeGreaterThan(2)
    expect(starts).toEqual([...new Set(starts)].sort((a, b) => a - b))
    expect(readFileSync(file).equals(BYTES)).toBe(true)
  })

  test('starts anew where the server knows no ranges', async () => {
    const { url } = await serveFile(BYTES, { wholeOnly: true })
    const file = put(temporaryFolder(), 'file.part', BYTES.subarray(0, 1000))
    await download(job(url), file, testContext())
    expect(readFileSync(file).equals(BYTES)).toBe(true)
  })

  test('asks for nothing where all is there', async () => {
    const { url, requests } = await serveFile(BYTES)
    await download(job(url), put(temporaryFolder(), 'file.part', BYTES), testContext())
    expect(requests).toEqual([])
  })

  test('lets two processes write the same file', async () => {
    const { url } = await serveFile(BYTES)
    const file = part()
    await Promise.all([1, 2, 3].map(() => download(job(url), file, testContext())))
    expect(readFileSync(file).equals(BYTES)).toBe(true)
  })

  test.each<[string, ServerHabits]>([
    ['404', { status: 404 }],
    ['401', { status: 401 }],
    ['more than the', { extra: 10 }],
  ])('tells what the server did: %s', async (reason, habits) => {
    const { url } = await serveFile(BYTES, habits)
    await expect(download(job(url), part(), testContext())).rejects.toMatchObject({
      code: 'E_DOWNLOAD',
      message: expect.stringContaining(reason),
    })
  })

  test('tells that nobody answers', async () => {
    await expect(download(job('http://127.0.0.1:9'), part(), testContext())).rejects.toMatchObject({
      code: 'E_DOWNLOAD',
    })
  })

  test('keeps what it has when stopped', async () => {
    const { url } = await serveFile(BYTES, { breakAfter: 100_000 })
    const stop = new AbortController()
    const file = part()
    const ctx = testContext({ signal: stop.signal, progress: () => stop.abort(new Error('stopped')) })
    await expect(download(job(url), file, ctx)).rejects.toThrow('stopped')
    expect(statSync(file).size).toBeGreaterThan(0)
  })
})
