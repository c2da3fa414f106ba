import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readArrayFile, writeArrayFile } from '../../../src/editors/steps/array-file.ts'

const SAVED = {
  values: { step: 7, loss: 0.25 },
  arrays: {
    weights: Float32Array.of(1, -2, 0.5),
    none: new Float32Array(),
    moments: Float64Array.of(0.1, Number.MIN_VALUE),
  },
}
const newFile = () => join(mkdtempSync(join(tmpdir(), 'whichedit-arrays-')), 'deep', 'arrays.bin')

test('gives back what was saved, from a view into a larger array as well', async () => {
  const file = newFile()
  const weights = Float32Array.of(9, ...SAVED.arrays.weights, 9).subarray(1, 4)
  await writeArrayFile(file, 'key', { ...SAVED, arrays: { ...SAVED.arrays, weights } })
  expect(await readArrayFile(file, 'key')).toEqual(SAVED)
})

test('without a file, of another key, cut short or changed it counts as absent', async () => {
  const file = newFile()
  expect(await readArrayFile(file, 'key')).toBeUndefined()
  await writeArrayFile(file, 'key', SAVED)
  expect(await readArrayFile(file, 'other')).toBeUndefined()
  const bytes = readFileSync(file)
  writeFileSync(file, bytes.subarray(0, -4))
  expect(await readArrayFile(file, 'key')).toBeUndefined()
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1)
  writeFileSync(file, bytes)
  expect(await readArrayFile(file, 'key')).toBeUndefined()
  writeFileSync(file, 'something else')
  expect(await readArrayFile(file, 'key')).toBeUndefined()
})
