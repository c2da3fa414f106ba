import { describe, expect, test } from 'vitest'
import { plainMetric, solveLeastSquares } from '../../../src/editors/steps/least-squares.ts'
import { type RidgeChange, solveRidge } from '../../../src/editors/steps/ridge.ts'
import { addProduct } from '../../../src/models/edits.ts'
import type { DensePart, LowRankPart } from '../../../src/models/patch.ts'
import { norm, subtract } from '../../../src/tensor/linalg.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { zeros } from '../../../src/tensor/tensor.ts'
import { expectClose, relativeError } from '../../support/close.ts'

/** Patches are float32. */
const F32 = 1e-6
const [F, D] = [6, 4]

function draw(name: string, length: number): Float64Array {
  const random = createRandom(name)
  return Float64Array.from({ length }, () => random.normal())
}

function solve(count: number, ridge = 1, shifts = draw('shifts', count * D)): Promise<RidgeChange> {
  return solveRidge({ weight: 'w', inputs: draw('inputs', count * F), shifts, count, ridge })
}

/** ΔW [F, D] */
function wholeOf(part: LowRankPart | DensePart): Float32Array {
  return part.kind === 'dense' ? part.delta.data : addProduct(zeros([F, D]), part).data
}

test('by hand: the input 2 is to move by 5, of which 4 are worth it', async () => {
  const change = await solveRidge({
    weight: 'w',
    inputs: Float64Array.of(2),
    shifts: Float64Array.of(5),
    count: 1,
    ridge: 1,
  })
  expect(change.part).toMatchObject({ kind: 'dense', weight: 'w', delta: { shape: [1, 1] } })
  expectClose(change.part.kind === 'dense' ? change.part.delta.data : [], [2], { relative: F32 })
  expect(change.missing).toBeCloseTo(1 / 5, 12)
})

describe.each([
  { count: 1, kind: 'low-rank' },
  { count: 5, kind: 'dense' },
  { count: 6, kind: 'dense' },
  { count: 7, kind: 'dense' },
  { count: 40, kind: 'dense' },
])('$count tokens of 6 inputs', ({ count, kind }) => {
  test(`the smaller system gives the change of the larger, ${kind}`, async () => {
    const { part, solveResidual } = await solve(count)
    const [keys, residuals] = [draw('inputs', count * F), draw('shifts', count * D)]
    // Always the system of tokens.
    const other = await solveLeastSquares({ weight: 'w', metric: plainMetric(F), keys, residuals, lambda: 1 })
    expect(part.kind).toBe(kind)
    expect(relativeError(wholeOf(part), wholeOf(other.part))).toBeLessThan(F32)
    expect(solveResidual).toBeLessThan(1e-12)
  })

  test('says what of the amounts is missing', async () => {
    const { part, missing } = await solve(count, 0.5)
    const [inputs, shifts, delta] = [draw('inputs', count * F), draw('shifts', count * D), wholeOf(part)]
    const moved = shifts.map((_, at) => {
      const [n, d] = [Math.floor(at / D), at % D]
      return Array.from({ length: F }, (_, f) => (inputs[n * F + f] ?? 0) * (delta[f * D + d] ?? 0)).reduce(
        (a, b) => a + b,
      )
    })
    expect(missing).toBeCloseTo(norm(subtract(moved, shifts)) / norm(shifts), 5)
  })
})

test('where nothing is to move nothing is missing', async () => {
  for (const count of [2, 9]) {
    const { part, missing } = await solve(count, 1, new Float64Array(count * D))
    expect(missing).toBe(0)
    expect(norm(wholeOf(part))).toBe(0)
  }
})
