/**
 * Seeded randomness in named streams: the same seed and name give the same numbers, whatever else was drawn.
 * A stream's state is the SHA-256 of its path (seed, name, name within it, …), so streams need no order of creation.
 * The bits come from xoroshiro128+ (pure-rand); the distributions are built on them here.
 */
import { createHash } from 'node:crypto'
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus'
import { WhicheditError } from '../errors.ts'

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

/** Makes the root of a run's random streams. Seeds `1` and `'1'` are the same seed. */
export function createRandom(seed: number | string): Random {
  return openStream([String(seed)])
}

function openStream(path: readonly string[]): Random {
  // JSON keeps ['a/b'] and ['a', 'b'] apart, as a plain join would not.
  const digest = createHash('sha256').update(JSON.stringify(path)).digest()
  const bits = xoroshiro128plusFromState([0, 4, 8, 12].map((offset) => digest.readInt32LE(offset)))
  const uniform = () => uniformFloat64(bits)
  const integer = (below: number) => {
    if (!Number.isSafeInteger(below) || below < 1) {
      throw new WhicheditError('E_INTERNAL', {
        what: `random.integer: expected a whole number above 0, found ${below}`,
      })
    }
    return uniformInt(bits, 0, below - 1)
  }
  const normal = () => drawNormal(uniform)
  return {
    stream: (name) => openStream([...path, name]),
    uniform,
    integer,
    normal,
    gamma: (shape) => drawGamma(shape, uniform, normal),
    // Sorting by random keys: with 53 bits a key, ties are out of reach.
    shuffle: (items) =>
      items
        .map((item) => ({ item, key: uniform() }))
        .sort((a, b) => a.key - b.key)
        .map(({ item }) => item),
  }
}

/** Box and Muller 1958; the second number of the pair is not kept, so that a draw never depends on an earlier one. */
function drawNormal(uniform: () => number): number {
  // 1 − u lies in (0, 1]: the logarithm stays finite.
  return Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
}

/** Marsaglia and Tsang 2000, A simple method for generating gamma variables; below shape 1 by their boost, §6. */
function drawGamma(shape: number, uniform: () => number, normal: () => number): number {
  if (!(shape > 0 && Number.isFinite(shape))) {
    throw new WhicheditError('E_INTERNAL', { what: `random.gamma: expected a shape above 0, found ${shape}` })
  }
  if (shape < 1) return drawGamma(shape + 1, uniform, normal) * (1 - uniform()) ** (1 / shape)
  const d = shape - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = normal()
    const v = (1 + c * x) ** 3
    if (v > 0 && Math.log(1 - uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v
  }
}
