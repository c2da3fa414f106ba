/** Weight files made in code, right or wrong on purpose, in folders that are gone when the test is over. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'

/** The folder of golden files. */
export const GOLDEN = fileURLToPath(new URL('../golden/', import.meta.url))

/** A folder that is removed after the file's tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'whichedit-files-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Writes a file into a folder and returns its path. */
export function put(folder: string, name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  return path
}

/** A safetensors file: any header, as an object or as raw text, and any data after it. */
export function safetensorsBytes(header: object | string, data: Uint8Array, length?: bigint): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(length ?? BigInt(json.length))
  return Buffer.concat([size, json, data])
}

/** Values of GGUF's metadata types. */
export type GgufEntry =
  | readonly ['text', string]
  | readonly ['uint32', number]
  | readonly ['float32', number]
  | readonly ['bool', boolean]
  | readonly ['texts', readonly string[]]
  | readonly ['int32s', readonly number[]]
  | readonly ['raw', type: number, bytes: readonly number[]]

/** A tensor of a GGUF file; sizes as the file writes them, fastest first. */
export interface GgufTensorPlan {
  readonly name: string
  readonly sizes: readonly (number | bigint)[]
  readonly type: number
  readonly offset: number | bigint
}

/** Everything of a GGUF file that a test may want wrong. */
export interface GgufPlan {
  readonly magic?: string
  readonly version?: number
  readonly metadata: readonly (readonly [string, GgufEntry])[]
  readonly tensors: readonly GgufTensorPlan[]
  readonly tensorCount?: bigint
  readonly entryCount?: bigint
  /** Bytes after the header, which is padded to a multiple of 32. */
  readonly data: Uint8Array
}

/** A GGUF file. */
export function ggufBytes(plan: GgufPlan): Buffer {
  const header = Buffer.concat([
    Buffer.from(plan.magic ?? 'GGUF'),
    u32(plan.version ?? 3),
    u64(plan.tensorCount ?? BigInt(plan.tensors.length)),
    u64(plan.entryCount ?? BigInt(plan.metadata.length)),
    ...plan.metadata.map(([key, entry]) => Buffer.concat([text(key), entryBytes(entry)])),
    ...plan.tensors.map(({ name, sizes, type, offset }) =>
      Buffer.concat([
        text(name),
        u32(sizes.length),
        ...sizes.map((size) => u64(BigInt(size))),
        u32(type),
        u64(BigInt(offset)),
      ]),
    ),
  ])
  return Buffer.concat([header, Buffer.alloc((32 - (header.length % 32)) % 32), plan.data])
}

function entryBytes(entry: GgufEntry): Buffer {
  switch (entry[0]) {
    case 'uint32':
      return Buffer.concat([u32(4), u32(entry[1])])
    case 'float32':
      return Buffer.concat([u32(6), Buffer.from(Float32Array.of(entry[1]).buffer)])
    case 'bool':
      return Buffer.concat([u32(7), Buffer.of(entry[1] ? 1 : 0)])
    case 'text':
      return Buffer.concat([u32(8), text(entry[1])])
    case 'raw':
      return Buffer.concat([u32(entry[1]), Buffer.from(entry[2])])
    case 'texts':
      return Buffer.concat([u32(9), u32(8), u64(BigInt(entry[1].length)), ...entry[1].map(text)])
    case 'int32s':
      return Buffer.concat([
        u32(9),
        u32(5),
        u64(BigInt(entry[1].length)),
        Buffer.from(Int32Array.from(entry[1]).buffer),
      ])
  }
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([u64(BigInt(bytes.length)), bytes])
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return bytes
}
