import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { readGramFile, writeGramFile } from '../../../src/editors/steps/gram-file.ts'

const SUM = Float64Array.of(4, 1, 2, 1, 5, 3, 2, 3, 6)
const SAVED = { gram: { size: 3, sum: SUM, tokens: 7 }, chunks: 2 }

let file: string
beforeEach(() => {
  file = join(mkdtempSync(join(tmpdir(), 'whichedit-gram-')), 'deep', 'gram.bin')
})

test('gives back what was saved', async () => {
  await writeGramFile(file, 'key', SAVED)
  expect(await readGramFile(file, 'key')).toEqual(SAVED)
  const half = readFileSync(file)
  expect(half.length - half.indexOf('\n') - 1).toBe(6 * 8) // the upper triangle only
})

test('another save takes the place of the first', async () => {
  await writeGramFile(file, 'key', SAVED)
  await writeGramFile(file, 'key', { ...SAVED, chunks: 3 })
  expect((await readGramFile(file, 'key'))?.chunks).toBe(3)
})

describe('counts as absent', () => {
  const change: [string, (bytes: Buffer) => Buffer][] = [
    ['an empty file', () => Buffer.alloc(0)],
    ['a cut header', (bytes) => bytes.subarray(0, 20)],
    ['a cut payload', (bytes) => bytes.subarray(0, bytes.length - 8)],
    ['a longer payload', (bytes) => Buffer.concat([bytes, Buffer.alloc(8)])],
    ['a changed number', (bytes) => Buffer.concat([bytes.subarray(0, bytes.length - 1), Buffer.of(1)])],
    ['no line end', (bytes) => Buffer.from(bytes.toString('latin1').replaceAll('\n', ' '), 'latin1')],
    ['a huge size', (bytes) => replaceHeader(bytes, '"size":3', '"size":30000000')],
    ['a negative size', (bytes) => replaceHeader(bytes, '"size":3', '"size":-4')],
    ['an unknown format', (bytes) => replaceHeader(bytes, 'arrays@1', 'arrays@2')],
    ['an unknown field', (bytes) => replaceHeader(bytes, '"size"', '"x":1,"size"')],
    ['something that is not JSON', (bytes) => replaceHeader(bytes, '{"format"', '{{"format"')],
  ]
  test.each(change)('%s', async (_what, make) => {
    await writeGramFile(file, 'key', SAVED)
    writeFileSync(file, make(readFileSync(file)))
    expect(await readGramFile(file, 'key')).toBeUndefined()
  })

  test('no file, or sums of something else', async () => {
    expect(await readGramFile(file, 'key')).toBeUndefined()
    await writeGramFile(file, 'key', SAVED)
    expect(await readGramFile(file, 'other')).toBeUndefined()
  })

  test('a header that was changed together with its hash, but not its length', async () => {
    await writeGramFile(file, 'key', SAVED)
    const bytes = readFileSync(file)
    const payload = bytes.subarray(bytes.indexOf('\n') + 1, bytes.length - 8)
    const sha256 = createHash('sha256').update(payload).digest('hex')
    const header = bytes.toString('utf8', 0, bytes.indexOf('\n')).replace(/"sha256":"\w+"/, `"sha256":"${sha256}"`)
    writeFileSync(file, Buffer.concat([Buffer.from(`${header}\n`), payload]))
    expect(await readGramFile(file, 'key')).toBeUndefined()
  })
})

function replaceHeader(bytes: Buffer, from: string, to: string): Buffer {
  const end = bytes.indexOf('\n')
  return Buffer.concat([Buffer.from(bytes.toString('utf8', 0, end).replace(from, to)), bytes.subarray(end)])
}
