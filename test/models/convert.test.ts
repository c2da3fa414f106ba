import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ProgressEvent } from '../../src/context.ts'
import { type Conversion, type ConvertibleTensor, convertOnce, requireSpace } from '../../src/models/convert.ts'
import { readSafetensors, writeSafetensors } from '../../src/models/safetensors.ts'
import { put, temporaryFolder } from '../support/model-files.ts'
import { testContext } from '../support/tiny-model.ts'

/** Three rows of two bfloat16 numbers. */
const ROWS = Uint16Array.of(0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0)

function conversion(numbers: Uint16Array, changes: Partial<ConvertibleTensor> = {}): Conversion {
  const file = put(temporaryFolder(), 'weights', new Uint8Array(numbers.buffer))
  const bytes = numbers.byteLength
  const tensor = { name: 'w', file, format: 'BF16', shape: [bytes / 4, 2], offset: 0, bytes, ...changes }
  return {
    name: 'small',
    storedAs: 'BF16',
    config: { model_type: 'x' },
    tokenizer: { version: '1.0' },
    chatTemplate: null,
    tensors: [tensor],
  }
}

async function numbersIn(folder: string): Promise<number[]> {
  const entry = (await readSafetensors(join(folder, 'model.safetensors'))).get('w')
  const bytes = readFileSync(join(folder, 'model.safetensors')).subarray(entry?.offset)
  return [...new Float32Array(Uint8Array.from(bytes).buffer)]
}

describe('convertOnce', () => {
  test('makes a whole folder and tells how far it is', async () => {
    const events: ProgressEvent[] = []
    const ctx = testContext({ cacheDir: temporaryFolder(), progress: (event) => events.push(event) })
    const folder = await convertOnce('key', conversion(ROWS), ctx)
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors', 'origin.json', 'tokenizer.json'])
    expect(await numbersIn(folder)).toEqual([1, 2, 3, 4, 5, 6])
    expect(readdirSync(join(ctx.cacheDir, 'models'))).toEqual(['key'])
    expect(events.at(-1)).toMatchObject({
      task: 'converting small to 32 bits',
      unit: 'bytes',
      done: events.at(-1)?.total,
    })
  })

  test('puts rows in another order', async () => {
    const ctx = testContext({ cacheDir: temporaryFolder() })
    const folder = await convertOnce('key', conversion(ROWS, { sourceRow: (row) => (row + 1) % 3 }), ctx)
    expect(await numbersIn(folder)).toEqual([3, 4, 5, 6, 1, 2])
  })

  test('adds to each number', async () => {
    const ctx = testContext({ cacheDir: temporaryFolder() })
    const folder = await convertOnce('key', conversion(ROWS, { addend: -1 }), ctx)
    expect(await numbersIn(folder)).toEqual([0, 1, 2, 3, 4, 5])
  })

  test('turns rows into columns', async () => {
    const ctx = testContext({ cacheDir: temporaryFolder() })
    const folder = await convertOnce('key', conversion(ROWS, { transposed: true }), ctx)
    expect(await numbersIn(folder)).toEqual([1, 3, 5, 2, 4, 6])
    expect((await readSafetensors(join(folder, 'model.safetensors'))).get('w')?.shape).toEqual([2, 3])
  })

  test('lets two make the same at once', async () => {
    const ctx = testContext({ cacheDir: temporaryFolder() })
    const folders = await Promise.all([1, 2, 3].map(() => convertOnce('key', conversion(ROWS), ctx)))
    expect(new Set(folders).size).toBe(1)
    expect(readdirSync(join(ctx.cacheDir, 'models'))).toEqual(['key'])
  })

  test('leaves nothing behind when stopped', async () => {
    const stop = new AbortController()
    const ctx = testContext({
      cacheDir: temporaryFolder(),
      signal: stop.signal,
      progress: () => stop.abort(new Error('stopped')),
    })
    await expect(convertOnce('key', conversion(ROWS), ctx)).rejects.toThrow('stopped')
    expect(readdirSync(join(ctx.cacheDir, 'models'))).toEqual([])
  })

  test('leaves nothing behind where the source ends too early', async () => {
    const ctx = testContext({ cacheDir: temporaryFolder() })
    await expect(convertOnce('key', conversion(ROWS, { offset: 4 }), ctx)).rejects.toMatchObject({
      code: 'E_SAFETENSORS',
    })
    expect(readdirSync(join(ctx.cacheDir, 'models'))).toEqual([])
  })

  test.each([
    ['NaN', 0x7fc0],
    ['-Infinity', 0xff80],
  ])('refuses a weight that is %s', async (found, bits) => {
    const ctx = testContext({ cacheDir: temporaryFolder() })
    const numbers = Uint16Array.from(ROWS).fill(bits, 3, 4)
    await expect(convertOnce('key', conversion(numbers), ctx)).rejects.toMatchObject({
      code: 'E_WEIGHT_VALUES',
      message: expect.stringContaining(found),
    })
  })

  test('sweeps up what a killed conversion left, but not one at work', async () => {
    const ctx = testContext({ cacheDir: temporaryFolder() })
    const [dead, alive] = ['making-dead', 'making-alive'].map((name) => join(ctx.cacheDir, 'models', name))
    for (const folder of [dead ?? '', alive ?? '']) {
      mkdirSync(folder, { recursive: true })
      put(folder, 'model.safetensors', 'x')
    }
    utimesSync(join(dead ?? '', 'model.safetensors'), 0, 0)
    await convertOnce('key', conversion(ROWS), ctx)
    expect([existsSync(dead ?? ''), existsSync(alive ?? '')]).toEqual([false, true])
  })

  test('says so where the cache cannot be a folder', async () => {
    const cacheDir = put(temporaryFolder(), 'a-file', '')
    await expect(convertOnce('key', conversion(ROWS), testContext({ cacheDir }))).rejects.toMatchObject({
      code: 'E_NOT_WRITABLE',
    })
  })
})

test('requireSpace refuses what will not fit', async () => {
  await expect(requireSpace(temporaryFolder(), 2 ** 60)).rejects.toMatchObject({ code: 'E_DISK_FULL', exit: 75 })
  await requireSpace(temporaryFolder(), 1)
})

test.skipIf(!existsSync('/dev/full'))('a disk that fills up while writing is an error of the disk', async () => {
  async function* pieces() {
    yield new Float32Array(4)
  }
  await expect(writeSafetensors('/dev/full', [{ name: 'a', shape: [4], pieces }])).rejects.toMatchObject({
    code: 'ENOSPC',
  })
})
