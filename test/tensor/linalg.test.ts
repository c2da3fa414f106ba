import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  dot,
  estimateCondition,
  factorCholesky,
  type MultiplyInto,
  multiplyRow,
  norm,
  normOfProduct,
  solveColumns,
  solvePositiveDefinite,
  subtract,
  unitRows,
} from '../../src/tensor/linalg.ts'
import { tensor } from '../../src/tensor/tensor.ts'

interface Golden {
  systems: {
    name: string
    size: number
    rows: number[]
    solution: number[]
    diagonal: number[]
    lastColumn: number[]
    condition: number
  }[]
}
const GOLDEN: Golden = JSON.parse(readFileSync(new URL('../golden/linalg.json', import.meta.url), 'utf8'))

type Entry = (i: number, j: number) => number
const make = (size: number, entry: Entry) =>
  Float64Array.from({ length: size * size }, (_, at) => entry(Math.floor(at / size), at % size))
const markov = (size: number, range: number) => make(size, (i, j) => Math.exp(-Math.abs(i - j) / range))
const hilbert = (size: number) => make(size, (i, j) => 1 / (i + j + 1))
/** Q·diag(condition^(−i/(n−1)))·Qᵀ, Q the Householder reflection of (1, …, n). */
function spread(size: number, condition: number): Float64Array {
  const square = Array.from({ length: size }, (_, i) => (i + 1) ** 2).reduce((a, b) => a + b)
  const q: Entry = (i, j) => (i === j ? 1 : 0) - (2 * (i + 1) * (j + 1)) / square
  const scaled = make(size, (i, j) => q(i, j) * condition ** (-j / (size - 1)))
  return make(size, (i, j) => {
    let sum = 0
    for (let p = 0; p < size; p++) sum += (scaled[i * size + p] ?? 0) * q(j, p)
    return sum
  })
}
const MATRICES: Record<string, Float64Array> = {
  'markov-1': markov(1, 5),
  'markov-5': markov(5, 5),
  'markov-128': markov(128, 30),
  'markov-300': markov(300, 50),
  'hilbert-6': hilbert(6),
  'spread-200': spread(200, 1e7),
}
const sines = (size: number) => Float64Array.from({ length: size }, (_, i) => Math.sin(i + 1))

/** Largest difference, measured against the largest expected number. */
function worst(found: readonly number[], expected: readonly number[]): number {
  const scale = Math.max(...expected.map(Math.abs))
  return Math.max(...expected.map((value, i) => Math.abs((found[i] ?? Number.NaN) - value))) / scale
}

describe('against LAPACK', () => {
  test.each(GOLDEN.systems)('$name: factor, solution and condition', async (golden) => {
    const { size, rows } = golden
    const matrix = MATRICES[golden.name] ?? new Float64Array()
    const factor = await factorCholesky(matrix, size)
    // Forward errors grow with the condition number; 10 covers the accumulated rounding of all rows.
    const tolerance = 10 * golden.condition * Number.EPSILON
    const at = (i: number, j: number) => factor.upper[i * size + j] ?? Number.NaN
    expect(
      worst(
        rows.map((i) => at(i, i)),
        golden.diagonal,
      ),
    ).toBeLessThan(tolerance)
    expect(
      worst(
        rows.map((i) => at(i, size - 1)),
        golden.lastColumn,
      ),
    ).toBeLessThan(tolerance)
    const { x, residual } = solvePositiveDefinite(matrix, factor, sines(size))
    expect(
      worst(
        rows.map((i) => x[i] ?? Number.NaN),
        golden.solution,
      ),
    ).toBeLessThan(tolerance)
    expect(residual).toBeLessThan(1e-9)
    // The estimate is a lower bound; ties between columns make LAPACK's own differ from ours in its last step.
    const share = estimateCondition(matrix, factor) / golden.condition
    expect(share).toBeGreaterThan(1 / 3)
    expect(share).toBeLessThan(1 + 1e-6)
  })
})

describe('solving', () => {
  test('by hand: [[4, 2], [2, 5]]·x = (10, 9) and (0, 0)', async () => {
    const matrix = Float64Array.of(4, 2, 2, 5)
    const factor = await factorCholesky(matrix, 2)
    expect([...factor.upper]).toEqual([2, 1, 0, 2])
    const { x, residual } = solvePositiveDefinite(matrix, factor, Float64Array.of(10, 9, 0, 0))
    expect([...x]).toEqual([2, 1, 0, 0])
    expect(residual).toBe(0)
    // ‖A‖₁ = 7, A⁻¹ = [[5, −2], [−2, 4]]/16
    expect(estimateCondition(matrix, factor)).toBeCloseTo((7 * 7) / 16, 12)
  })

  test('a condition number of 1e7 leaves a residual near rounding', async () => {
    const matrix = spread(200, 1e7)
    const { residual } = solvePositiveDefinite(matrix, await factorCholesky(matrix, 200), sines(200))
    expect(residual).toBeLessThan(1e-9)
  })

  test('only the upper triangle is factored', async () => {
    const factor = await factorCholesky(Float64Array.of(4, 2, -77, 5), 2)
    expect([...factor.upper]).toEqual([2, 1, 0, 2])
  })

  test('a given product does the bulk and gives the same factor', async () => {
    const matrix = markov(300, 50)
    let products = 0
    const multiplyInto: MultiplyInto = async (c, a, b, { k, m, n }) => {
      products++
      expect([a.length, b.length, c.length]).toEqual([k * m, k * n, m * n])
      return c.map((value, at) => {
        let sum = 0
        for (let p = 0; p < k; p++) sum += (a[p * m + Math.floor(at / n)] ?? 0) * (b[p * n + (at % n)] ?? 0)
        return value - sum
      })
    }
    const given = await factorCholesky(matrix, 300, multiplyInto)
    expect(products).toBe(5) // three diagonal blocks, two updates
    expect(norm(subtract(given.upper, (await factorCholesky(matrix, 300)).upper))).toBeLessThan(1e-12)
  })

  test('A = G·Gᵀ + I: UᵀU gives A back and x solves A·x = b', async () => {
    const entry = fc.double({ min: -3, max: 3, noNaN: true })
    const system = fc
      .integer({ min: 1, max: 9 })
      .chain((n) =>
        fc.tuple(
          fc.constant(n),
          fc.array(entry, { minLength: n * n, maxLength: n * n }),
          fc.array(entry, { minLength: n, maxLength: n }),
        ),
      )
    await fc.assert(
      fc.asyncProperty(system, async ([n, g, b]) => {
        const row = (i: number) => g.slice(i * n, (i + 1) * n)
        const matrix = make(n, (i, j) => dot(row(i), row(j)) + (i === j ? 1 : 0))
        const factor = await factorCholesky(matrix, n)
        const column = (j: number) => Array.from({ length: n }, (_, i) => factor.upper[i * n + j] ?? 0)
        const back = make(n, (i, j) => dot(column(i), column(j)))
        expect(norm(subtract(back, matrix))).toBeLessThan(1e-12 * norm(matrix))
        expect(solvePositiveDefinite(matrix, factor, Float64Array.from(b)).residual).toBeLessThan(1e-11)
      }),
    )
  })
})

describe('refusals', () => {
  test.each<[string, number[], number, number]>([
    ['a negative pivot', [1, 2, 2, 1], -3, 1],
    ['a singular matrix', [1, 1, 1, 1], 0, 1],
    ['NaN', [Number.NaN, 0, 0, 1], Number.NaN, 0],
    ['infinity', [1, 0, 0, Number.POSITIVE_INFINITY], Number.POSITIVE_INFINITY, 1],
  ])('%s is not positive definite', async (_what, matrix, pivot, row) => {
    await expect(factorCholesky(Float64Array.from(matrix), 2)).rejects.toThrow(
      expect.objectContaining({ code: 'E_NOT_POSITIVE_DEFINITE', values: { pivot, row } }),
    )
  })

  test('the failing row is counted in the whole matrix, also in a later block', async () => {
    const matrix = make(200, (i, j) => (i === j ? (i === 170 ? -1 : 2) : 0))
    await expect(factorCholesky(matrix, 200)).rejects.toThrow(
      expect.objectContaining({ values: { pivot: -1, row: 170 } }),
    )
  })

  test('sizes that do not fit', async () => {
    await expect(factorCholesky(new Float64Array(5), 2)).rejects.toThrow(expect.objectContaining({ code: 'E_SHAPE' }))
    const matrix = Float64Array.of(1, 0, 0, 1)
    const factor = await factorCholesky(matrix, 2)
    expect(() => solvePositiveDefinite(matrix, factor, new Float64Array(3))).toThrow(
      expect.objectContaining({ code: 'E_SHAPE' }),
    )
    expect(() => multiplyRow([1, 2, 3], tensor(new Float32Array(4), [2, 2]))).toThrow(
      expect.objectContaining({ code: 'E_SHAPE' }),
    )
  })
})

describe('products and norms', () => {
  const left = tensor(Float32Array.of(1, 0, 2, 1, 0, 3), [3, 2])
  const right = tensor(Float32Array.of(1, 2, 0, -1), [2, 2])

  test('unitRows: each row has length one, zeros stay, the matrix is left alone', () => {
    const matrix = tensor(Float32Array.of(3, 4, 0, 0, -2, 0), [3, 2])
    expect(unitRows(matrix)).toEqual(tensor(Float32Array.of(0.6, 0.8, 0, 0, -1, 0), [3, 2]))
    expect(matrix.data[0]).toBe(3)
  })

  test('multiplyRow: (1, 2, 3)·left', () => {
    expect([...multiplyRow([1, 2, 3], left)]).toEqual([5, 11])
  })

  test('normOfProduct is the norm of the product', () => {
    const product = [0, 1, 2].flatMap((i) => [...multiplyRow(left.data.subarray(i * 2, i * 2 + 2), right)])
    expect(product).toEqual([1, 2, 2, 3, 0, -3])
    expect(normOfProduct(left, right)).toBeCloseTo(Math.sqrt(27), 12)
  })

  test('normOfProduct of factors that cancel is zero, not NaN', () => {
    const cancelling = tensor(Float32Array.of(0.1, 0.1, 0.3, 0.3), [2, 2])
    expect(normOfProduct(cancelling, tensor(Float32Array.of(0.7, 0.9, -0.7, -0.9), [2, 2]))).toBe(0)
  })
})

test.each(['markov-1', 'markov-5', 'markov-128', 'markov-300', 'spread-200'])(
  'many right-hand sides together get what each gets alone: %s',
  async (name) => {
    const matrix = MATRICES[name] ?? new Float64Array()
    const n = Math.sqrt(matrix.length)
    const factor = await factorCholesky(matrix, n)
    const [one, two] = [sines(n), new Float64Array(n)]
    two[n - 1] = 1
    const columns = Float64Array.from({ length: 2 * n }, (_, i) => [one, two][i % 2]?.[Math.floor(i / 2)] ?? 0)
    const { x, residual } = await solveColumns(matrix, factor, columns)
    const alone = [one, two].map((right) => Array.from(solvePositiveDefinite(matrix, factor, right).x))
    alone.forEach((expected, j) => {
      const column = Array.from(expected, (_, i) => x[2 * i + j] ?? Number.NaN)
      expect(worst(column, expected)).toBeLessThan(1e-8) // a condition of 10⁷ leaves that of float64
    })
    expect(residual).toBeLessThan(1e-9)
  },
)

test('right-hand sides of another height are refused', async () => {
  const factor = await factorCholesky(markov(5, 5), 5)
  await expect(solveColumns(markov(5, 5), factor, new Float64Array(7))).rejects.toMatchObject({ code: 'E_SHAPE' })
})
