import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { readNumberFile, writeNumberFile } from '../../../src/editors/steps/number-file.ts'

const KIND = {
  format: 'test/rows@1',
  values: z.strictObject({ rows: z.int().min(0), columns: z.int().min(0) }),
  count: ({ rows, columns }: { rows: number; columns: number }) => rows * columns,
}
const SAVED = { values: { rows: 2, columns: 3 }, numbers: Float64Array.of(1, -2, 0.1, Number.MIN_VALUE, 5, 6) }
const newFile = () => join(mkdtempSync(join(tmpdir(), 'whichedit-numbers-')), 'deep', 'numbers.bin')

test('gives back what was saved, from a view into a larger array as well', async () => {
  const file = newFile()
  const numbers = Float64Array.of(9, ...SAVED.numbers, 9).subarray(1, 7)
  await writeNumberFile(file, 'key', KIND, { ...SAVED, numbers })
  expect(await readNumberFile(file, 'key', KIND)).toEqual(SAVED)
})

test('of another kind, another key or fewer numbers it counts as absent', async () => {
  const file = newFile()
  expect(await readNumberFile(file, 'key', KIND)).toBeUndefined()
  await writeNumberFile(file, 'key', KIND, SAVED)
  expect(await readNumberFile(file, 'other', KIND)).toBeUndefined()
  expect(await readNumberFile(file, 'key', { ...KIND, format: 'test/rows@2' })).toBeUndefined()
  expect(await readNumberFile(file, 'key', { ...KIND, count: () => 7 })).toBeUndefined()
  writeFileSync(file, readFileSync(file).subarray(0, -8))
  expect(await readNumberFile(file, 'key', KIND)).toBeUndefined()
})
