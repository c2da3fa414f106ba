import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readWeight } from '../../src/models/edits.ts'
import { temporaryFolder } from '../support/model-files.ts'

// More than is read at a time, in rows that do not divide it.
const [ROWS, COLUMNS] = [1100, 1001]
const OFFSET = 6

/** Whole numbers from 0 to 127, which every format has exactly. */
const numberAt = (row: number, column: number) => (7 * row + 13 * column) % 128

function writeMatrix(format: 'F32' | 'BF16') {
  const file = join(temporaryFolder(), 'weights')
  const numbers = Float32Array.from({ length: ROWS * COLUMNS }, (_, i) =>
    numberAt(Math.floor(i / COLUMNS), i % COLUMNS),
  )
  const upper = new Uint16Array(numbers.buffer).filter((_, i) => i % 2 === 1)
  const bytes = Buffer.from(format === 'F32' ? numbers.buffer : upper.buffer)
  writeFileSync(file, Buffer.concat([Buffer.alloc(OFFSET), bytes]))
  return new Map([['w', { file, format, shape: [ROWS, COLUMNS], offset: OFFSET, bytes: bytes.length }]])
}

test.each([
  ['F32', 'out-in'],
  ['F32', 'in-out'],
  ['BF16', 'out-in'],
  ['BF16', 'in-out'],
] as const)('reads a weight of %s stored [%s], as [in, out]', async (format, stored) => {
  const { data, shape } = await readWeight({ weights: writeMatrix(format) }, { stored }, 'w')
  const isTurned = stored === 'out-in'
  const [rows, columns] = isTurned ? [COLUMNS, ROWS] : [ROWS, COLUMNS]
  expect(shape).toEqual([rows, columns])
  const wrong = data.findIndex((value, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns]
    return value !== (isTurned ? numberAt(column, row) : numberAt(row, column))
  })
  expect(wrong).toBe(-1)
})

test('refuses a weight that is not there, and a file that ends in it', async () => {
  const weights = writeMatrix('F32')
  await expect(readWeight({ weights }, { stored: 'out-in' }, 'v')).rejects.toMatchObject({ code: 'E_WEIGHT' })
  truncateSync(weights.get('w')?.file ?? '', 1000)
  await expect(readWeight({ weights }, { stored: 'out-in' }, 'w')).rejects.toMatchObject({ code: 'E_SAFETENSORS' })
})
