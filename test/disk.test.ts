import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { makeFolder, systemCode, whileWriting, writeWhole } from '../src/disk.ts'

const FOLDER = mkdtempSync(join(tmpdir(), 'disk-'))
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }))

const refusal = (code: string) => Object.assign(new Error(code), { code, errno: -1 })

test.each([
  ['ENOSPC', 'E_DISK_FULL', 75],
  ['EDQUOT', 'E_DISK_FULL', 75],
  ['EFBIG', 'E_DISK_FULL', 75],
  ['EACCES', 'E_NOT_WRITABLE', 1],
  ['EPERM', 'E_NOT_WRITABLE', 1],
  ['EROFS', 'E_NOT_WRITABLE', 1],
  ['ENOTDIR', 'E_NOT_WRITABLE', 1],
])('tells %s as %s', async (system, code, exit) => {
  const step = () => Promise.reject(refusal(system))
  await expect(whileWriting('/some/folder', step)).rejects.toMatchObject({
    code,
    exit,
    message: expect.stringContaining('/some/folder'),
  })
})

test('passes on what is not about writing, and what was made', async () => {
  await expect(whileWriting('x', () => Promise.reject(refusal('ENOENT')))).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(whileWriting('x', () => Promise.reject(new Error('other')))).rejects.toThrow('other')
  expect(await whileWriting('x', () => Promise.resolve(7))).toBe(7)
})

/** Devices of Linux that refuse as a full disk and a read-only file system do. */
const isLinux = existsSync('/dev/full') && existsSync('/proc/sys')
if (!isLinux) console.warn('skipped: a full disk and a file system without folders need /dev/full and /proc')

test.skipIf(!isLinux)('knows a real full disk', async () => {
  await expect(whileWriting('/dev/full', () => writeFile('/dev/full', 'x'))).rejects.toMatchObject({
    code: 'E_DISK_FULL',
  })
})

test('finds the code of errors of the system only', () => {
  expect([
    systemCode(refusal('ENOENT')),
    systemCode(Object.assign(new Error(), { code: 'E_MINE' })),
    systemCode('ENOENT'),
  ]).toEqual(['ENOENT', undefined, undefined])
})

test('writes a file with the folders above it, over an older one', async () => {
  const file = join(FOLDER, 'a', 'b', 'file')
  await writeWhole(file, 'first')
  await writeWhole(file, Buffer.from('second'))
  expect(readFileSync(file, 'utf8')).toBe('second')
})

test('tells a file where a folder should be', async () => {
  writeFileSync(join(FOLDER, 'file'), '')
  for (const path of [join(FOLDER, 'file'), join(FOLDER, 'file', 'deep', 'er')]) {
    await expect(makeFolder(path)).rejects.toMatchObject({ code: 'E_NOT_WRITABLE' })
  }
})

test.skipIf(!isLinux)('tells a file system that takes no folders, however deep the folder wanted', async () => {
  for (const path of ['/proc/whichedit', '/proc/whichedit/deep/er']) {
    await expect(makeFolder(path)).rejects.toMatchObject({ message: expect.stringContaining('/proc/whichedit') })
  }
})
