/**
 * Sums of kᵀk on disk, so that no text is run twice: one line of JSON, then the upper triangle row by row as
 * little-endian float64. Written atomically; a file that is not whole, or of something else, counts as absent.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { writeWhole } from '../../disk.ts'

/** Sums, and how many chunks of the text they hold. */
export interface SavedGram {
  readonly gram: { readonly size: number; readonly sum: Float64Array; readonly tokens: number }
  readonly chunks: number
}

const HEADER = z.strictObject({
  format: z.literal('whichedit/gram@1'),
  key: z.string(),
  size: z.int().min(1),
  tokens: z.int().min(0),
  chunks: z.int().min(0),
  sha256: z.string(),
})
/** A header is a few hundred bytes: a file without a line end this early is something else. */
const MOST_HEADER_BYTES = 4096

/** Saves sums under a key that says what they are of. @throws E_DISK_FULL, E_NOT_WRITABLE */
export async function writeGramFile(file: string, key: string, { gram, chunks }: SavedGram): Promise<void> {
  const { size, tokens } = gram
  const triangle = new Float64Array((size * (size + 1)) / 2)
  for (let row = 0, at = 0; row < size; at += size - row, row++) {
    triangle.set(gram.sum.subarray(row * size + row, (row + 1) * size), at)
  }
  const payload = Buffer.from(triangle.buffer)
  const header: z.infer<typeof HEADER> = {
    format: 'whichedit/gram@1',
    key,
    size,
    tokens,
    chunks,
    sha256: createHash('sha256').update(payload).digest('hex'),
  }
  await writeWhole(file, Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), payload]))
}

/** Reads sums back; undefined where there are none, or none that are whole and of this key. */
export async function readGramFile(file: string, key: string): Promise<SavedGram | undefined> {
  const bytes = await readFile(file).catch(() => undefined)
  if (bytes === undefined) return undefined
  const end = bytes.subarray(0, MOST_HEADER_BYTES).indexOf('\n')
  const header = parseHeader(bytes.toString('utf8', 0, Math.max(end, 0)))
  const payload = bytes.subarray(end + 1)
  if (header?.key !== key || payload.length !== header.size * (header.size + 1) * 4) return undefined
  if (createHash('sha256').update(payload).digest('hex') !== header.sha256) return undefined

  const { size, tokens, chunks } = header
  const triangle = new Float64Array(Uint8Array.from(payload).buffer)
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

function parseHeader(line: string): z.infer<typeof HEADER> | undefined {
  try {
    return HEADER.safeParse(JSON.parse(line)).data
  } catch {
    return undefined
  }
}
