/**
 * Converts a model once into what sessions map: float32 safetensors, `config.json`, `tokenizer.json`, in the cache folder. A
 * conversion is made in a folder of its own and renamed when it is whole: nobody ever sees half of one, two processes may
 * make the same one at once (the second to finish throws its own away), and what a killed process left is swept up later.
 */
import { randomUUID } from 'node:crypto'
import { type FileHandle, open, readdir, rename, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Context } from '../context.ts'
import { makeFolder, systemCode, whileWriting } from '../disk.ts'
import { WhicheditError } from '../errors.ts'
import { dequantize } from './dequantize.ts'
import type { JsonObject } from './json.ts'
import { readExactly, safetensorsBytes, type TensorSource, writeSafetensors } from './safetensors.ts'
import type { ChatTemplate } from './weights.ts'

/** A model to be converted. */
export interface Conversion {
  readonly name: string
  /** The format that most of the original's numbers have. */
  readonly storedAs: string
  readonly config: JsonObject
  readonly tokenizer: JsonObject
  readonly chatTemplate: ChatTemplate | null
  readonly tensors: readonly ConvertibleTensor[]
}

/** A tensor as it lies in the original file. */
export interface ConvertibleTensor {
  /** Its name in the converted file. */
  readonly name: string
  readonly file: string
  /** A format of `dequantize.ts`. */
  readonly format: string
  readonly shape: readonly number[]
  readonly offset: number
  readonly bytes: number
  /** Present where rows change places: the source row of each row. */
  readonly sourceRow?: (row: number) => number
  /** Added to each number, in float32. */
  readonly addend?: number
  /** Whether rows and columns change places: the converted tensor has the shape reversed. */
  readonly transposed?: boolean
}

/** Bytes read at a time: large enough that calls cost nothing, small beside a model. */
const PIECE_BYTES = 8 * 2 ** 20
/** A conversion writes all the time; one that has not for so long was abandoned. */
const ABANDONED_MS = 60 * 60_000
const TEMPORARY = /^making-/

/**
 * Makes the converted folder `key` in the cache and returns its path; does nothing where it exists.
 * @throws E_DISK_FULL, E_NOT_WRITABLE, E_SAFETENSORS where a file ends while it is read; the signal's reason when aborted.
 */
export async function convertOnce(key: string, conversion: Conversion, ctx: Context): Promise<string> {
  const parent = join(ctx.cacheDir, 'models')
  const finished = join(parent, key)
  const temporary = join(parent, `making-${randomUUID()}`)
  await whileWriting(parent, async () => {
    try {
      await makeFolder(temporary)
      await sweep(parent, (await stat(temporary)).mtimeMs)
      await write(temporary, conversion, ctx)
      await moveIntoPlace(temporary, finished)
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
  })
  return finished
}

async function write(folder: string, conversion: Conversion, ctx: Context): Promise<void> {
  const { name, storedAs, config, tokenizer, chatTemplate, tensors } = conversion
  const handles = new Map<string, FileHandle>()
  try {
    for (const { file } of tensors) if (!handles.has(file)) handles.set(file, await open(file, 'r'))
    const sources = tensors.map((tensor) => sourceOf(tensor, handles))
    const total = safetensorsBytes(sources)
    await requireSpace(dirname(folder), total)
    await writeFile(join(folder, 'config.json'), JSON.stringify(config, null, 2))
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer))
    await writeFile(join(folder, 'origin.json'), JSON.stringify({ name, storedAs, chatTemplate }))
    await writeSafetensors(join(folder, 'model.safetensors'), sources, {
      signal: ctx.signal,
      onWritten: (done) => ctx.progress({ task: `converting ${name} to 32 bits`, done, total, unit: 'bytes' }),
    })
  } finally {
    for (const handle of handles.values()) await handle.close()
  }
}

function sourceOf(tensor: ConvertibleTensor, handles: ReadonlyMap<string, FileHandle>): TensorSource {
  const { name, shape, file, format, offset, bytes, transposed = false } = tensor
  const rows = shape[0] ?? 1
  const rowBytes = rows === 0 ? 0 : bytes / rows
  // What changes places is read at once: it may come from anywhere in the tensor.
  const isWhole = tensor.sourceRow !== undefined || transposed
  const step = isWhole ? rows : Math.max(1, Math.floor(PIECE_BYTES / Math.max(1, rowBytes)))
  async function* pieces(): AsyncIterable<Float32Array> {
    const handle = handles.get(file)
    if (handle === undefined) throw new WhicheditError('E_INTERNAL', { what: `convert: ${file} is not open` })
    for (let row = 0; row < rows; row += step) {
      const count = Math.min(step, rows - row)
      const piece = dequantize(format, await readExactly(handle, file, offset + row * rowBytes, count * rowBytes))
      requireFinite(piece, tensor)
      yield changed(piece, count, tensor)
    }
  }
  return { name, shape: transposed ? shape.toReversed() : shape, pieces }
}

function requireFinite(numbers: Float32Array, { file, name }: ConvertibleTensor): void {
  let zero = 0
  for (let i = 0; i < numbers.length; i++) zero += (numbers[i] ?? 0) * 0
  if (zero === 0) return
  const found = String(numbers.find((number) => !Number.isFinite(number)))
  throw new WhicheditError('E_WEIGHT_VALUES', { file, tensor: JSON.stringify(name), found })
}

function changed(data: Float32Array, rows: number, { sourceRow, addend, transposed }: ConvertibleTensor): Float32Array {
  const ordered = sourceRow === undefined ? data : reorderRows(data, rows, sourceRow)
  const turned = transposed ? transpose(ordered, rows) : ordered
  if (addend !== undefined) for (let i = 0; i < turned.length; i++) turned[i] = (turned[i] ?? 0) + addend
  return turned
}

function reorderRows(data: Float32Array, rows: number, sourceRow: (row: number) => number): Float32Array {
  const width = data.length / rows
  const out = new Float32Array(data.length)
  for (let row = 0; row < rows; row++) {
    const from = sourceRow(row) * width
    out.set(data.subarray(from, from + width), row * width)
  }
  return out
}

function transpose(data: Float32Array, rows: number): Float32Array {
  const columns = data.length / rows
  const out = new Float32Array(data.length)
  for (let column = 0, to = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) out[to++] = data[row * columns + column] ?? 0
  }
  return out
}

async function moveIntoPlace(temporary: string, finished: string): Promise<void> {
  try {
    await rename(temporary, finished)
  } catch (error) {
    // Somebody else was faster: theirs is as good.
    if (!['ENOTEMPTY', 'EEXIST'].includes(systemCode(error) ?? '')) throw error
  }
}

/** Removes what killed conversions left behind. `now` is the file system's own time, in milliseconds. */
async function sweep(parent: string, now: number): Promise<void> {
  for (const entry of await readdir(parent)) {
    if (!TEMPORARY.test(entry)) continue
    const folder = join(parent, entry)
    const newest = await stat(join(folder, 'model.safetensors')).catch(() => stat(folder).catch(() => undefined))
    if (newest !== undefined && now - newest.mtimeMs > ABANDONED_MS) await rm(folder, { recursive: true, force: true })
  }
}

/**
 * Refuses to begin what cannot be finished.
 * @throws E_DISK_FULL where the folder's disk has less than `bytes` free.
 */
export async function requireSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  if (free < bytes) {
    throw new WhicheditError('E_DISK_FULL', {
      path: folder,
      reason: `${mebibytes(bytes)} needed, ${mebibytes(free)} free`,
    })
  }
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`
}
