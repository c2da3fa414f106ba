import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { constant, evaluateDim, input, type Node, times, weight } from '../../src/graph/graph.ts'
import { add, multiply } from '../../src/graph/ops/elementwise.ts'
import { matmul } from '../../src/graph/ops/matmul.ts'
import { gatherRows } from '../../src/graph/ops/rows.ts'
import { concat, reshape, transpose } from '../../src/graph/ops/shape.ts'
import { Session } from '../../src/graph/session.ts'
import { tensor } from '../../src/tensor/tensor.ts'
import { temporaryFolder } from '../support/model-files.ts'

const floats = (values: number[], shape: number[]) => tensor(Float32Array.from(values), shape)

test('one session serves every size, with shapes of several unknowns filled in', async () => {
  const x = input('x', ['B', 'T', 4])
  const parted = transpose(reshape(reshape(x, ['B*T', 4]), ['B', 'T', 2, 2]), [0, 2, 1, 3])
  const session = await Session.create({ parted, doubled: multiply(x, constant(Float32Array.of(2), [], 'float32')) })
  for (const [B, T] of [
    [1, 1],
    [2, 3],
  ] as const) {
    const values = Array.from({ length: B * T * 4 }, (_, i) => i)
    const { parted: found, doubled } = await session.run({ x: floats(values, [B, T, 4]) })
    expect(found?.shape).toEqual([B, 2, T, 2])
    expect([...(doubled?.data ?? [])]).toEqual(values.map((value) => 2 * value))
  }
  const only = await session.run({ x: floats([1, 2, 3, 4], [1, 1, 4]) }, { wanted: ['doubled'] })
  expect(Object.keys(only)).toEqual(['doubled'])
  await session.release()
})

test('sizes that no input shows alone are given', async () => {
  const x = input('x', ['B*T', 2])
  const session = await Session.create({ y: reshape(x, ['B', 'T', 2]) })
  const { y } = await session.run({ x: floats([1, 2, 3, 4, 5, 6], [3, 2]) }, { sizes: { B: 3, T: 1 } })
  expect(y?.shape).toEqual([3, 1, 2])
  await expect(session.run({ x: floats([1, 2], [1, 2]) })).rejects.toMatchObject({ code: 'E_INTERNAL' })
  await session.release()
})

test.each([
  ['a missing feed', {}, 'E_INTERNAL', /the graph's input x is not fed/],
  ['a feed of another rank', { x: floats([1, 2], [2]) }, 'E_SHAPE', /expected \[N, 2\], found \[2\]/],
  ['a feed of another width', { x: floats([1, 2, 3], [1, 3]) }, 'E_SHAPE', /expected \[N, 2\], found \[1, 3\]/],
])('%s is refused', async (_, feeds, code, message) => {
  const x = input('x', ['N', 2])
  const session = await Session.create({ y: add(x, x) })
  const run = session.run(feeds)
  await expect(run).rejects.toMatchObject({ code })
  await expect(session.run(feeds)).rejects.toThrow(message)
  await session.release()
})

test.each([
  [
    'matmul',
    () => matmul(input('a', [4, 8]), input('b', [16, 8])),
    /inner sizes differ, got \[4, 8\] · \[16, 8\]; did you mean the transpose/,
  ],
  ['add', () => add(input('a', ['N', 3]), input('b', ['N', 4])), /sizes must be equal or 1/],
  ['reshape', () => reshape(input('a', ['N', 6]), ['N', 5]), /expected as many values/],
])('%s refuses shapes that do not fit while the graph is built', (_, build, message) => {
  expect(build).toThrow(message)
})

test('dimensions multiply to a normal form', () => {
  expect(times('T', 3, 'B')).toBe('3*B*T')
  expect(times('B*T', 2)).toBe(times(2, 'T', 'B'))
  expect(times(2, 3)).toBe(6)
  expect(times('T', 0)).toBe(0)
  expect(
    evaluateDim(
      '3*B*T',
      new Map([
        ['B', 2],
        ['T', 5],
      ]),
    ),
  ).toBe(30)
  expect(concat(input('p', ['B', 'P']), input('t', ['B', 'T']), 1, 'S').shape).toEqual(['B', 'S'])
})

describe('weights of 16 bits', () => {
  // 1, -2, 0.5 and the smallest subnormal of each format.
  const PATTERNS = {
    F16: [0x3c00, 0xc000, 0x3800, 0x0001],
    BF16: [0x3f80, 0xc000, 0x3f00, 0x0001],
  }
  const SMALLEST = { F16: 2 ** -24, BF16: 2 ** -133 }

  test.each(['F16', 'BF16'] as const)('are widened exactly: %s', async (format) => {
    const file = join(temporaryFolder(), 'weights')
    writeFileSync(file, Buffer.from(Uint16Array.from([0, ...PATTERNS[format]]).buffer))
    const w = weight('w', [2, 2], { file, format, offset: 2, bytes: 8 })
    const rows = gatherRows(w, input('rows', ['R'], 'int64'))
    const session = await Session.create({ w, rows, y: matmul(input('x', ['N', 2]), w, 'b') })
    const {
      w: all,
      rows: chosen,
      y,
    } = await session.run({
      x: floats([1, 2], [1, 2]),
      rows: { dtype: 'int64', shape: [1], data: BigInt64Array.of(1n) },
    })
    expect([...(all?.data ?? [])]).toEqual([1, -2, 0.5, SMALLEST[format]])
    expect([...(chosen?.data ?? [])]).toEqual([0.5, SMALLEST[format]])
    expect([...(y?.data ?? [])]).toEqual([-3, Math.fround(0.5 + 2 * SMALLEST[format])])
    await session.release()
  })

  test.skipIf(process.platform !== 'linux').each(['F16', 'BF16'] as const)(
    'never lie in memory in 32, but for the one in use: %s',
    async (format) => {
      const [layers, size, MIB] = [8, 1536, 2 ** 20]
      const file = join(temporaryFolder(), 'weights')
      writeFileSync(file, Buffer.alloc(layers * size * size * 2))
      const before = anonymousBytes()
      const weights = Array.from({ length: layers }, (_, layer) =>
        weight(`w${layer}`, [size, size], { file, format, offset: layer * size * size * 2, bytes: size * size * 2 }),
      )
      // There and back, as a gradient goes: a weight is used again long after it was used first.
      let x: Node = input('x', ['N', size])
      for (const w of weights) x = matmul(x, w, 'b')
      for (const w of weights.toReversed()) x = matmul(x, w)
      const session = await Session.create({ x })
      await session.run({ x: floats(Array(size).fill(0), [1, size]) })
      // 72 MiB of weights as float32, 9 MiB each.
      expect((anonymousBytes() - before) / MIB).toBeLessThan(36)
      await session.release()
    },
  )

  function anonymousBytes(): number {
    const [, kib] = /^Anonymous:\s+(\d+)/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8')) ?? []
    return Number(kib) * 1024
  }
})
