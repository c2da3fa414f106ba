/** Activations on disk that can always be made again: bare float32 numbers, in a file named after what made them. */
import { readFile } from 'node:fs/promises'
import { writeWhole } from '../../disk.ts'

/** Saves numbers. @throws E_DISK_FULL, E_NOT_WRITABLE */
export async function writeFloatFile(file: string, { buffer, byteOffset, byteLength }: Float32Array): Promise<void> {
  await writeWhole(file, Buffer.from(buffer, byteOffset, byteLength))
}

/** Reads numbers back, or null where there are none, not a whole number of rows, or one that is not finite. */
export async function readFloatFile(file: string, width: number): Promise<Float32Array | null> {
  const bytes = await readFile(file).catch(() => null)
  if (bytes === null || bytes.byteLength % (width * Float32Array.BYTES_PER_ELEMENT) !== 0) return null
  const floats = new Float32Array(Uint8Array.from(bytes).buffer)
  return floats.every(Number.isFinite) ? floats : null
}
