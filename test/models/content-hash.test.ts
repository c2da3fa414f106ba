import { appendFileSync, readdirSync, symlinkSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { contentHash, sha256Of } from '../../src/models/content-hash.ts'
import { put, temporaryFolder } from '../support/model-files.ts'
import { testContext } from '../support/tiny-model.ts'

/** sha256 of "abc", from FIPS 180-2. */
const ABC = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'

test('hashes what is in a file', async () => {
  expect(await sha256Of(put(temporaryFolder(), 'abc', 'abc'), testContext())).toBe(ABC)
})

test('remembers a hash, and forgets it when the file changes', async () => {
  const file = put(temporaryFolder(), 'abc', 'abc')
  let reads = 0
  const ctx = testContext({ cacheDir: temporaryFolder(), progress: () => reads++ })
  expect([await contentHash(file, ctx), await contentHash(file, ctx), reads]).toEqual([ABC, ABC, 1])
  utimesSync(file, 1, 1)
  expect([await contentHash(file, ctx), reads]).toEqual([ABC, 2])
  appendFileSync(file, 'd')
  utimesSync(file, 1, 1)
  expect(await contentHash(file, ctx)).not.toBe(ABC)
})

test('knows a file under all its names', async () => {
  const folder = temporaryFolder()
  const file = put(folder, 'abc', 'abc')
  symlinkSync(file, join(folder, 'link'))
  const ctx = testContext({ cacheDir: temporaryFolder() })
  await contentHash(file, ctx)
  await contentHash(join(folder, 'link'), ctx)
  expect(readdirSync(join(ctx.cacheDir, 'hashes')).length).toBe(1)
})

test('does not trust a note that is damaged', async () => {
  const file = put(temporaryFolder(), 'abc', 'abc')
  const ctx = testContext({ cacheDir: temporaryFolder() })
  await contentHash(file, ctx)
  const notes = join(ctx.cacheDir, 'hashes')
  put(notes, readdirSync(notes)[0] ?? '', '{"sha256": "x"')
  expect(await contentHash(file, ctx)).toBe(ABC)
})

test('goes on without a note where the cache cannot be written', async () => {
  const cacheDir = put(temporaryFolder(), 'a-file-in-its-place', '')
  expect(await contentHash(put(temporaryFolder(), 'abc', 'abc'), testContext({ cacheDir }))).toBe(ABC)
})

test('stops when aborted', async () => {
  const signal = AbortSignal.abort(new Error('stopped'))
  await expect(sha256Of(put(temporaryFolder(), 'abc', 'abc'), testContext({ signal }))).rejects.toThrow('stopped')
})
