/** Comparing arrays of numbers within a tolerance, naming the worst element. */
import { expect } from 'vitest'

/** How far a number may lie from the expected one: `absolute + relative · scale`. */
export interface Tolerance {
  readonly absolute?: number
  /** Of the largest expected magnitude: rounding errors of a sum are those of its largest terms. */
  readonly relative?: number
}

type Numbers = ArrayLike<number | bigint | boolean>

/** Fails, with the worst element, unless every number lies within the tolerance. NaN is never close. */
export function expectClose(actual: Numbers | undefined, expected: Numbers, tolerance: Tolerance, what = ''): void {
  const { worst, error, scale } = compare(actual ?? [], expected)
  const allowed = (tolerance.absolute ?? 0) + (tolerance.relative ?? 0) * scale
  const found = `${what} length ${actual?.length}, [${worst}] is ${actual?.[worst]}, expected ${expected[worst]}`
  expect(actual?.length, `${what} length`).toBe(expected.length)
  expect(error <= allowed, `${found}: off by ${error}, allowed ${allowed}`).toBe(true)
}

/** ‖actual − expected‖ / ‖expected‖, Euclidean. */
export function relativeError(actual: Numbers, expected: Numbers): number {
  let difference = 0
  let size = 0
  for (let i = 0; i < expected.length; i++) {
    difference += (Number(actual[i]) - Number(expected[i])) ** 2
    size += Number(expected[i]) ** 2
  }
  return Math.sqrt(difference / size)
}

function compare(actual: Numbers, expected: Numbers): { worst: number; error: number; scale: number } {
  let worst = 0
  let error = 0
  let scale = 0
  for (let i = 0; i < expected.length; i++) {
    scale = Math.max(scale, Math.abs(Number(expected[i])))
    const here = Math.abs(Number(actual[i]) - Number(expected[i]))
    if (here > error || Number.isNaN(here)) {
      worst = i
      error = Number.isNaN(here) ? Number.POSITIVE_INFINITY : here
    }
  }
  return { worst, error, scale }
}
