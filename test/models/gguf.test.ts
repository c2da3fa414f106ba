import { readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readGguf } from '../../src/models/gguf.ts'
import { type GgufPlan, GOLDEN, ggufBytes, put, temporaryFolder } from '../support/model-files.ts'

const folder = temporaryFolder()
const F32 = 0
const Q4_1 = 3
const IQ4_NL = 20

const PLAN: GgufPlan = {
  metadata: [
    ['general.architecture', ['text', 'llama']],
    ['a.number', ['uint32', 7]],
    ['a.list', ['texts', ['x', 'ü', '']]],
    ['an.answer', ['bool', true]],
  ],
  tensors: [
    { name: 'one', sizes: [32, 2], type: Q4_1, offset: 0 },
    { name: 'two', sizes: [3], type: F32, offset: 64 },
  ],
  data: Buffer.alloc(76),
}
const tensor = (changes: object): Partial<GgufPlan> => ({
  tensors: [{ name: 'one', sizes: [4], type: F32, offset: 0, ...changes }],
})

describe('readGguf', () => {
  test('gives metadata, and tensors with rows first', async () => {
    const bytes = ggufBytes(PLAN)
    const file = put(folder, 'good.gguf', bytes)
    const start = bytes.length - PLAN.data.length
    const gguf = await readGguf(file)
    expect(Object.fromEntries(gguf.metadata)).toEqual({
      'general.architecture': 'llama',
      'a.number': 7,
      'a.list': ['x', 'ü', ''],
      'an.answer': true,
    })
    expect([...gguf.tensors.values()]).toEqual([
      { name: 'one', format: 'Q4_1', shape: [2, 32], offset: start, bytes: 40 },
      { name: 'two', format: 'F32', shape: [3], offset: start + 64, bytes: 12 },
    ])
    expect(gguf.file).toBe(realpathSync(file))
  })

  test.each<[string, Partial<GgufPlan>]>([
    ['another magic', { magic: 'GGML' }],
    ['version 1', { version: 1 }],
    ['a version from the future', { version: 4 }],
    ['big-endian numbers', { version: 0x03000000 }],
    ['more tensors than fit the file', { tensorCount: 1_000_000n }],
    ['more metadata than fits the file', { entryCount: 90_000n }],
    ['counts beyond all sense', { tensorCount: 0xffffffffffffffffn }],
    ['a metadata key that repeats', { metadata: [...PLAN.metadata, ['a.number', ['uint32', 8]]] }],
    ['an alignment of 0', { metadata: [['general.alignment', ['uint32', 0]]] }],
    ['an alignment of 24', { metadata: [['general.alignment', ['uint32', 24]]] }],
    ['an alignment of a half', { metadata: [['general.alignment', ['float32', 0.5]]] }],
    ['an alignment that is text', { metadata: [['general.alignment', ['text', '32']]] }],
    ['an alignment beyond the file', { metadata: [['general.alignment', ['uint32', 2 ** 31]]] }],
    [
      'a list longer than the file',
      { metadata: [['list', ['raw', 9, [4, 0, 0, 0, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0]]]] },
    ],
    [
      'a list of lists',
      { metadata: [['list', ['raw', 9, [9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, ...Array(40).fill(0)]]]] },
    ],
    ['a text longer than the file', { metadata: [['text', ['raw', 8, [0, 0, 0, 0, 0, 0, 0, 0x80]]]] }],
    ['metadata of an unknown type', { metadata: [['new', ['raw', 13, [0]]]] }],
    ['no dimensions', tensor({ sizes: [] })],
    ['an empty dimension', tensor({ sizes: [0, 4] })],
    ['a tensor that repeats', { tensors: [...PLAN.tensors, { name: 'one', sizes: [1], type: F32, offset: 0 }] }],
    ['overlapping tensors', { tensors: PLAN.tensors.map((entry) => ({ ...entry, offset: 32 })) }],
    ['a tensor beyond the file', tensor({ offset: 96 })],
    ['an offset beyond all sense', tensor({ offset: 0xffffffffffffffe0n })],
    ['a tensor larger than the file', tensor({ sizes: [4, 1000] })],
    ['sizes whose product overflows', tensor({ sizes: [2 ** 31, 2 ** 31, 2 ** 31] })],
    ['a size beyond all sense', tensor({ sizes: [0xffffffffffffffffn] })],
    ['too many dimensions', tensor({ sizes: [1, 1, 1, 1, 1] })],
    ['rows that are no whole blocks', tensor({ type: Q4_1, sizes: [16, 2] })],
    ['no data', { data: Buffer.alloc(0) }],
  ])('refuses %s', async (_, changes) => {
    const file = put(folder, 'bad.gguf', ggufBytes({ ...PLAN, ...changes }))
    await expect(readGguf(file)).rejects.toMatchObject({ code: 'E_GGUF', exit: 2 })
  })

  test.each([
    ['IQ4_NL', IQ4_NL],
    ['type 9999', 9999],
  ])('names a number format it cannot decode: %s', async (name, type) => {
    const file = put(folder, 'format.gguf', ggufBytes({ ...PLAN, ...tensor({ type }) }))
    await expect(readGguf(file)).rejects.toMatchObject({
      code: 'E_NUMBER_FORMAT',
      message: expect.stringContaining(name),
    })
  })

  test('refuses metadata that is no UTF-8', async () => {
    const bytes = ggufBytes(PLAN)
    bytes[bytes.indexOf('ü')] = 0xff
    await expect(readGguf(put(folder, 'latin.gguf', bytes))).rejects.toMatchObject({ code: 'E_GGUF' })
  })

  test.each([
    ['general.alignment', ['uint32', 64]],
    ['text', ['text', '\ufeffbegins with a byte order mark']],
    ['__proto__', ['text', 'a name like any other']],
    ['wide', ['raw', 10, [0, 0, 0, 0, 1, 0, 0, 0]]],
  ] as const)('reads %s as it stands', async (key, entry) => {
    const plan: GgufPlan = { ...PLAN, metadata: [[key, entry]], tensors: [], data: Buffer.alloc(64) }
    const expected = entry[0] === 'raw' ? 2 ** 32 : entry[1]
    expect((await readGguf(put(folder, 'one.gguf', ggufBytes(plan)))).metadata.get(key)).toBe(expected)
  })

  test('reads on where a header is longer than what was read at first, wherever the border lies', async () => {
    const border = 8 * 2 ** 20
    const before = ggufBytes({ ...PLAN, metadata: [['list', ['texts', ['', 'last']]]] }).indexOf('last')
    for (const inside of [-9, -1, 0, 1, 3, 4, 5, 12]) {
      const filler = 'x'.repeat(border - before - inside)
      const bytes = ggufBytes({ ...PLAN, metadata: [['list', ['texts', [filler, 'last']]]] })
      const gguf = await readGguf(put(folder, 'border.gguf', bytes))
      expect(gguf.metadata.get('list')).toEqual([filler, 'last'])
      expect(gguf.tensors.get('two')?.offset).toBe(bytes.length - 12)
    }
  })

  test('refuses a real file cut anywhere', async () => {
    const whole = readFileSync(join(GOLDEN, 'tiny-llama.gguf'))
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 40), async (length) => {
        const file = put(folder, 'cut.gguf', whole.subarray(0, length))
        await expect(readGguf(file)).rejects.toMatchObject({ code: expect.stringMatching(/^E_(GGUF|NUMBER_FORMAT)$/) })
      }),
      { numRuns: 40 },
    )
  })

  test('never fails but with its own errors, whatever byte of the header is changed', async () => {
    const whole = ggufBytes(PLAN)
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - PLAN.data.length - 1), fc.nat(255), async (at, byte) => {
        const changed = Buffer.from(whole)
        changed[at] = byte
        const code = await readGguf(put(folder, 'changed.gguf', changed)).then(
          () => 'fine',
          (error: { code?: string }) => error.code,
        )
        expect(['fine', 'E_GGUF', 'E_NUMBER_FORMAT']).toContain(code)
      }),
      { numRuns: 200 },
    )
  })
})
