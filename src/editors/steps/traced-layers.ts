/**
 * Layers of a network so small and of so irregular a shape that it is run here, number by number, not by the runtime: each gives its
 * value and the way back, by which slopes for the value become slopes for what went in.
 *
 *   linear     y = W x + b
 *   normed     yₒ = gₒ (vₒ · x) / ‖vₒ‖ + bₒ
 *
 * W and v [out, in], a row for each number that comes out; g, b [out]. Salimans & Kingma 2016 for the second; both as PyTorch has
 * them (`Linear`, and `weight_norm` around it). Sums are float64.
 */
import { WhicheditError } from '../../errors.ts'
import { norm } from '../../tensor/linalg.ts'
import type { Random } from '../../tensor/random.ts'
import { sizeOf } from '../../tensor/tensor.ts'

/** Arrays by name: what a network consists of, or the slopes for it. */
export type NamedArrays = Readonly<Record<string, Float32Array>>

/** What a layer made, and the way back: adds to the slopes for its arrays, and gives those for what went in. */
export interface Traced {
  readonly value: Float64Array
  back(slopes: Float64Array, gradients: NamedArrays): Float64Array
}

/** Sizes of a layer. */
export interface LayerSize {
  readonly into: number
  readonly out: number
}

/** An array of a network. @throws E_INTERNAL without one of that name */
export function findArray(arrays: NamedArrays, name: string): Float32Array {
  const found = arrays[name]
  if (found === undefined) throw new WhicheditError('E_INTERNAL', { what: `a network without ${name}` })
  return found
}

/** Shapes of a linear layer's arrays. */
export function linearShapes(name: string, { into, out }: LayerSize): Record<string, readonly number[]> {
  return { [`${name} weight`]: [out, into], [`${name} bias`]: [out] }
}

/** Shapes of a normed layer's arrays. */
export function normedShapes(name: string, { into, out }: LayerSize): Record<string, readonly number[]> {
  return { ...linearShapes(name, { into, out }), [`${name} length`]: [out] }
}

/** Numbers between −1/√n and 1/√n, as PyTorch starts layers that sum n numbers. */
export function startUniform(shape: readonly number[], n: number, random: Random): Float32Array {
  return Float32Array.from({ length: sizeOf(shape) }, () => (2 * random.uniform() - 1) / Math.sqrt(n))
}

/** The lengths with which a normed layer starts: its rows are what they are. */
export function startLengths(weight: Float32Array, into: number): Float32Array {
  return Float32Array.from({ length: weight.length / into }, (_, o) => norm(weight.subarray(o * into, (o + 1) * into)))
}

/** W x + b. */
export function applyLinear(arrays: NamedArrays, name: string, x: Float64Array): Traced {
  const [weight, bias] = [findArray(arrays, `${name} weight`), findArray(arrays, `${name} bias`)]
  const into = x.length
  const value = Float64Array.from(bias, (start, o) => start + multiplyAt(weight, o * into, x))
  return {
    value,
    back(slopes, gradients) {
      const [ofWeight, ofBias] = [findArray(gradients, `${name} weight`), findArray(gradients, `${name} bias`)]
      const ofX = new Float64Array(into)
      slopes.forEach((slope, o) => {
        ofBias[o] = (ofBias[o] ?? 0) + slope
        for (let j = 0, at = o * into; j < into; j++, at++) {
          ofWeight[at] = (ofWeight[at] ?? 0) + slope * (x[j] ?? 0)
          ofX[j] = (ofX[j] ?? 0) + slope * (weight[at] ?? 0)
        }
      })
      return ofX
    },
  }
}

/** g (v · x) / ‖v‖ + b. */
export function applyNormed(arrays: NamedArrays, name: string, x: Float64Array): Traced {
  const [weight, bias] = [findArray(arrays, `${name} weight`), findArray(arrays, `${name} bias`)]
  const length = findArray(arrays, `${name} length`)
  const into = x.length
  const sizes = Float64Array.from(bias, (_, o) => sizeAt(weight, o * into, into)) // ‖v‖
  const along = sizes.map((size, o) => multiplyAt(weight, o * into, x) / size) // (v · x) / ‖v‖
  const value = along.map((part, o) => (length[o] ?? 0) * part + (bias[o] ?? 0))
  return {
    value,
    back(slopes, gradients) {
      const [ofWeight, ofBias] = [findArray(gradients, `${name} weight`), findArray(gradients, `${name} bias`)]
      const ofLength = findArray(gradients, `${name} length`)
      const ofX = new Float64Array(into)
      slopes.forEach((slope, o) => {
        const part = along[o] ?? 0
        const size = sizes[o] ?? 1
        const scale = (slope * (length[o] ?? 0)) / size
        ofBias[o] = (ofBias[o] ?? 0) + slope
        ofLength[o] = (ofLength[o] ?? 0) + slope * part
        for (let j = 0, at = o * into; j < into; j++, at++) {
          const v = weight[at] ?? 0
          ofWeight[at] = (ofWeight[at] ?? 0) + scale * ((x[j] ?? 0) - (part / size) * v)
          ofX[j] = (ofX[j] ?? 0) + scale * v
        }
      })
      return ofX
    },
  }
}

/** tanh of each number. */
export function applyTanh(before: Traced): Traced {
  const value = before.value.map(Math.tanh)
  return {
    value,
    back: (slopes, gradients) =>
      before.back(
        slopes.map((slope, i) => slope * (1 - (value[i] ?? 0) ** 2)),
        gradients,
      ),
  }
}

/** The product of x with as many numbers from a place on; in four sums, as each waits for the one before it. */
export function multiplyAt(numbers: Float32Array, start: number, x: Float64Array): number {
  let [one, two, three, four] = [0, 0, 0, 0]
  const whole = x.length - (x.length % 4)
  for (let j = 0, at = start; j < whole; j += 4, at += 4) {
    one += (numbers[at] ?? 0) * (x[j] ?? 0)
    two += (numbers[at + 1] ?? 0) * (x[j + 1] ?? 0)
    three += (numbers[at + 2] ?? 0) * (x[j + 2] ?? 0)
    four += (numbers[at + 3] ?? 0) * (x[j + 3] ?? 0)
  }
  for (let j = whole; j < x.length; j++) one += (numbers[start + j] ?? 0) * (x[j] ?? 0)
  return one + two + three + four
}

function sizeAt(numbers: Float32Array, start: number, count: number): number {
  let sum = 0
  for (let at = start; at < start + count; at++) sum += (numbers[at] ?? 0) ** 2
  return Math.sqrt(sum)
}
