/**
 * Reads a GGUF file's metadata and table of tensors; the only importer of `@huggingface/gguf`. The library takes a header at
 * its word, so everything is checked here against the file's real size before a number is read or memory is asked for.
 */
import { open, realpath } from 'node:fs/promises'
import type { GGUFParseOutput, GGUFTypedMetadata } from '@huggingface/gguf'
import { WhicheditError } from '../errors.ts'
import { bytesOfNumbers, NUMBER_FORMATS } from './dequantize.ts'
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
/** Magic, version, and the counts of tensors and of metadata entries. */
const PREAMBLE_BYTES = 24
/** The least a table entry takes: name length, number of dimensions, type, offset. */
const MIN_TENSOR_BYTES = 24
/** The least a metadata entry takes: key length, type, one byte. */
const MIN_ENTRY_BYTES = 13
/** What `gguf` itself adds to the metadata it returns. */
const LIBRARY_KEYS: readonly string[] = ['version', 'tensor_count', 'kv_count']

/**
 * Reads the metadata and the table of tensors of a GGUF file (versions 2 and 3, little-endian).
 * @throws E_GGUF where the file is none, is truncated, or says something that cannot be true.
 */
export async function readGguf(path: string): Promise<GgufFile> {
  const file = await realpath(path)
  const size = await checkPreamble(file)
  const parsed = await parse(file)
  const end = parsed.tensorInfoByteRange[1]
  if (end > size) throw damaged(file, 'a whole header', `a file that ends before it, at byte ${size} (truncated)`)
  return { file, metadata: metadataOf(file, parsed), tensors: tensorsOf(file, parsed, size) }
}

/** Refuses what can be refused from the first bytes, before the library allocates for it. */
async function checkPreamble(file: string): Promise<number> {
  const handle = await open(file, 'r')
  try {
    const { size } = await handle.stat()
    if (size < PREAMBLE_BYTES) throw damaged(file, 'a GGUF header', `a file of ${size} bytes`)
    const bytes = await readExactly(handle, file, 0, PREAMBLE_BYTES)
    if (bytes.readUInt32LE() !== MAGIC) throw damaged(file, 'the letters GGUF at its start', 'something else')
    const version = bytes.readUInt32LE(4)
    if (!VERSIONS.includes(version))
      throw damaged(file, `GGUF version ${VERSIONS.join(' or ')}, little-endian`, `${version}`)
    const atLeast =
      Number(bytes.readBigUInt64LE(8)) * MIN_TENSOR_BYTES + Number(bytes.readBigUInt64LE(16)) * MIN_ENTRY_BYTES
    if (atLeast > size) throw damaged(file, `a header that fits ${size} bytes`, `counts that need ${atLeast}`)
    return size
  } finally {
    await handle.close()
  }
}

type Parsed = GGUFParseOutput & { typedMetadata: GGUFTypedMetadata }

async function parse(file: string): Promise<Parsed & { headerBytes: number; typeNames: Record<number, string> }> {
  // Imported late: most starts find the weights converted already and need no GGUF.
  const { gguf, GGMLQuantizationType, serializeGgufMetadata } = await import('@huggingface/gguf')
  try {
    const parsed = await gguf(file, { allowLocalFile: true, typedMetadata: true })
    const headerBytes = serializeGgufMetadata(parsed.typedMetadata, { alignment: 1 }).length
    return { ...parsed, headerBytes, typeNames: GGMLQuantizationType }
  } catch (cause) {
    throw damaged(file, 'a readable GGUF header', cause instanceof Error ? cause.message : String(cause), cause)
  }
}

function metadataOf(file: string, parsed: Parsed & { headerBytes: number }): ReadonlyMap<string, GgufValue> {
  const entries = Object.entries(parsed.metadata)
  if (BigInt(entries.length - LIBRARY_KEYS.length) !== parsed.metadata.kv_count) {
    throw damaged(file, 'each metadata key once', 'a key that repeats')
  }
  // The library decodes text leniently and cuts a text at the end of what it has buffered; written back, the header then has another length.
  if (parsed.headerBytes !== parsed.tensorInfoByteRange[0]) {
    throw damaged(
      file,
      `${parsed.tensorInfoByteRange[0]} bytes of metadata in UTF-8`,
      `text that reads as ${parsed.headerBytes}`,
    )
  }
  return new Map(entries.filter(([key]) => !LIBRARY_KEYS.includes(key)).map(([key, value]) => [key, plain(value)]))
}

function plain(value: unknown): GgufValue {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'bigint') return Number(value)
  return typeof value === 'string' || typeof value === 'boolean' ? value : Number(value)
}

function tensorsOf(
  file: string,
  parsed: Parsed & { typeNames: Record<number, string> },
  size: number,
): ReadonlyMap<string, GgufTensor> {
  const dataStart = Number(parsed.tensorDataOffset)
  const tensors = new Map<string, GgufTensor>()
  for (const info of parsed.tensorInfos) {
    const what = JSON.stringify(info.name)
    if (tensors.has(info.name)) throw damaged(file, 'each tensor once', `${what} twice`)
    const format = parsed.typeNames[info.dtype] ?? `type ${info.dtype}`
    if (!NUMBER_FORMATS.includes(format)) {
      throw new WhicheditError('E_NUMBER_FORMAT', {
        file,
        tensor: what,
        formats: NUMBER_FORMATS.join(', '),
        found: format,
      })
    }
    const shape = info.shape.map(Number).reverse()
    const columns = shape.at(-1) ?? 1
    const rows = shape.slice(0, -1).reduce((product, dim) => product * dim, 1)
    const bytes = (bytesOfNumbers(format, columns) ?? Number.NaN) * rows
    if (!Number.isSafeInteger(bytes) || bytes === 0) {
      throw damaged(file, `rows of whole ${format} blocks in ${what}`, `the shape [${shape.join(', ')}]`)
    }
    tensors.set(info.name, {
      name: info.name,
      format,
      shape,
      offset: dataStart + Number(info.offset),
      bytes,
    })
  }
  checkLayout(file, [...tensors.values()], size)
  return tensors
}

/** Tensors lie inside the file and do not overlap. (Between them may be padding.) */
function checkLayout(file: string, tensors: readonly GgufTensor[], size: number): void {
  let end = 0
  for (const tensor of tensors.toSorted((a, b) => a.offset - b.offset)) {
    const what = JSON.stringify(tensor.name)
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
