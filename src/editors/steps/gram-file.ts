/** Sums of kᵀk on disk, so that no text is run twice: the upper triangle row by row (number-file.ts). */
import { z } from 'zod'
import { readNumberFile, writeNumberFile } from './number-file.ts'

/** Sums, and how many chunks of the text they hold. */
export interface SavedGram {
  readonly gram: { readonly size: number; readonly sum: Float64Array; readonly tokens: number }
  readonly chunks: number
}

const KIND = {
  format: 'whichedit/gram@1',
  values: z.strictObject({ size: z.int().min(1), tokens: z.int().min(0), chunks: z.int().min(0) }),
  count: ({ size }: { readonly size: number }) => (size * (size + 1)) / 2,
} as const

/** Saves sums under a key that says what they are of. @throws E_DISK_FULL, E_NOT_WRITABLE */
export async function writeGramFile(file: string, key: string, { gram, chunks }: SavedGram): Promise<void> {
  const { size, tokens } = gram
  const triangle = new Float64Array(KIND.count({ size }))
  for (let row = 0, at = 0; row < size; at += size - row, row++) {
    triangle.set(gram.sum.subarray(row * size + row, (row + 1) * size), at)
  }
  await writeNumberFile(file, key, KIND, { values: { size, tokens, chunks }, numbers: triangle })
}

/** Reads sums back; undefined where there are none, or none that are whole and of this key. */
export async function readGramFile(file: string, key: string): Promise<SavedGram | undefined> {
  const saved = await readNumberFile(file, key, KIND)
  if (saved === undefined) return undefined
  const { size, tokens, chunks } = saved.values
  const sum = new Float64Array(size * size)
  for (let row = 0, at = 0; row < size; row++) {
    for (let column = row; column < size; column++, at++) {
      const value = saved.numbers[at] ?? 0
      sum[row * size + column] = value
      sum[column * size + row] = value
    }
  }
  return { gram: { size, sum, tokens }, chunks }
}
