import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Covariance, factorGram } from '../../../src/editors/steps/covariance.ts'
import {
  type LeastSquaresChange,
  plainMetric,
  solveLeastSquares,
  textMetric,
} from '../../../src/editors/steps/least-squares.ts'
import { dot, norm } from '../../../src/tensor/linalg.ts'
import { expectClose } from '../../support/close.ts'

/** Factors are rounded to float32, and their product is summed over a few facts. */
const F32_FACTORS = { relative: 1e-5 }

/** C from rows of text keys. */
function covarianceOf(rows: readonly number[][], ridge = 0): Promise<Covariance> {
  const size = rows[0]?.length ?? 0
  const sum = Float64Array.from({ length: size * size }, (_, at) =>
    rows.reduce((total, row) => total + (row[Math.floor(at / size)] ?? 0) * (row[at % size] ?? 0), 0),
  )
  return factorGram({ size, sum, tokens: rows.length }, ridge)
}

/** k·ΔW for a key [F]. */
function moved({ part }: LeastSquaresChange, key: readonly number[]): number[] {
  if (part.kind === 'dense') {
    const [, width = 0] = part.delta.shape
    return Array.from({ length: width }, (_, j) =>
      key.reduce((sum, x, i) => sum + x * (part.delta.data[i * width + j] ?? 0), 0),
    )
  }
  const [, count = 0] = part.left.shape
  const [, width = 0] = part.right.shape
  const shares = Array.from({ length: count }, (_, n) =>
    dot(
      key,
      key.map((_, i) => part.left.data[i * count + n] ?? 0),
    ),
  )
  return Array.from({ length: width }, (_, j) =>
    shares.reduce((sum, share, n) => sum + share * (part.right.data[n * width + j] ?? 0), 0),
  )
}

test('by hand: C = diag(1, 4), k = (1, 2), λ = 2: half of r = (6, 8) is written, in the direction C⁻¹k = (1, ½)', async () => {
  const covariance = await covarianceOf([
    [Math.SQRT2, 0],
    [0, Math.sqrt(8)],
  ])
  const job = {
    weight: 'w',
    metric: textMetric(covariance),
    keys: Float64Array.of(1, 2),
    residuals: Float64Array.of(6, 8),
    lambda: 2,
  }
  const change = await solveLeastSquares(job)
  // s = kᵀC⁻¹k = 2, so s/(λ + s) = ½ and ΔW = (1, ½)ᵀ·(1.5, 2). One fact of 2 numbers is no smaller than the matrix.
  expect(change.part).toMatchObject({ kind: 'dense', weight: 'w', delta: { shape: [2, 2] } })
  expectClose(moved(change, [1, 2]), [3, 4], F32_FACTORS)
  expect(change.size).toBeCloseTo(Math.hypot(1, 0.5) * 2.5, 5)
  expect(change.keyOverlap).toBe(0)
})

const F = 7
const D = 6
const rows = (count: number, width: number) =>
  fc.array(fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: width, maxLength: width }), {
    minLength: count,
    maxLength: count,
  })
const TEXT = Array.from({ length: 40 }, (_, i) => Array.from({ length: F }, (_, j) => Math.sin(3.7 * i * (j + 1) + j)))

test('solves what the paper states: ΔW (λC + KKᵀ) = R Kᵀ, whatever the number of facts', async () => {
  const covariance = await covarianceOf(TEXT)
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 12 }).chain((n) => fc.tuple(rows(n, F), rows(n, D))),
      async ([keys, residuals]) => {
        const lambda = 0.7
        const change = await solveLeastSquares({
          weight: 'w',
          metric: textMetric(covariance),
          keys: Float64Array.from(keys.flat()),
          residuals: Float64Array.from(residuals.flat()),
          lambda,
        })
        for (let i = 0; i < F; i++) {
          const column = Array.from(
            { length: F },
            (_, j) =>
              lambda * (covariance.matrix[i * F + j] ?? 0) +
              keys.reduce((sum, k) => sum + (k[i] ?? 0) * (k[j] ?? 0), 0),
          )
          const expected = Array.from({ length: D }, (_, j) =>
            keys.reduce((sum, k, n) => sum + (k[i] ?? 0) * (residuals[n]?.[j] ?? 0), 0),
          )
          expectClose(moved(change, column), expected, { absolute: 1e-3 })
        }
        expect(change.part.kind).toBe(keys.length <= 3 ? 'low-rank' : 'dense')
      },
    ),
    { numRuns: 30 },
  )
})

test('without λ every key gets all it lacks', async () => {
  const covariance = await covarianceOf(TEXT)
  const keys = TEXT.slice(0, 3).map((row) => row.map((x) => 2 * x))
  const residuals = keys.map((_, n) => Array.from({ length: D }, (_, j) => n - j))
  const job = { keys: Float64Array.from(keys.flat()), residuals: Float64Array.from(residuals.flat()) }
  const change = await solveLeastSquares({ weight: 'w', metric: textMetric(covariance), ...job, lambda: 0 })
  for (const [n, key] of keys.entries()) {
    expectClose(moved(change, key), residuals[n] ?? [], F32_FACTORS)
  }
})

test('one key twice: each gets what lies between, with λ; without, the system has no solution', async () => {
  const covariance = await covarianceOf(TEXT)
  const [key = []] = TEXT
  const job = {
    weight: 'w',
    metric: textMetric(covariance),
    keys: Float64Array.from([...key, ...key]),
    residuals: Float64Array.from([...Array(D).fill(1), ...Array(D).fill(3)]),
  }
  const change = await solveLeastSquares({ ...job, lambda: 1e-9 })
  expectClose(moved(change, key), Array(D).fill(2), F32_FACTORS)
  expect(change.keyOverlap).toBeCloseTo(1, 9)
  await expect(solveLeastSquares({ ...job, lambda: -1e-9 })).rejects.toMatchObject({ code: 'E_NOT_POSITIVE_DEFINITE' })
})

test('keys that are to be kept are keys that lack nothing, and take no room in the change', async () => {
  const keys = TEXT.slice(0, 2)
  const kept = TEXT.slice(5, 8)
  const residuals = keys.map((_, n) => Array.from({ length: D }, (_, j) => n - j))
  const job = { weight: 'w', metric: plainMetric(F), lambda: 0.3 }
  const change = await solveLeastSquares({
    ...job,
    keys: Float64Array.from(keys.flat()),
    kept: Float64Array.from(kept.flat()),
    residuals: Float64Array.from(residuals.flat()),
  })
  const asLacking = await solveLeastSquares({
    ...job,
    keys: Float64Array.from([...keys, ...kept].flat()),
    residuals: Float64Array.from([...residuals.flat(), ...Array(3 * D).fill(0)]),
  })
  expect(change.part).toMatchObject({ kind: 'low-rank', left: { shape: [F, 2] }, right: { shape: [2, D] } })
  for (const key of [...keys, ...kept]) expectClose(moved(change, key), moved(asLacking, key), F32_FACTORS)
  const forgetful = await solveLeastSquares({
    ...job,
    keys: Float64Array.from(keys.flat()),
    residuals: Float64Array.from(residuals.flat()),
  })
  const movesKept = (of: LeastSquaresChange) => norm(kept.flatMap((key) => moved(of, key)))
  expect(movesKept(change)).toBeLessThan(movesKept(forgetful))
})

test('a kept key that is a new one again is reported', async () => {
  const [key = [], other = []] = TEXT
  const job = {
    weight: 'w',
    metric: plainMetric(F),
    keys: Float64Array.from(key),
    residuals: new Float64Array(D).fill(1),
  }
  const again = await solveLeastSquares({ ...job, kept: Float64Array.from([...other, ...key]), lambda: 1 })
  expect(again.keyOverlap).toBeCloseTo(1, 12)
})
