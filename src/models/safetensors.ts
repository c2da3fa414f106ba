/**
 * Reads and writes safetensors files: eight bytes with the header's length, a JSON header, then the raw numbers.
 * A header is a stranger's word, so everything it says is checked against the file's real size before it is believed; the
 * rules are those of the reference implementation (huggingface/safetensors): no holes, no overlaps, nothing left over.
 */
import { type FileHandle, open, realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { WhicheditError } from '../errors.ts'
import { isObject, type Json, type JsonObject, parseJsonObject, readJsonObject, shownJson } from './json.ts'

/** The reference implementation's own limit: more than a header ever needs, and too little to exhaust memory. */
const MAX_HEADER_BYTES = 100_000_000
const LENGTH_BYTES = 8

/** Bytes of one element. */
const ELEMENT_BYTES: ReadonlyMap<string, number> = new Map([
  ['F64', 8],
  ['I64', 8],
  ['U64', 8],
  ['F32', 4],
  ['I32', 4],
  ['U32', 4],
  ['F16', 2],
  ['BF16', 2],
  ['I16', 2],
  ['U16', 2],
  ['F8_E4M3', 1],
  ['F8_E5M2', 1],
  ['I8', 1],
  ['U8', 1],
  ['BOOL', 1],
])

/** A tensor's place in a safetensors file. */
export interface SafetensorsEntry {
  /** Real path of the file. */
  readonly file: string
  /** `F32`, `BF16`, … */
  readonly dtype: string
  readonly shape: readonly number[]
  /** Bytes from the start of the file. */
  readonly offset: number
  readonly bytes: number
}

/** What a weight file or a set of shards holds, by name. */
export type SafetensorsTable = ReadonlyMap<string, SafetensorsEntry>

/**
 * Reads a model folder's table of weights: `model.safetensors`, or the shards of `model.safetensors.index.json`.
 * @throws E_SAFETENSORS where a file breaks the format's rules, E_JSON where the index does.
 */
export async function readSafetensorsFolder(folder: string, files: readonly string[]): Promise<SafetensorsTable> {
  if (files.includes('model.safetensors')) return readSafetensors(join(folder, 'model.safetensors'))
  return readShards(folder)
}

async function readShards(folder: string): Promise<SafetensorsTable> {
  const indexFile = join(folder, 'model.safetensors.index.json')
  const places = (await readJsonObject(indexFile)).weight_map
  if (!isObject(places)) throw damaged(indexFile, 'a "weight_map" of tensor names', 'none')
  const shards = new Map<string, SafetensorsTable>()
  const table = new Map<string, SafetensorsEntry>()
  for (const [name, shard] of Object.entries(places)) {
    if (typeof shard !== 'string' || basename(shard) !== shard || !shard.endsWith('.safetensors')) {
      throw damaged(indexFile, 'the names of .safetensors files beside it', shownJson(shard))
    }
    const known = shards.get(shard) ?? (await readSafetensors(join(folder, shard)))
    shards.set(shard, known)
    const entry = known.get(name)
    if (entry === undefined)
      throw damaged(join(folder, shard), `the tensor ${name}, as the index says`, 'no such tensor')
    table.set(name, entry)
  }
  const folders = new Set([...table.values()].map((entry) => dirname(entry.file)))
  if (folders.size > 1) throw damaged(indexFile, 'all shards in one real folder', `links into ${folders.size} folders`)
  return table
}

/**
 * Reads one file's table of tensors. No number is read.
 * @throws E_SAFETENSORS where the file breaks the format's rules or is truncated; E_JSON where its header is no JSON.
 */
export async function readSafetensors(path: string): Promise<SafetensorsTable> {
  const file = await realpath(path)
  const handle = await open(file, 'r')
  try {
    const { size } = await handle.stat()
    const header = await readHeader(handle, file, size)
    const dataStart = LENGTH_BYTES + header.length
    const table = new Map<string, SafetensorsEntry>()
    for (const [name, value] of Object.entries(parseJsonObject(header, file))) {
      if (name !== '__metadata__') table.set(name, entryOf(file, name, value, dataStart))
    }
    checkLayout(file, table, dataStart, size)
    return table
  } finally {
    await handle.close()
  }
}

async function readHeader(handle: FileHandle, file: string, size: number): Promise<Buffer> {
  if (size < LENGTH_BYTES) throw damaged(file, 'a header', `a file of ${size} bytes`)
  const length = (await readExactly(handle, file, 0, LENGTH_BYTES)).readBigUInt64LE()
  const room = Math.min(MAX_HEADER_BYTES, size - LENGTH_BYTES)
  if (length > room) throw damaged(file, `a header of at most ${room} bytes`, `${length}`)
  return readExactly(handle, file, LENGTH_BYTES, Number(length))
}

function entryOf(file: string, name: string, value: Json, dataStart: number): SafetensorsEntry {
  const { dtype, shape, data_offsets: offsets }: JsonObject = isObject(value) ? value : {}
  const what = JSON.stringify(name)
  const elementBytes = typeof dtype === 'string' ? ELEMENT_BYTES.get(dtype) : undefined
  if (typeof dtype !== 'string' || elementBytes === undefined) {
    throw damaged(file, `a known element type of ${what}`, shownJson(dtype))
  }
  if (!isSizes(shape)) throw damaged(file, `whole, non-negative sizes of ${what}`, shownJson(shape))
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw damaged(file, `two offsets of ${what}`, shownJson(offsets))
  }
  const [start = 0, end = 0] = offsets
  const bytes = shape.reduce((product, size) => product * size, elementBytes)
  if (!Number.isSafeInteger(bytes) || end - start !== bytes) {
    throw damaged(file, `${bytes} bytes for ${what} (${dtype} [${shape.join(', ')}])`, `${end - start}`)
  }
  return { file, dtype, shape, offset: dataStart + start, bytes }
}

function isSizes(value: Json | undefined): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0)
}

/** The tensors fill the file: each begins where the one before it ends. */
function checkLayout(file: string, table: SafetensorsTable, dataStart: number, size: number): void {
  const inOrder = [...table].sort(([, a], [, b]) => a.offset - b.offset || a.bytes - b.bytes)
  let end = dataStart
  for (const [name, entry] of inOrder) {
    if (entry.offset !== end) {
      throw damaged(file, `${JSON.stringify(name)} to begin at byte ${end}`, `${entry.offset} (a hole or an overlap)`)
    }
    end += entry.bytes
  }
  if (end !== size) throw damaged(file, `a file of ${end} bytes`, `${size} (truncated, or something was appended)`)
}

/**
 * Reads a range of a file.
 * @throws E_SAFETENSORS where the file ends before it.
 */
export async function readExactly(handle: FileHandle, file: string, offset: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes)
  let done = 0
  while (done < bytes) {
    const { bytesRead } = await handle.read(buffer, done, bytes - done, offset + done)
    if (bytesRead === 0)
      throw damaged(file, `${bytes} bytes at ${offset}`, `${done} (the file was cut while being read)`)
    done += bytesRead
  }
  return buffer
}

/** A tensor to be written: its numbers come in pieces, so that none has to be in memory as a whole. */
export interface TensorSource {
  readonly name: string
  readonly shape: readonly number[]
  /** The elements in order, in pieces of any length. */
  pieces(): AsyncIterable<Float32Array>
}

/** What {@link writeSafetensors} may be told. */
export interface WriteOptions {
  readonly signal?: AbortSignal
  /** Told how many bytes have been written so far. */
  readonly onWritten?: (bytes: number) => void
}

/** The size of the file that {@link writeSafetensors} makes, in bytes. */
export function safetensorsBytes(tensors: readonly TensorSource[]): number {
  return headerOf(tensors).length + tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0)
}

/** Writes float32 tensors, streaming; the file is on the disk when the promise resolves. */
export async function writeSafetensors(
  file: string,
  tensors: readonly TensorSource[],
  options: WriteOptions = {},
): Promise<void> {
  const handle = await open(file, 'w')
  try {
    let written = 0
    const write = async (bytes: Uint8Array): Promise<void> => {
      options.signal?.throwIfAborted()
      await handle.writeFile(bytes)
      written += bytes.length
      options.onWritten?.(written)
    }
    await write(headerOf(tensors))
    for (const tensor of tensors) {
      const end = written + bytesOf(tensor)
      for await (const piece of tensor.pieces()) {
        await write(new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength))
      }
      if (written !== end) {
        throw new WhicheditError('E_INTERNAL', {
          what: `writeSafetensors: ${tensor.name} ended at ${written}, not ${end}`,
        })
      }
    }
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function bytesOf(tensor: TensorSource): number {
  return tensor.shape.reduce((product, size) => product * size, Float32Array.BYTES_PER_ELEMENT)
}

/** Length and JSON, padded with spaces so that the numbers begin at a multiple of eight. */
function headerOf(tensors: readonly TensorSource[]): Buffer {
  let end = 0
  const entries: [string, Json][] = [['__metadata__', { format: 'pt' }]]
  for (const tensor of tensors) {
    const start = end
    end += bytesOf(tensor)
    entries.push([tensor.name, { dtype: 'F32', shape: tensor.shape, data_offsets: [start, end] }])
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)))
  const header = Buffer.alloc(LENGTH_BYTES + Math.ceil(json.length / 8) * 8, ' ')
  header.writeBigUInt64LE(BigInt(header.length - LENGTH_BYTES))
  json.copy(header, LENGTH_BYTES)
  return header
}

function damaged(file: string, expected: string, found: string): WhicheditError {
  return new WhicheditError('E_SAFETENSORS', { file, expected, found })
}
