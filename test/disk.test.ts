import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { systemCode, whileWriting } from '../src/disk.ts'

const refusal = (code: string) => Object.assign(new Error(code), { code, errno: -1 })

test.each([
  ['ENOSPC', 'E_DISK_FULL', 75],
  ['EDQUOT', 'E_DISK_FULL', 75],
  ['EFBIG', 'E_DISK_FULL', 75],
  ['EACCES', 'E_NOT_WRITABLE', 1],
  ['EPERM', 'E_NOT_WRITABLE', 1],
  ['EROFS', 'E_NOT_WRITABLE', 1],
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

test.skipIf(!existsSync('/dev/full'))('knows a real full disk', async () => {
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
