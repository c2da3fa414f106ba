/** Seeded randomness in named streams: the same seed and name give the same numbers, whatever else was drawn. */

/** A source of random numbers. */
export interface Random {
  /** A stream of its own for one purpose; independent of how much was drawn from this one. */
  stream(name: string): Random
  /** Uniform in [0, 1). */
  uniform(): number
  /** A whole number in [0, below). */
  integer(below: number): number
  /** Standard normal. */
  normal(): number
  /** Gamma with the given shape and scale 1. */
  gamma(shape: number): number
  /** A new array with the items in random order. */
  shuffle<T>(items: readonly T[]): T[]
}
