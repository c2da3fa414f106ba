/**
 * Thousands of headers that are almost right: whatever a file says, it is read or refused by one of our errors, soon, and with no
 * more memory than a file of its size could need. Memory is asked for in two ways: buffers, which are watched as they are made,
 * and the heap, whose peak is the system's to tell.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WhicheditError } from '../../src/errors.ts'
import { readGguf } from '../../src/models/gguf.ts'
import { checkpointOf } from '../../src/models/gguf-checkpoint.ts'
import { tokenizerJsonOf } from '../../src/models/gguf-tokenizer.ts'
import { decodePatch, encodePatch } from '../../src/models/patch-file.ts'
import { readSafetensors, readSafetensorsFolder } from '../../src/models/safetensors.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { GOLDEN, ggufBytes, put, safetensorsBytes, temporaryFolder } from '../support/model-files.ts'

const RUNS = 2000
const LIMIT_MS = 10_000
/** What the whole of one format's runs may add to the peak of memory: the heap grows by itself between collections. */
const HEAP_BYTES = 100 * 2 ** 20
/** Buffers smaller than this are everybody's. */
const SMALL_BYTES = 64 * 2 ** 10

const EXTREMES = [0n, 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]
const REPLACED = [
  ...[
    '-1',
    '0',
    '1',
    '0.5',
    '1e308',
    '9007199254740993',
    '99999999999999999999',
    '1e999',
    'null',
    'true',
    '""',
    '[]',
    '{}',
  ],
  ...['"F32"', '"__proto__"', '"toString"', '[[[0]]]', '"\\ud800"', `${'['.repeat(5000)}${']'.repeat(5000)}`],
]

type Change = (bytes: Buffer) => Buffer

const at = (share: number, length: number): number => Math.floor(share * length)
const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const splice = (bytes: Buffer, from: number, to: number, ...inside: Uint8Array[]): Buffer =>
  Buffer.concat([bytes.subarray(0, from), ...inside, bytes.subarray(to)])

/** A change of some bytes: other ones, some gone, some more, some twice, a length or count of a strange size. */
const byteChange: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(share, fc.uint8Array({ minLength: 1, maxLength: 8 })).map(
    ([place, inside]): Change =>
      (bytes) =>
        splice(bytes, at(place, bytes.length), at(place, bytes.length) + inside.length, inside),
  ),
  fc.tuple(share, fc.constantFrom(...EXTREMES), fc.constantFrom(4, 8)).map(([place, value, width]): Change => {
    const inside = Buffer.alloc(8)
    inside.writeBigUInt64LE(value)
    return (bytes) => {
      const from = at(place, bytes.length)
      return splice(bytes, from, from + width, inside.subarray(0, width))
    }
  }),
  fc.tuple(share, fc.nat(40)).map(
    ([place, length]): Change =>
      (bytes) =>
        splice(bytes, at(place, bytes.length), at(place, bytes.length) + length),
  ),
  fc.tuple(share, share, fc.nat(200)).map(([from, to, length]): Change => {
    return (bytes) => {
      const copied = bytes.subarray(at(from, bytes.length), at(from, bytes.length) + length)
      return splice(bytes, at(to, bytes.length), at(to, bytes.length), copied)
    }
  }),
)

/** One value of a JSON text replaced by another. */
const valueChange: fc.Arbitrary<Change> = fc
  .tuple(share, fc.oneof(fc.constantFrom(...REPLACED), fc.json()))
  .map(([place, value]): Change => {
    return (bytes) => {
      const text = bytes.toString('latin1')
      const values = [...text.matchAll(/"[^"]*"|\d+|\[[^[\]]*\]/g)]
      const found = values[at(place, values.length)]
      if (found === undefined) return bytes
      return splice(bytes, found.index, found.index + found[0].length, Buffer.from(value))
    }
  })

const changes = (one: fc.Arbitrary<Change>): fc.Arbitrary<Change> =>
  fc.array(one, { minLength: 1, maxLength: 4 }).map((all) => (bytes) => all.reduce((done, next) => next(done), bytes))

const folder = temporaryFolder()
const largest = { bytes: 0 }

const { alloc, allocUnsafe } = Buffer
beforeAll(() => {
  const watch = (bytes: number): number => {
    largest.bytes = Math.max(largest.bytes, bytes)
    return bytes
  }
  Buffer.alloc = (bytes, ...rest) => alloc(watch(bytes), ...rest)
  Buffer.allocUnsafe = (bytes) => allocUnsafe(watch(bytes))
})
afterAll(() => {
  Object.assign(Buffer, { alloc, allocUnsafe })
})

const peakBytes = (): number => process.resourceUsage().maxRSS * 1024

/** Reads each changed file; `read` is given its bytes. */
async function survive(
  whole: Buffer,
  change: fc.Arbitrary<Change>,
  read: (bytes: Buffer) => unknown,
): Promise<{ readonly refused: number; readonly read: number }> {
  const before = peakBytes()
  let refused = 0
  await fc.assert(
    fc.asyncProperty(change, async (changed) => {
      const bytes = changed(whole)
      largest.bytes = 0
      try {
        await read(bytes)
      } catch (error) {
        if (!(error instanceof WhicheditError) || error.code === 'E_INTERNAL') throw error
        refused++
      }
      expect(largest.bytes).toBeLessThanOrEqual(Math.max(SMALL_BYTES, bytes.length))
    }),
    { numRuns: RUNS },
  )
  expect(peakBytes() - before).toBeLessThan(HEAP_BYTES)
  return { refused, read: RUNS - refused }
}

/** A change of the header between its length and the data, and the length put right: the JSON itself is read then. */
const inside =
  (headerBytes: number, change: Change): Change =>
  (bytes) => {
    const header = change(bytes.subarray(8, 8 + headerBytes))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(header.length))
    return Buffer.concat([length, header, bytes.subarray(8 + headerBytes)])
  }

const HEADER = {
  __metadata__: { format: 'pt' },
  'model.weight': { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] },
  'model.bias': { dtype: 'BF16', shape: [4], data_offsets: [24, 32] },
}

describe(`${RUNS} changed headers are read or refused`, { timeout: LIMIT_MS }, () => {
  test.each([
    [
      'anywhere',
      (length: number) =>
        byteChange.map(
          (change): Change =>
            (b) =>
              splice(b, 0, 8 + length, change(b.subarray(0, 8 + length))),
        ),
    ],
    [
      'in its values',
      (length: number) => changes(fc.oneof(valueChange, byteChange)).map((change) => inside(length, change)),
    ],
  ] as const)('safetensors, changed %s', async (_, changeOf) => {
    const whole = safetensorsBytes(HEADER, Buffer.alloc(32))
    const read = (bytes: Buffer) => readSafetensors(put(folder, 'changed.safetensors', bytes))
    const { refused } = await survive(whole, changeOf(whole.length - 40), read)
    expect(refused).toBeGreaterThan(RUNS / 4)
  })

  test('the index of safetensors shards', async () => {
    put(folder, 'a.safetensors', safetensorsBytes(HEADER, Buffer.alloc(32)))
    const places = { 'model.weight': 'a.safetensors', 'model.bias': 'a.safetensors' }
    const whole = Buffer.from(JSON.stringify({ metadata: { total_size: 32 }, weight_map: places }))
    const read = (bytes: Buffer) => {
      put(folder, 'model.safetensors.index.json', bytes)
      return readSafetensorsFolder(folder, ['model.safetensors.index.json'])
    }
    const { refused } = await survive(whole, changes(fc.oneof(valueChange, byteChange)), read)
    expect(refused).toBeGreaterThan(RUNS / 4)
  })

  test('GGUF, up to the plan of a conversion and the tokenizer', async () => {
    const tokens = ['<unk>', '<s>', '</s>', '<0x41>', '▁a', 'b', '▁', 'a', 'ab']
    const shared = readFileSync(join(GOLDEN, 'gguf', 'llama.gguf'))
    const header = headerOf(shared)
    const vocabulary = ggufBytes({
      metadata: [
        ['tokenizer.ggml.model', ['text', 'llama']],
        ['tokenizer.ggml.tokens', ['texts', tokens]],
        ['tokenizer.ggml.scores', ['raw', 9, [6, 0, 0, 0, tokens.length, ...Array(7 + 4 * tokens.length).fill(0)]]],
        ['tokenizer.ggml.token_type', ['int32s', [2, 3, 3, 6, 1, 1, 1, 1, 1]]],
      ],
      tensors: [],
      data: Buffer.alloc(0),
    })
    const entries = vocabulary.subarray(24, vocabulary.length - paddingOf(vocabulary))
    const whole = Buffer.concat([header.subarray(0, 24), entries, header.subarray(24)])
    whole.writeBigUInt64LE(shared.readBigUInt64LE(16) + 4n, 16)
    const data = shared.subarray(align(header.length))
    const file = (bytes: Buffer): Buffer =>
      Buffer.concat([bytes, Buffer.alloc(align(bytes.length) - bytes.length), data])
    const open = async (bytes: Buffer) => {
      const gguf = await readGguf(put(folder, 'changed.gguf', file(bytes)))
      tokenizerJsonOf(gguf)
      await checkpointOf(gguf)
    }
    await open(whole)
    const { refused } = await survive(whole, changes(byteChange), open)
    expect(refused).toBeGreaterThan(RUNS / 4)
    expect(refused).toBeLessThan(RUNS)
  })

  test('saved patches', async () => {
    const numbers = tensor(Float32Array.of(1, 2, 3, 4), [2, 2])
    const parts = [
      { kind: 'dense', weight: 'a.weight', delta: numbers },
      { kind: 'low-rank', weight: 'b.weight', left: numbers, right: numbers },
    ] as const
    const whole = Buffer.from(encodePatch({ parts, report: { loss: 0.5 } }))
    const length = Number(whole.readBigUInt64LE())
    const change = fc.oneof(
      changes(byteChange),
      changes(fc.oneof(valueChange, byteChange)).map((one) => inside(length, one)),
    )
    const { refused } = await survive(whole, change, decodePatch)
    expect(refused).toBeGreaterThan(RUNS / 4)
  })
})

const align = (length: number): number => Math.ceil(length / 32) * 32
const paddingOf = (bytes: Buffer): number => bytes.length - (bytes.findLastIndex((byte) => byte !== 0) + 4)

/** A GGUF file as far as its last tensor's description. */
function headerOf(bytes: Buffer): Buffer {
  const last = bytes.lastIndexOf(Buffer.from('.weight'), bytes.length)
  const nameEnd = last + '.weight'.length
  const dimensions = bytes.readUInt32LE(nameEnd)
  return bytes.subarray(0, nameEnd + 4 + 8 * dimensions + 4 + 8)
}
