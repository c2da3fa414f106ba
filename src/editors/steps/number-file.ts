/**
 * Float64 numbers on disk, so that what took long is made once: one line of JSON that says what they are, then the numbers,
 * little-endian. Written atomically; a file that is not whole, or of something else, counts as absent.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { writeWhole } from '../../disk.ts'

/** A header is a few hundred bytes: a file without a line end this early is something else. */
const MOST_HEADER_BYTES = 4096

/** What every header has. */
const COMMON = z.object({ format: z.string(), key: z.string(), sha256: z.string() })

/** A kind of file. */
export interface NumberFileKind<V> {
  /** Its name and version: `whichedit/gram@1`. */
  readonly format: string
  /** What its header says of the numbers. */
  readonly values: z.ZodType<V>
  /** How many numbers belong to such a header. */
  readonly count: (values: V) => number
}

/** Saves numbers under a key that says what they are of. @throws E_DISK_FULL, E_NOT_WRITABLE */
export async function writeNumberFile<V extends object>(
  file: string,
  key: string,
  { format }: NumberFileKind<V>,
  { values, numbers }: { readonly values: V; readonly numbers: Float64Array },
): Promise<void> {
  const payload = Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength)
  const header = JSON.stringify({ format, key, ...values, sha256: hashOf(payload) })
  await writeWhole(file, Buffer.concat([Buffer.from(`${header}\n`), payload]))
}

/** Reads numbers back; undefined where there are none, or none that are whole and of this kind and key. */
export async function readNumberFile<V>(
  file: string,
  key: string,
  kind: NumberFileKind<V>,
): Promise<{ readonly values: V; readonly numbers: Float64Array } | undefined> {
  const bytes = await readFile(file).catch(() => undefined)
  if (bytes === undefined) return undefined
  const end = bytes.subarray(0, MOST_HEADER_BYTES).indexOf('\n')
  const payload = bytes.subarray(end + 1)
  const found = parseHeader(bytes.toString('utf8', 0, Math.max(end, 0)), kind)
  if (found?.format !== kind.format || found.key !== key || found.sha256 !== hashOf(payload)) return undefined
  if (payload.length !== kind.count(found.values) * Float64Array.BYTES_PER_ELEMENT) return undefined
  return { values: found.values, numbers: new Float64Array(Uint8Array.from(payload).buffer) }
}

function parseHeader<V>(line: string, kind: NumberFileKind<V>): (z.infer<typeof COMMON> & { values: V }) | undefined {
  try {
    const parsed: unknown = JSON.parse(line)
    const { format, key, sha256, ...rest } = z.looseObject(COMMON.shape).parse(parsed)
    return { format, key, sha256, values: kind.values.parse(rest) }
  } catch {
    return undefined
  }
}

function hashOf(payload: Uint8Array): string {
  return createHash('sha256').update(payload).digest('hex')
}
