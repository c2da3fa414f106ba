/** Random numbers that are given beforehand: an oracle's own, from another generator. */
import { createRandom, type Random } from '../../src/tensor/random.ts'

/** A source that gives these numbers, in order, from whatever stream and distribution it is asked; NaN after the last. */
export function givenRandom(numbers: readonly number[]): Random {
  let next = 0
  const draw = () => numbers[next++] ?? Number.NaN
  return { ...createRandom(0), uniform: draw, normal: draw, stream: () => givenRandom(numbers) }
}
