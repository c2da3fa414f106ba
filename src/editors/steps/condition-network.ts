/**
 * A network that reads what an edit is about and says, for each weight to be edited, how its gradient becomes its change.
 *
 *   c = tanh(W [h→; h←] + b),   gates = N₂ tanh(N₁ c)   for each weight
 *
 * h→ and h← of `two-way-lstm.ts`, N₁ and N₂ layers with normed weights, gates as in `gated-change.ts`. De Cao et al. 2021, §4; reference
 * code nicola-decao/KnowledgeEditor `one_shot_learner.py`, matched, its start too.
 */
import type { Random } from '../../tensor/random.ts'
import { sizeOf, type Tensor } from '../../tensor/tensor.ts'
import {
  applyLinear,
  applyNormed,
  applyTanh,
  findArray,
  linearShapes,
  type NamedArrays,
  normedShapes,
  startLengths,
  startUniform,
} from './traced-layers.ts'
import { lstmShapes, readBothWays } from './two-way-lstm.ts'

/** The size of a network. */
export interface ConditionShape {
  /** Numbers of a token's vector. */
  readonly width: number
  /** Of what each way of reading has in mind, and of what stands before the gates. */
  readonly hidden: number
  /** Of c. */
  readonly condition: number
  /** Gates of each weight. */
  readonly gates: readonly number[]
}

/** What a network says of an edit, and the way back to the slopes for its arrays. */
export interface TracedGates {
  /** For each weight. */
  readonly value: readonly Float64Array[]
  back(slopes: readonly Float64Array[], gradients: NamedArrays): void
}

/** Shapes of all arrays, by name. */
function shapesOf({ width, hidden, condition, gates }: ConditionShape): Record<string, readonly number[]> {
  return {
    ...lstmShapes(width, hidden),
    ...linearShapes('condition', { into: 2 * hidden, out: condition }),
    ...Object.assign(
      {},
      ...gates.map((out, i) => ({
        ...normedShapes(`inner ${i}`, { into: condition, out: hidden }),
        ...normedShapes(`outer ${i}`, { into: hidden, out }),
      })),
    ),
  }
}

/** How many numbers a network has. */
export function countNumbers(shape: ConditionShape): number {
  return Object.values(shapesOf(shape)).reduce((sum, dims) => sum + sizeOf(dims), 0)
}

/** A network as it starts. */
export function startNetwork(shape: ConditionShape, random: Random): Record<string, Float32Array> {
  const shapes = shapesOf(shape)
  const arrays: Record<string, Float32Array> = {}
  for (const [name, dims] of Object.entries(shapes)) {
    const layer = name.replace(/ \S+$/, '')
    const [, into = shape.hidden] = shapes[`${layer} weight`] ?? []
    arrays[name] = name.endsWith(' length')
      ? startLengths(findArray(arrays, `${layer} weight`), into)
      : startUniform(dims, into, random.stream(name))
  }
  return arrays
}

/** Slopes for a network's arrays, to be added to. */
export function noGradients(arrays: NamedArrays): Record<string, Float32Array> {
  return Object.fromEntries(Object.entries(arrays).map(([name, { length }]) => [name, new Float32Array(length)]))
}

/** Reads the vectors of a text's tokens [T, E] and says what follows for so many weights. */
export function readGates(arrays: NamedArrays, vectors: Tensor, weights: number): TracedGates {
  const reading = readBothWays(arrays, vectors)
  const condition = applyTanh(applyLinear(arrays, 'condition', reading.value))
  const heads = Array.from({ length: weights }, (_, i) => {
    const inner = applyTanh(applyNormed(arrays, `inner ${i}`, condition.value))
    return { inner, outer: applyNormed(arrays, `outer ${i}`, inner.value) }
  })
  return {
    value: heads.map(({ outer }) => outer.value),
    back(slopes, gradients) {
      const ofCondition = new Float64Array(condition.value.length)
      heads.forEach(({ inner, outer }, i) => {
        const ofInner = outer.back(slopes[i] ?? new Float64Array(outer.value.length), gradients)
        inner.back(ofInner, gradients).forEach((slope, j) => {
          ofCondition[j] = (ofCondition[j] ?? 0) + slope
        })
      })
      reading.back(condition.back(ofCondition, gradients), gradients)
    },
  }
}
