/**
 * Named arrays on disk, so that what was trained is trained once: one line of JSON that says what they are, then their numbers,
 * little-endian, one array after another. Written atomically; a file that is not whole, or of something else, counts as absent.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { writeWhole } from '../../disk.ts'

/** A few hundred names at most: a file without a line end this early is something else. */
const MOST_HEADER_BYTES = 2 ** 18
const FORMAT = 'whichedit/arrays@1'
const CLASSES = { f32: Float32Array, f64: Float64Array } as const

/** Numbers of one kind. */
export type NumberArray = Float32Array | Float64Array

/** What a file holds. */
export interface SavedArrays {
  /** Single numbers, by name. */
  readonly values: Readonly<Record<string, number>>
  readonly arrays: Readonly<Record<string, NumberArray>>
}

const HEADER = z.strictObject({
  format: z.literal(FORMAT),
  key: z.string(),
  values: z.record(z.string(), z.number()),
  arrays: z.array(z.strictObject({ name: z.string(), kind: z.enum(['f32', 'f64']), length: z.int().min(0) })),
  sha256: z.string(),
})

/** Saves arrays under a key that says what they are. @throws E_DISK_FULL, E_NOT_WRITABLE */
export async function writeArrayFile(file: string, key: string, { values, arrays }: SavedArrays): Promise<void> {
  const named = Object.entries(arrays)
  const payload = Buffer.concat(
    named.map(([, { buffer, byteOffset, byteLength }]) => Buffer.from(buffer, byteOffset, byteLength)),
  )
  const list = named.map(([name, array]) => ({
    name,
    kind: array instanceof Float32Array ? 'f32' : 'f64',
    length: array.length,
  }))
  const header = JSON.stringify({ format: FORMAT, key, values, arrays: list, sha256: hashOf(payload) })
  await writeWhole(file, Buffer.concat([Buffer.from(`${header}\n`), payload]))
}

/** Reads arrays back; undefined where there are none, or none that are whole and of this key. */
export async function readArrayFile(file: string, key: string): Promise<SavedArrays | undefined> {
  const bytes = await readFile(file).catch(() => undefined)
  if (bytes === undefined) return undefined
  const end = bytes.subarray(0, MOST_HEADER_BYTES).indexOf('\n')
  const header = parseHeader(bytes.toString('utf8', 0, Math.max(end, 0)))
  const payload = bytes.subarray(end + 1)
  if (header?.key !== key || header.sha256 !== hashOf(payload)) return undefined
  const arrays: Record<string, NumberArray> = {}
  let at = 0
  for (const { name, kind, length } of header.arrays) {
    const size = length * CLASSES[kind].BYTES_PER_ELEMENT
    // A copy of its own: in the file numbers need not lie at a multiple of their size.
    const own = Uint8Array.from(payload.subarray(at, at + size))
    if (own.length < size) return undefined
    arrays[name] = new CLASSES[kind](own.buffer)
    at += size
  }
  return { values: header.values, arrays }
}

function parseHeader(line: string): z.infer<typeof HEADER> | undefined {
  try {
    const parsed: unknown = JSON.parse(line)
    return HEADER.parse(parsed)
  } catch {
    return undefined
  }
}

function hashOf(payload: Uint8Array): string {
  return createHash('sha256').update(payload).digest('hex')
}
