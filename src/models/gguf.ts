/**
 * Reads a GGUF file's metadata and table of tensors (versions 2 and 3, little-endian; the format is described in ggml's
 * docs/gguf.md). A header is a stranger's word: each length and count in it is held against what is left of the file before
 * anything is read or made for it, and text has to be UTF-8 as it stands. That is why this is no library's parser: the one there
 * is (@huggingface/gguf) makes room for whatever a header claims, and takes byte order marks away from tokens, Gemma's among them.
 */
import { type FileHandle, open, realpath } from 'node:fs/promises'
import { WhicheditError } from '../errors.ts'
import { bytesOfNumbers, NUMBER_FORMATS } from './dequantize.ts'
import { shownJson } from './json.ts'
import { readExactly } from './safetensors.ts'

/** A value of the metadata. 64-bit integers have become numbers. */
export type GgufValue = string | number | boolean | readonly GgufValue[]

/** A tensor's place in a GGUF file. */
export interface GgufTensor {
  readonly name: string
  /** `F32`, `Q4_1`, …: one of `NUMBER_FORMATS`. */
  readonly format: string
  /** Rows first: a linear layer is [out, in]. (The file itself writes the fastest dimension first.) */
  readonly shape: readonly number[]
  /** Bytes from the start of the file. */
  readonly offset: number
  readonly bytes: number
}

/** A GGUF file, read as far as its table of tensors. */
export interface GgufFile {
  /** Real path. */
  readonly file: string
  readonly metadata: ReadonlyMap<string, GgufValue>
  readonly tensors: ReadonlyMap<string, GgufTensor>
}

/** "GGUF" read as a little-endian number. */
const MAGIC = 0x46554747
const VERSIONS: readonly number[] = [2, 3]
/** The least a table entry takes: name length, number of dimensions, type, offset. */
const MIN_TENSOR_BYTES = 24
/** The least a metadata entry takes: key length, type, one byte. */
const MIN_ENTRY_BYTES = 13
/** Dimensions of a ggml tensor. */
const MAX_DIMENSIONS = 4
const DEFAULT_ALIGNMENT = 32
/** Enough for the vocabularies in use; a longer header is read again, each time twice as far. */
const FIRST_READ_BYTES = 8 * 2 ** 20

/** ggml's number formats by their codes. */
const FORMAT_NAMES: Readonly<Record<number, string>> = {
  0: 'F32',
  1: 'F16',
  2: 'Q4_0',
  3: 'Q4_1',
  6: 'Q5_0',
  7: 'Q5_1',
  8: 'Q8_0',
  9: 'Q8_1',
  10: 'Q2_K',
  11: 'Q3_K',
  12: 'Q4_K',
  13: 'Q5_K',
  14: 'Q6_K',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  30: 'BF16',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
}

/**
 * Reads the metadata and the table of tensors of a GGUF file.
 * @throws E_GGUF where the file is none, is truncated, or says something that cannot be true; E_NUMBER_FORMAT for numbers that cannot be decoded.
 */
export async function readGguf(path: string): Promise<GgufFile> {
  const file = await realpath(path)
  const handle = await open(file, 'r')
  try {
    const { size } = await handle.stat()
    const { metadata, tensors, end } = await readHeader(handle, file, size)
    return { file, metadata, tensors: placeTensors(file, tensors, { dataStart: align(file, metadata, end), size }) }
  } finally {
    await handle.close()
  }
}

async function readHeader(handle: FileHandle, file: string, size: number): Promise<Header> {
  for (let bytes = FIRST_READ_BYTES; ; bytes *= 2) {
    const cursor = new Cursor(file, await readExactly(handle, file, 0, Math.min(bytes, size)), size)
    try {
      return parseHeader(cursor)
    } catch (error) {
      if (error !== OUT_OF_BYTES) throw error
    }
  }
}

/** A tensor as the header describes it. */
interface Described {
  readonly name: string
  readonly format: string
  readonly shape: readonly number[]
  /** From the start of the data. */
  readonly offset: number
}

interface Header {
  readonly metadata: ReadonlyMap<string, GgufValue>
  readonly tensors: readonly Described[]
  /** Where the header ends, in bytes. */
  readonly end: number
}

/** Thrown where what was read of the file ends, but not the file. */
const OUT_OF_BYTES = new Error('more of the file is needed')

/** Reads a header from its start on. Numbers are little-endian. */
class Cursor {
  at = 0
  readonly file: string
  readonly #bytes: Buffer
  readonly #size: number
  readonly #text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

  /** `bytes`: the beginning of a file of `size` bytes. */
  constructor(file: string, bytes: Buffer, size: number) {
    this.file = file
    this.#bytes = bytes
    this.#size = size
  }

  /** Goes over the next bytes and returns where they begin. */
  skip(bytes: number): number {
    const start = this.at
    if (bytes > this.#size - start) {
      throw damaged(this.file, `${bytes} more bytes of header`, `${this.#size - start} (truncated)`)
    }
    if (start + bytes > this.#bytes.length) throw OUT_OF_BYTES
    this.at += bytes
    return start
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.skip(4))
  }

  /** A 64-bit length, count or offset. Beyond 2^53 it is not exact, and larger than any file. */
  u64(): number {
    const low = this.u32()
    return this.u32() * 2 ** 32 + low
  }

  /** How many things follow, each of at least so many bytes. */
  count(leastBytes: number, what: string): number {
    const count = this.u64()
    const room = Math.floor((this.#size - this.at) / leastBytes)
    if (count > room) throw damaged(this.file, `at most ${room} ${what}, as many as fit the file`, `${count}`)
    return count
  }

  text(): string {
    const length = this.u64()
    const start = this.skip(length)
    try {
      return this.#text.decode(this.#bytes.subarray(start, start + length))
    } catch (cause) {
      throw damaged(this.file, `text in UTF-8 at byte ${start}`, 'something else', cause)
    }
  }

  /** A number, of so many bytes, by one of the buffer's own methods. */
  number(bytes: number, read: (buffer: Buffer, at: number) => number | bigint): number {
    return Number(read(this.#bytes, this.skip(bytes)))
  }
}

/** A type of metadata: the least bytes a value takes, and how one is read. */
interface ValueType {
  readonly bytes: number
  read(cursor: Cursor): GgufValue
}

const numeric = (bytes: number, read: (buffer: Buffer, at: number) => number | bigint): ValueType => ({
  bytes,
  read: (cursor) => cursor.number(bytes, read),
})

/** Values by their type's code. Lists hold none of lists. */
const VALUES: Readonly<Record<number, ValueType>> = {
  0: numeric(1, (buffer, at) => buffer.readUInt8(at)),
  1: numeric(1, (buffer, at) => buffer.readInt8(at)),
  2: numeric(2, (buffer, at) => buffer.readUInt16LE(at)),
  3: numeric(2, (buffer, at) => buffer.readInt16LE(at)),
  4: numeric(4, (buffer, at) => buffer.readUInt32LE(at)),
  5: numeric(4, (buffer, at) => buffer.readInt32LE(at)),
  6: numeric(4, (buffer, at) => buffer.readFloatLE(at)),
  7: { bytes: 1, read: (cursor) => cursor.number(1, (buffer, at) => buffer.readUInt8(at)) !== 0 },
  8: { bytes: 8, read: (cursor) => cursor.text() },
  10: numeric(8, (buffer, at) => buffer.readBigUInt64LE(at)),
  11: numeric(8, (buffer, at) => buffer.readBigInt64LE(at)),
  12: numeric(8, (buffer, at) => buffer.readDoubleLE(at)),
}
const LIST = 9

function parseHeader(cursor: Cursor): Header {
  const { file } = cursor
  if (cursor.u32() !== MAGIC) throw damaged(file, 'the letters GGUF at its start', 'something else')
  const version = cursor.u32()
  if (!VERSIONS.includes(version)) {
    throw damaged(file, `GGUF version ${VERSIONS.join(' or ')}, little-endian`, `${version}`)
  }
  const tensorCount = cursor.count(MIN_TENSOR_BYTES, 'tensors')
  const entryCount = cursor.count(MIN_ENTRY_BYTES, 'metadata entries')
  const metadata = new Map<string, GgufValue>()
  for (let i = 0; i < entryCount; i++) {
    const key = cursor.text()
    if (metadata.has(key)) throw damaged(file, 'each metadata key once', `${shownJson(key)} twice`)
    metadata.set(key, readValue(cursor))
  }
  const tensors = Array.from({ length: tensorCount }, () => readDescription(cursor))
  return { metadata, tensors, end: cursor.at }
}

function readValue(cursor: Cursor): GgufValue {
  const code = cursor.u32()
  if (code !== LIST) return valueType(cursor, code).read(cursor)
  const type = valueType(cursor, cursor.u32())
  const count = cursor.count(type.bytes, 'values of a list')
  const values: GgufValue[] = []
  for (let i = 0; i < count; i++) values.push(type.read(cursor))
  return values
}

function valueType({ file }: Cursor, code: number): ValueType {
  const type = VALUES[code]
  if (type === undefined) throw damaged(file, 'a known type of metadata', `type ${code}`)
  return type
}

function readDescription(cursor: Cursor): Described {
  const name = cursor.text()
  const dimensions = cursor.u32()
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
    throw damaged(cursor.file, `1 to ${MAX_DIMENSIONS} dimensions of ${shownJson(name)}`, `${dimensions}`)
  }
  const shape = Array.from({ length: dimensions }, () => cursor.u64()).reverse()
  const code = cursor.u32()
  return { name, shape, format: FORMAT_NAMES[code] ?? `type ${code}`, offset: cursor.u64() }
}

/** The data begins at the next multiple of the alignment. */
function align(file: string, metadata: Header['metadata'], end: number): number {
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT
  if (typeof alignment !== 'number' || alignment < 1 || !Number.isInteger(Math.log2(alignment))) {
    throw damaged(file, 'a power of two as general.alignment', shownJson(alignment))
  }
  return Math.ceil(end / alignment) * alignment
}

interface Room {
  readonly dataStart: number
  readonly size: number
}

function placeTensors(file: string, described: readonly Described[], room: Room): ReadonlyMap<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>()
  for (const { name, format, shape, offset } of described) {
    const what = shownJson(name)
    if (tensors.has(name)) throw damaged(file, 'each tensor once', `${what} twice`)
    if (!NUMBER_FORMATS.includes(format)) {
      const formats = NUMBER_FORMATS.join(', ')
      throw new WhicheditError('E_NUMBER_FORMAT', { file, tensor: what, formats, found: format })
    }
    const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1)
    const bytes = (bytesOfNumbers(format, shape.at(-1) ?? 1) ?? Number.NaN) * rows
    if (!Number.isSafeInteger(bytes) || bytes === 0) {
      throw damaged(file, `rows of whole ${format} blocks in ${what}`, `the shape [${shape.join(', ')}]`)
    }
    tensors.set(name, { name, format, shape, offset: room.dataStart + offset, bytes })
  }
  checkLayout(file, [...tensors.values()], room.size)
  return tensors
}

/** Tensors lie inside the file and do not overlap. (Between them may be padding.) */
function checkLayout(file: string, tensors: readonly GgufTensor[], size: number): void {
  let end = 0
  for (const tensor of tensors.toSorted((a, b) => a.offset - b.offset)) {
    const what = shownJson(tensor.name)
    if (tensor.offset < end)
      throw damaged(file, `${what} to begin at byte ${end} or later`, `${tensor.offset} (an overlap)`)
    end = tensor.offset + tensor.bytes
    if (end > size) throw damaged(file, `a file of at least ${end} bytes for ${what}`, `${size} (truncated)`)
  }
}

/** The error for a GGUF file that says something impossible or something we cannot use. */
export function damaged(file: string, expected: string, found: string, cause?: unknown): WhicheditError {
  return new WhicheditError('E_GGUF', { file, expected, found }, { cause })
}
