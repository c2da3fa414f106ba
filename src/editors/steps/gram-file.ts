/** Sums of kᵀk on disk, so that no text is run twice: the upper triangle row by row (array-file.ts). */
import { z } from 'zod'
import { readArrayFile, writeArrayFile } from './array-file.ts'

/** Sums, and how many chunks of the text they hold. */
export interface SavedGram {
  readonly gram: { readonly size: number; readonly sum: Float64Array; readonly tokens: number }
  readonly chunks: number
}

const VALUES = z.strictObject({ size: z.int().min(1), tokens: z.int().min(0), chunks: z.int().min(0) })

/** Saves sums under a key that says what they are of. @throws E_DISK_FULL, E_NOT_WRITABLE */
export async function writeGramFile(file: string, key: string, { gram, chunks }: SavedGram): Promise<void> {
  const { size, tokens } = gram
  const triangle = new Float64Array(lengthOfTriangle(size))
  for (let row = 0, at = 0; row < size; at += size - row, row++) {
    triangle.set(gram.sum.subarray(row * size + row, (row + 1) * size), at)
  }
  await writeArrayFile(file, key, { values: { size, tokens, chunks }, arrays: { triangle } })
}

/** Reads sums back; undefined where there are none, or none that are whole and of this key. */
export async function readGramFile(file: string, key: string): Promise<SavedGram | undefined> {
  const saved = await readArrayFile(file, key)
  const values = VALUES.safeParse(saved?.values)
  const triangle = saved?.arrays.triangle
  if (!values.success || triangle?.length !== lengthOfTriangle(values.data.size)) return undefined
  const { size, tokens, chunks } = values.data
  const sum = new Float64Array(size * size)
  for (let row = 0, at = 0; row < size; row++) {
    for (let column = row; column < size; column++, at++) {
      const value = triangle[at] ?? 0
      sum[row * size + column] = value
      sum[column * size + row] = value
    }
  }
  return { gram: { size, sum, tokens }, chunks }
}

function lengthOfTriangle(size: number): number {
  return (size * (size + 1)) / 2
}
