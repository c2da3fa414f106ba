import { readFileSync, realpathSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  readSafetensors,
  readSafetensorsFolder,
  safetensorsBytes as sizeOfFile,
  type TensorSource,
  writeSafetensors,
} from '../../src/models/safetensors.ts'
import { GOLDEN, put, safetensorsBytes, temporaryFolder } from '../support/model-files.ts'

const folder = temporaryFolder()
const f32 = (shape: readonly number[], start: number, end: number) => ({
  dtype: 'F32',
  shape,
  data_offsets: [start, end],
})

function source(name: string, shape: readonly number[], ...pieces: readonly number[][]): TensorSource {
  async function* stream() {
    for (const piece of pieces) yield Float32Array.from(piece)
  }
  return { name, shape, pieces: stream }
}

describe('readSafetensors', () => {
  test('gives places in the file', async () => {
    const header = {
      b: f32([1], 8, 12),
      a: { dtype: 'BF16', shape: [2, 2], data_offsets: [0, 8] },
      __metadata__: { format: 'pt' },
    }
    const file = put(folder, 'good.safetensors', safetensorsBytes(header, Buffer.alloc(12)))
    const start = 8 + JSON.stringify(header).length
    expect([...(await readSafetensors(file))]).toEqual([
      ['b', { file: realpathSync(file), dtype: 'F32', shape: [1], offset: start + 8, bytes: 4 }],
      ['a', { file: realpathSync(file), dtype: 'BF16', shape: [2, 2], offset: start, bytes: 8 }],
    ])
  })

  test.each<[string, object | string, number]>([
    ['a hole', { a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12],
    ['an overlap', { a: f32([2], 0, 8), b: f32([1], 4, 8) }, 8],
    ['the same place twice', { a: f32([1], 0, 4), b: f32([1], 0, 4) }, 4],
    ['a tensor beyond the file', { a: f32([2], 0, 8) }, 4],
    ['something appended', { a: f32([1], 0, 4) }, 8],
    ['bytes that do not fit the shape', { a: f32([3], 0, 8) }, 8],
    ['offsets the wrong way round', { a: f32([1], 4, 0) }, 4],
    ['a negative offset', { a: f32([1], -4, 0) }, 4],
    ['a negative size', { a: f32([-1], 0, -4) }, 4],
    ['two negative sizes', { a: f32([-1, -1], 0, 4) }, 4],
    ['a fractional size', { a: f32([0.5, 2], 0, 4) }, 4],
    ['a size beyond whole numbers', { a: f32([2 ** 60, 2 ** 60], 0, 4) }, 4],
    ['sizes whose product overflows', { a: f32([2 ** 32, 2 ** 32], 0, 4) }, 4],
    ['a size as text', { a: { dtype: 'F32', shape: ['1'], data_offsets: [0, 4] } }, 4],
    ['an unknown type', { a: { dtype: 'Q4', shape: [1], data_offsets: [0, 4] } }, 4],
    ['a type from the prototype', { a: { dtype: 'toString', shape: [1], data_offsets: [0, 4] } }, 4],
    ['three offsets', { a: { dtype: 'F32', shape: [1], data_offsets: [0, 4, 4] } }, 4],
    ['no offsets', { a: { dtype: 'F32', shape: [1] } }, 4],
    ['an entry that is a number', { a: 1 }, 0],
    ['an entry that is null', { a: null }, 0],
    ['an entry named __proto__ that is wrong', '{"__proto__": {"dtype": "F32"}}', 0],
  ])('refuses %s', async (_, header, bytes) => {
    const file = put(folder, 'bad.safetensors', safetensorsBytes(header, Buffer.alloc(bytes)))
    await expect(readSafetensors(file)).rejects.toMatchObject({ code: 'E_SAFETENSORS', exit: 2 })
  })

  test.each([
    [
      'a name that stands twice',
      '{"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}, "a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    ],
    ['an offset that stands twice', '{"a": {"dtype":"F32","shape":[1],"data_offsets":[4,8],"data_offsets":[0,4]}}'],
    ['a list', '[]'],
    ['no JSON', '{"a": '],
  ])('refuses a header with %s', async (_, header) => {
    const file = put(folder, 'bad.safetensors', safetensorsBytes(header, Buffer.alloc(4)))
    await expect(readSafetensors(file)).rejects.toMatchObject({ code: 'E_JSON' })
  })

  test.each([
    ['longer than the file', 1000n],
    ['beyond 64-bit sense', 0xffffffffffffffffn],
  ])('refuses a header length that is %s, without allocating it', async (_, length) => {
    const file = put(folder, 'bad.safetensors', safetensorsBytes({ a: f32([1], 0, 4) }, Buffer.alloc(4), length))
    await expect(readSafetensors(file)).rejects.toMatchObject({ code: 'E_SAFETENSORS' })
  })

  test('refuses a header above the limit even where the file is that long', async () => {
    const file = put(folder, 'long.safetensors', safetensorsBytes('{', Buffer.alloc(0), 100_000_001n))
    truncateSync(file, 200_000_000)
    await expect(readSafetensors(file)).rejects.toMatchObject({ message: expect.stringContaining('100000000') })
  })

  test('reads a tensor named like something every object has', async () => {
    const file = put(
      folder,
      'odd.safetensors',
      safetensorsBytes('{"__proto__":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', Buffer.alloc(4)),
    )
    expect([...(await readSafetensors(file)).keys()]).toEqual(['__proto__'])
  })

  test('accepts empty tensors wherever they lie', async () => {
    const header = { a: f32([0], 0, 0), b: f32([1], 0, 4), c: f32([3, 0], 4, 4) }
    const file = put(folder, 'empty.safetensors', safetensorsBytes(header, Buffer.alloc(4)))
    expect((await readSafetensors(file)).size).toBe(3)
  })

  test('refuses a real file cut anywhere', async () => {
    const whole = readFileSync(join(GOLDEN, 'tiny-llama', 'model.safetensors'))
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), async (length) => {
        const file = put(folder, 'cut.safetensors', whole.subarray(0, length))
        await expect(readSafetensors(file)).rejects.toMatchObject({
          code: expect.stringMatching(/^E_(SAFETENSORS|JSON)$/),
        })
      }),
      { numRuns: 40 },
    )
  })

  test('never fails but with its own errors, whatever byte of the header is changed', async () => {
    const whole = readFileSync(join(GOLDEN, 'tiny-llama', 'model.safetensors'))
    await fc.assert(
      fc.asyncProperty(fc.nat(2000), fc.nat(255), async (at, byte) => {
        const changed = Buffer.from(whole)
        changed[at] = byte
        const file = put(folder, 'changed.safetensors', changed)
        const code = await readSafetensors(file).then(
          () => 'fine',
          (error: { code?: string }) => error.code,
        )
        expect(['fine', 'E_SAFETENSORS', 'E_JSON']).toContain(code)
      }),
      { numRuns: 100 },
    )
  })
})

describe('readSafetensorsFolder', () => {
  const index = (map: unknown): string => JSON.stringify({ weight_map: map })
  const shard = safetensorsBytes({ a: f32([1], 0, 4) }, Buffer.alloc(4))

  test('joins shards', async () => {
    const table = await readSafetensorsFolder(join(GOLDEN, 'tiny-llama-untied'), [])
    expect([table.size, new Set([...table.values()].map(({ file }) => file)).size]).toEqual([21, 2])
  })

  test.each<[string, unknown]>([
    ['a shard elsewhere', { a: '../one.safetensors' }],
    ['an absolute shard', { a: '/etc/one.safetensors' }],
    ['a shard of another kind', { a: 'one.bin' }],
    ['a shard that is a number', { a: 1 }],
    ['a tensor its shard lacks', { a: 'one.safetensors', b: 'one.safetensors' }],
    ['no map', undefined],
    ['a list for a map', []],
  ])('refuses an index with %s', async (_, map) => {
    const place = temporaryFolder()
    put(place, 'one.safetensors', shard)
    put(place, 'model.safetensors.index.json', index(map))
    await expect(readSafetensorsFolder(place, [])).rejects.toMatchObject({ code: 'E_SAFETENSORS' })
  })
})

describe('writeSafetensors', () => {
  test('writes what can be read back, of the size it said', async () => {
    const file = join(folder, 'written.safetensors')
    const tensors = [source('first', [2, 2], [1, 2, 3], [4]), source('none', [0, 5]), source('one', [], [-0.5])]
    const steps: number[] = []
    await writeSafetensors(file, tensors, { onWritten: (bytes) => steps.push(bytes) })
    const bytes = readFileSync(file)
    const table = await readSafetensors(file)
    const read = [...table].map(([name, { shape, offset, bytes: size }]) => {
      const data = new Float32Array(bytes.buffer.slice(bytes.byteOffset + offset, bytes.byteOffset + offset + size))
      return [name, shape, [...data]]
    })
    expect(read).toEqual([
      ['first', [2, 2], [1, 2, 3, 4]],
      ['none', [0, 5], []],
      ['one', [], [-0.5]],
    ])
    expect(bytes.length).toBe(sizeOfFile(tensors))
    expect(steps.at(-1)).toBe(bytes.length)
    expect(Number(bytes.readBigUInt64LE()) % 8).toBe(0)
  })

  test('refuses a source that gives too few numbers', async () => {
    const tensors = [source('short', [3], [1, 2])]
    await expect(writeSafetensors(join(folder, 'short.safetensors'), tensors)).rejects.toMatchObject({
      code: 'E_INTERNAL',
    })
  })

  test('stops when aborted', async () => {
    const signal = AbortSignal.abort(new Error('stopped'))
    await expect(
      writeSafetensors(join(folder, 'stopped.safetensors'), [source('a', [1], [1])], { signal }),
    ).rejects.toThrow('stopped')
  })
})
