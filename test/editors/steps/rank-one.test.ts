import fc from 'fast-check'
import { expect, test } from 'vitest'
import { solveRankOne } from '../../../src/editors/steps/rank-one.ts'
import { dot, norm, subtract } from '../../../src/tensor/linalg.ts'

test('by hand: k = (1, 2), u = (3, 4)/5, from (1, 1) to (12, −21)', () => {
  const { part, divisor } = solveRankOne({
    weight: 'w',
    direction: Float64Array.of(3, 4),
    key: [1, 2],
    value: [1, 1],
    target: [12, -21],
  })
  expect(divisor).toBeCloseTo(2.2, 6)
  expect(part).toMatchObject({ kind: 'low-rank', weight: 'w', left: { shape: [2, 1] }, right: { shape: [1, 2] } })
  expect(part.left.data).toEqual(Float32Array.of(0.6, 0.8))
  expect(part.right.data[0]).toBeCloseTo(5, 5)
  expect(part.right.data[1]).toBeCloseTo(-10, 5)
})

const number = fc.double({ min: -4, max: 4, noNaN: true })
const vector = (length: number) => fc.array(number, { minLength: length, maxLength: length })

test('the key gets the target, and what is at a right angle to the direction stays', () => {
  fc.assert(
    fc.property(vector(5), vector(5), vector(3), vector(3), (u, k, value, target) => {
      fc.pre(Math.abs(dot(u, k)) > 0.1 * norm(u) * norm(k) && norm(u) > 0.1 && norm(k) > 0.1)
      const job = { weight: 'w', direction: Float64Array.from(u), key: k, value, target }
      const { left, right } = solveRankOne(job).part
      const moved = value.map((x, i) => x + dot(left.data, k) * (right.data[i] ?? 0))
      expect(norm(subtract(moved, target))).toBeLessThan(1e-4)
      // x − (x·u)u for any x: here for k itself.
      const aside = k.map((x, i) => x - dot(left.data, k) * (left.data[i] ?? 0))
      expect(Math.abs(dot(left.data, aside))).toBeLessThan(1e-5)
    }),
  )
})
