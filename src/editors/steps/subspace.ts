/**
 * A random subspace of a matrix: some of its entries, the only ones that are trained. Work is by entries, so that a fifth of
 * them costs a fifth.
 */
import type { Random } from '../../tensor/random.ts'
import { type Tensor, tensor, zeros } from '../../tensor/tensor.ts'

/** Entries of a matrix [rows, columns], row by row. */
export interface Subspace {
  readonly shape: readonly [number, number]
  /** Where the entries of each row begin among all; one more, where they end. */
  readonly starts: Int32Array
  /** The column of each entry [m] */
  readonly columns: Int32Array
}

/** Rows that are worked on at once: what is read of an entry serves all. */
const AT_ONCE = 4
/** Bits of a mask in one number: what float32 holds exactly, and a power of two. */
const PACKED_BITS = 16

/** Draws each entry with a chance, in row-major order. */
export function drawSubspace([rows, columns]: readonly [number, number], chance: number, random: Random): Subspace {
  return collect([rows, columns], () => random.uniform() < chance)
}

/** A subspace as a patch carries it: the bits of its mask [·]. */
export function packSubspace({ shape: [rows, columns], starts, columns: at }: Subspace): Tensor {
  const packed = new Float32Array(Math.ceil((rows * columns) / PACKED_BITS))
  for (let row = 0; row < rows; row++) {
    for (let entry = starts[row] ?? 0; entry < (starts[row + 1] ?? 0); entry++) {
      const place = row * columns + (at[entry] ?? 0)
      const word = Math.floor(place / PACKED_BITS)
      packed[word] = (packed[word] ?? 0) + 2 ** (place % PACKED_BITS)
    }
  }
  return tensor(packed, [packed.length])
}

/** And back. */
export function unpackSubspace(packed: Tensor, shape: readonly [number, number]): Subspace {
  let place = 0
  return collect(shape, () => {
    const word = packed.data[Math.floor(place / PACKED_BITS)] ?? 0
    return ((word >> (place++ % PACKED_BITS)) & 1) === 1
  })
}

function collect([rows, columns]: readonly [number, number], has: () => boolean): Subspace {
  const starts = new Int32Array(rows + 1)
  const found: number[] = []
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) if (has()) found.push(column)
    starts[row + 1] = found.length
  }
  return { shape: [rows, columns], starts, columns: Int32Array.from(found) }
}

/** The entries of a matrix [m]. */
export function takeEntries({ data }: Tensor, { shape: [rows, columns], starts, columns: at }: Subspace): Float32Array {
  const values = new Float32Array(at.length)
  for (let row = 0; row < rows; row++) {
    for (let entry = starts[row] ?? 0; entry < (starts[row + 1] ?? 0); entry++) {
      values[entry] = data[row * columns + (at[entry] ?? 0)] ?? 0
    }
  }
  return values
}

/** The matrix with these entries [m] and zeros elsewhere. */
export function spreadEntries(values: Float32Array, { shape, starts, columns: at }: Subspace): Tensor {
  const [rows, columns] = shape
  const matrix = zeros(shape)
  for (let row = 0; row < rows; row++) {
    for (let entry = starts[row] ?? 0; entry < (starts[row + 1] ?? 0); entry++) {
      matrix.data[row * columns + (at[entry] ?? 0)] = values[entry] ?? 0
    }
  }
  return matrix
}

/** x·Δ for rows of x [T, rows] and the matrix Δ of these entries: [T, columns]. */
export function multiplyEntries(x: Tensor, values: Float32Array, subspace: Subspace): Tensor {
  const { shape, starts, columns: at } = subspace
  const [rows, columns] = shape
  const count = x.shape[0] ?? 0
  const product = new Float32Array(count * columns)
  for (let first = 0; first < count; first += AT_ONCE) {
    const lanes = laneRows(first, count)
    const [a, b, c, d] = lanes.map((row) => row * rows)
    // Beyond the last row, lanes write into rows of their own that nobody reads.
    const sums = Array.from({ length: AT_ONCE }, () => new Float32Array(columns))
    const [p = product, q = product, r = product, s = product] = sums
    for (let row = 0; row < rows; row++) {
      const xa = x.data[(a ?? 0) + row] ?? 0
      const xb = x.data[(b ?? 0) + row] ?? 0
      const xc = x.data[(c ?? 0) + row] ?? 0
      const xd = x.data[(d ?? 0) + row] ?? 0
      const end = starts[row + 1] ?? 0
      for (let entry = starts[row] ?? 0; entry < end; entry++) {
        const value = values[entry] ?? 0
        const to = at[entry] ?? 0
        p[to] = (p[to] ?? 0) + xa * value
        q[to] = (q[to] ?? 0) + xb * value
        r[to] = (r[to] ?? 0) + xc * value
        s[to] = (s[to] ?? 0) + xd * value
      }
    }
    for (let lane = 0; lane < AT_ONCE && first + lane < count; lane++) {
      product.set(sums[lane] ?? [], (first + lane) * columns)
    }
  }
  return tensor(product, [count, columns])
}

/** The entries of xᵀ·g for x [T, rows] and g [T, columns]: what a loss with the slopes g for x·Δ says of Δ [m]. */
export function pullBack(x: Tensor, g: Tensor, subspace: Subspace): Float32Array {
  const { shape, starts, columns: at } = subspace
  const [rows, columns] = shape
  const count = x.shape[0] ?? 0
  const slopes = new Float32Array(at.length)
  for (let first = 0; first < count; first += AT_ONCE) {
    const lanes = laneRows(first, count)
    const [a, b, c, d] = lanes
    const [p, q, r, s] = lanes.map((row) => g.data.subarray(row * columns, (row + 1) * columns))
    if (p === undefined || q === undefined || r === undefined || s === undefined) break
    const isFull = (lane: number) => (first + lane < count ? 1 : 0)
    const [one, two, three] = [isFull(1), isFull(2), isFull(3)]
    for (let row = 0; row < rows; row++) {
      const xa = x.data[(a ?? 0) * rows + row] ?? 0
      const xb = one * (x.data[(b ?? 0) * rows + row] ?? 0)
      const xc = two * (x.data[(c ?? 0) * rows + row] ?? 0)
      const xd = three * (x.data[(d ?? 0) * rows + row] ?? 0)
      const end = starts[row + 1] ?? 0
      for (let entry = starts[row] ?? 0; entry < end; entry++) {
        const from = at[entry] ?? 0
        slopes[entry] =
          (slopes[entry] ?? 0) + xa * (p[from] ?? 0) + xb * (q[from] ?? 0) + xc * (r[from] ?? 0) + xd * (s[from] ?? 0)
      }
    }
  }
  return slopes
}

/** The rows worked on at once; after the last one, that again. */
function laneRows(first: number, count: number): number[] {
  return Array.from({ length: AT_ONCE }, (_, lane) => Math.min(first + lane, count - 1))
}
