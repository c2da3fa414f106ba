import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decomposeSymmetric, type Eigen } from '../../src/tensor/eigen.ts'
import { norm } from '../../src/tensor/linalg.ts'

/** Of the matrix's own size: n rounding errors of float64, with room. */
const F64_ORTHOGONAL = 1e-12

/** The largest entry of V Vᵀ − I, and of VᵀΛV − A against ‖A‖. */
function errorsOf(matrix: Float64Array, { values, vectors }: Eigen) {
  const size = values.length
  const of = (entry: (k: number, i: number, j: number) => number, expected: (i: number, j: number) => number) => {
    let worst = 0
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) {
        let sum = 0
        for (let k = 0; k < size; k++) sum += entry(k, i, j)
        worst = Math.max(worst, Math.abs(sum - expected(i, j)))
      }
    }
    return worst
  }
  const at = (row: number, column: number) => vectors[row * size + column] ?? 0
  return {
    orthogonal: of(
      (k, i, j) => at(i, k) * at(j, k),
      (i, j) => (i === j ? 1 : 0),
    ),
    rebuilt:
      of(
        (k, i, j) => at(k, i) * (values[k] ?? 0) * at(k, j),
        (i, j) => matrix[i * size + j] ?? 0,
      ) / (norm(matrix) || 1),
  }
}

function symmetric(size: number, entry: (i: number, j: number) => number): Float64Array {
  return Float64Array.from({ length: size * size }, (_, at) => {
    const [i, j] = [Math.floor(at / size), at % size]
    return entry(Math.max(i, j), Math.min(i, j))
  })
}

test('by hand: [[2, 1], [1, 2]] has 1 along (1, −1) and 3 along (1, 1)', async () => {
  const { values, vectors } = await decomposeSymmetric(Float64Array.of(2, 1, 1, 2), 2)
  expect(values[0]).toBeCloseTo(1, 14)
  expect(values[1]).toBeCloseTo(3, 14)
  expect((vectors[0] ?? 0) * (vectors[1] ?? 0)).toBeCloseTo(-0.5, 14)
  expect((vectors[2] ?? 0) * (vectors[3] ?? 0)).toBeCloseTo(0.5, 14)
})

test('the second difference has the eigenvalues 2 − 2cos(πk/(n+1))', async () => {
  const size = 60
  const matrix = symmetric(size, (i, j) => (i === j ? 2 : i - j === 1 ? -1 : 0))
  const { values } = await decomposeSymmetric(matrix, size)
  const expected = Array.from({ length: size }, (_, k) => 2 - 2 * Math.cos((Math.PI * (k + 1)) / (size + 1)))
  expect(Math.max(...expected.map((value, k) => Math.abs(value - (values[k] ?? 0))))).toBeLessThan(F64_ORTHOGONAL)
})

test('any symmetric matrix is put together again, by vectors of length 1 at right angles', async () => {
  const entries = fc.integer({ min: 1, max: 14 }).chain((size) =>
    fc.tuple(
      fc.constant(size),
      fc.array(fc.oneof(fc.constant(0), fc.double({ min: -1e3, max: 1e3, noNaN: true })), {
        minLength: size * size,
        maxLength: size * size,
      }),
    ),
  )
  await fc.assert(
    fc.asyncProperty(entries, async ([size, numbers]) => {
      const matrix = symmetric(size, (i, j) => numbers[i * size + j] ?? 0)
      const eigen = await decomposeSymmetric(matrix, size)
      const { orthogonal, rebuilt } = errorsOf(matrix, eigen)
      expect(orthogonal).toBeLessThan(F64_ORTHOGONAL)
      expect(rebuilt).toBeLessThan(F64_ORTHOGONAL)
      expect([...eigen.values]).toEqual([...eigen.values].sort((a, b) => a - b))
    }),
  )
})

describe('what a covariance of little text is like', () => {
  /** Sums of `rank` outer products whose sizes fall by half. */
  const size = 80
  const lowRank = (rank: number) =>
    symmetric(size, (i, j) => {
      let sum = 0
      for (let r = 0; r < rank; r++) sum += 0.5 ** r * Math.sin(3.1 * i * (r + 1) + r) * Math.sin(3.1 * j * (r + 1) + r)
      return sum
    })

  test('of too low a rank: the rest of the values are 0, and their vectors span what is left', async () => {
    const matrix = lowRank(20)
    const eigen = await decomposeSymmetric(matrix, size)
    const { orthogonal, rebuilt } = errorsOf(matrix, eigen)
    expect(orthogonal).toBeLessThan(F64_ORTHOGONAL)
    expect(rebuilt).toBeLessThan(F64_ORTHOGONAL)
    expect(eigen.values.filter((value) => Math.abs(value) < 1e-12 * norm(matrix))).toHaveLength(60)
  })

  test('only its lower triangle is read, and it is left as it is', async () => {
    const matrix = lowRank(5)
    const before = Float64Array.from(matrix)
    const whole = await decomposeSymmetric(matrix, size)
    expect(matrix).toEqual(before)
    for (let i = 0; i < size; i++) matrix.fill(Number.NaN, i * size + i + 1, (i + 1) * size)
    expect(await decomposeSymmetric(matrix, size)).toEqual(whole)
  })

  test('stops when told to', async () => {
    const reason = new Error('stopped')
    await expect(
      decomposeSymmetric(
        symmetric(120, (i, j) => 1 / (i + j + 1)),
        120,
        AbortSignal.abort(reason),
      ),
    ).rejects.toBe(reason)
  })
})

test('a matrix of another size is refused, and so are numbers that are none', async () => {
  await expect(decomposeSymmetric(new Float64Array(8), 3)).rejects.toMatchObject({ code: 'E_SHAPE' })
  const broken = symmetric(4, (i, j) => (i === 3 && j === 1 ? Number.NaN : i + j))
  await expect(decomposeSymmetric(broken, 4)).rejects.toMatchObject({ code: 'E_INTERNAL' })
})
