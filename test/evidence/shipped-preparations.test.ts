import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { takeShippedPreparations } from '../../src/evidence/shipped-preparations.ts'
import { temporaryFolder } from '../support/model-files.ts'

test('what ships is put into the cache, and what is there stays', async () => {
  const [shipped, cache] = [temporaryFolder(), temporaryFolder()]
  mkdirSync(join(shipped, 'trained'))
  writeFileSync(join(shipped, 'trained', 'new.bin'), Buffer.of(0, 255))
  writeFileSync(join(shipped, 'trained', 'own.bin'), 'shipped')
  mkdirSync(join(cache, 'trained'))
  writeFileSync(join(cache, 'trained', 'own.bin'), 'own')
  writeFileSync(join(cache, 'other.bin'), 'other')
  await takeShippedPreparations(shipped, cache)
  expect(readdirSync(cache, { recursive: true }).map(String).sort()).toEqual([
    'other.bin',
    'trained',
    join('trained', 'new.bin'),
    join('trained', 'own.bin'),
  ])
  expect(readFileSync(join(cache, 'trained', 'new.bin'))).toEqual(Buffer.of(0, 255))
  expect(readFileSync(join(cache, 'trained', 'own.bin'), 'utf8')).toBe('own')
})

test('nothing shipped is nothing to do, and a cache is made where there is none', async () => {
  const cache = join(temporaryFolder(), 'none')
  await takeShippedPreparations(join(temporaryFolder(), 'absent'), cache)
  expect(() => readdirSync(cache)).toThrow(/ENOENT/)
  const shipped = temporaryFolder()
  writeFileSync(join(shipped, 'a.json'), '{}')
  await takeShippedPreparations(shipped, cache)
  expect(readdirSync(cache)).toEqual(['a.json'])
})

test('a cache that cannot be written is an error with its reason', async () => {
  const shipped = temporaryFolder()
  writeFileSync(join(shipped, 'a.json'), '{}')
  const file = join(temporaryFolder(), 'file')
  writeFileSync(file, '')
  await expect(takeShippedPreparations(shipped, file)).rejects.toMatchObject({ code: 'E_NOT_WRITABLE' })
})
