/**
 * A small network that starts as the identity and learns to change rows of numbers: two residual layers of low rank. One network
 * serves several kinds of rows (modes), each with a scale and a shift of its own.
 *
 *   x ← x + max(0, (U (V x) + b) ⊙ s_m + t_m),   twice
 *
 * V [r, n] normal and U [n, r] zero at the start, b and t zero, s one: max(0, ·) is 0 there, and counts as rising, or nothing would
 * ever be learned. Reference code: eric-mitchell/mend `nn.py` (`IDMLP`, `LRLinear` with `init: id`), matched, the clamp after the
 * last layer too.
 */
import { WhicheditError } from '../../errors.ts'
import { gradient } from '../../graph/gradient.ts'
import { input, type Node, scalarLike } from '../../graph/graph.ts'
import { add, multiply } from '../../graph/ops/elementwise.ts'
import { matmul } from '../../graph/ops/matmul.ts'
import { gatherRows } from '../../graph/ops/rows.ts'
import { lessOrEqual, where } from '../../graph/ops/select.ts'
import { type AnyTensor, Session } from '../../graph/session.ts'
import type { Random } from '../../tensor/random.ts'
import { joinRows, sizeOf, tensor } from '../../tensor/tensor.ts'

/** The size of a network. */
export interface NetworkShape {
  /** n */
  readonly width: number
  /** r; no more than n. */
  readonly rank: number
  readonly modes: number
}

/** The arrays of a network, by name. */
export type NetworkArrays = Readonly<Record<string, Float32Array>>

/** Rows of numbers of one mode. */
export interface NetworkRows {
  readonly mode: number
  /** [·, n] */
  readonly rows: Float32Array
}

/** A network that can be run; owns native memory until it is closed. */
export interface OpenNetwork {
  /** What the network makes of rows, as many of each. */
  transform(arrays: NetworkArrays, asked: readonly NetworkRows[]): Promise<Float32Array[]>
  /** Gradients for its arrays, given those for what it made. */
  differentiate(
    arrays: NetworkArrays,
    asked: readonly NetworkRows[],
    slopes: readonly Float32Array[],
  ): Promise<Record<string, Float32Array>>
  close(): Promise<void>
}

/** `n_hidden: 1`, and the layer after it. */
const LAYERS = 2

/** How many numbers a network has. */
export function countNumbers(shape: NetworkShape): number {
  return Object.values(shapesOf(shape)).reduce((sum, dims) => sum + sizeOf(dims), 0)
}

/** A network as it starts: the identity. */
export function startNetwork(shape: NetworkShape, random: Random): Record<string, Float32Array> {
  return Object.fromEntries(
    Object.entries(shapesOf(shape)).map(([name, dims]) => {
      const start = name.startsWith('down') ? () => random.normal() : () => (name.startsWith('scale') ? 1 : 0)
      return [name, Float32Array.from({ length: sizeOf(dims) }, start)]
    }),
  )
}

/** Opens a network of a size. */
export async function openNetwork(shape: NetworkShape): Promise<OpenNetwork> {
  const { width } = shape
  const dims = shapesOf(shape)
  const names = Object.keys(dims)
  const arrays = Object.fromEntries(Object.entries(dims).map(([name, size]) => [name, input(name, size)]))
  const made = buildNetwork(arrays, width)
  const found = gradient(made, Object.values(arrays), input('slopes', ['R', width]))
  const forward = await Session.create({ made })
  const gradients = Object.fromEntries(names.flatMap((name, i) => (found[i] === undefined ? [] : [[name, found[i]]])))
  // An edit needs none.
  let backward: Session | null = null
  const join = (parts: readonly Float32Array[]) =>
    joinRows(
      parts.map((part) => tensor(part, [part.length / width, width])),
      width,
    )
  const feed = (values: NetworkArrays, asked: readonly NetworkRows[]): Record<string, AnyTensor> => {
    const modes = asked.flatMap(({ mode, rows }) => Array.from({ length: rows.length / width }, () => BigInt(mode)))
    return {
      ...Object.fromEntries(names.map((name) => [name, tensor(values[name] ?? new Float32Array(), dims[name] ?? [])])),
      rows: join(asked.map(({ rows }) => rows)),
      modes: { dtype: 'int64', shape: [modes.length], data: BigInt64Array.from(modes) },
    }
  }
  return {
    async transform(values, asked) {
      if (asked.every(({ rows }) => rows.length === 0)) return asked.map(({ rows }) => rows)
      const results = await forward.run(feed(values, asked))
      const all = floatsOf(results.made)
      let at = 0
      return asked.map(({ rows }) => {
        at += rows.length
        return all.slice(at - rows.length, at)
      })
    },
    async differentiate(values, asked, slopes) {
      if (asked.every(({ rows }) => rows.length === 0)) {
        return Object.fromEntries(names.map((name) => [name, new Float32Array(sizeOf(dims[name] ?? []))]))
      }
      backward ??= await Session.create(gradients)
      const results = await backward.run({ ...feed(values, asked), slopes: join(slopes) })
      return Object.fromEntries(names.map((name) => [name, floatsOf(results[name])]))
    },
    async close() {
      await forward.release()
      await backward?.release()
    },
  }
}

function floatsOf(value: AnyTensor | undefined): Float32Array {
  if (value?.dtype !== 'float32') throw new WhicheditError('E_INTERNAL', { what: 'a network gave no float32 numbers' })
  return value.data
}

function shapesOf({ width: n, rank: r, modes }: NetworkShape): Record<string, readonly number[]> {
  return Object.fromEntries(
    Array.from({ length: LAYERS }, (_, layer): [string, readonly number[]][] => [
      [`up ${layer}`, [n, r]],
      [`down ${layer}`, [r, n]],
      [`bias ${layer}`, [n]],
      [`scale ${layer}`, [modes, n]],
      [`shift ${layer}`, [modes, n]],
    ]).flat(),
  )
}

function buildNetwork(arrays: Readonly<Record<string, Node>>, width: number): Node {
  const modes = input('modes', ['R'], 'int64')
  let x = input('rows', ['R', width])
  for (let layer = 0; layer < LAYERS; layer++) {
    const find = (kind: string): Node => {
      const node = arrays[`${kind} ${layer}`]
      if (node === undefined) throw new WhicheditError('E_INTERNAL', { what: `a network without ${kind} ${layer}` })
      return node
    }
    const pre = add(matmul(matmul(x, find('down'), 'b'), find('up'), 'b'), find('bias')) // [R, n]
    const moved = add(multiply(pre, gatherRows(find('scale'), modes)), gatherRows(find('shift'), modes))
    const zero = scalarLike(moved, 0)
    // Not `relu`, which counts as level at 0.
    x = add(x, where(lessOrEqual(zero, moved), moved, zero))
  }
  return x
}
