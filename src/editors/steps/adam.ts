/**
 * Adam, the optimiser of every editing method that descends a gradient.
 *
 *   m ← β₁m + (1−β₁)g,  v ← β₂v + (1−β₂)g²,  θ ← θ − η · m/(1−β₁ᵗ) / (√(v/(1−β₂ᵗ)) + ε)
 *
 * θ parameters, g gradient, m and v running moments, t steps taken, η learning rate.
 * Kingma & Ba 2015, https://arxiv.org/abs/1412.6980, algorithm 1; the same numbers as `torch.optim.Adam` without weight
 * decay: moments are kept as float32, as there.
 */

/** β₁, β₂ and ε of the paper, and PyTorch's defaults: no editing method changes them. */
const FIRST_DECAY = 0.9
const SECOND_DECAY = 0.999
const EPSILON = 1e-8

/** An optimiser with its moments; one for each array of parameters. */
export interface Adam {
  /**
   * Moves `parameters` in place against `gradient`, both of the size the optimiser was made for; `share` of the learning
   * rate, 1 where a schedule says nothing else.
   */
  step(parameters: Float32Array, gradient: Float32Array, share?: number): void
}

/** What an optimiser remembers of the gradients it has seen. Its steps change it in place. */
export interface Moments {
  readonly first: Float32Array
  readonly second: Float32Array
  steps: number
}

/** The moments of an optimiser that has seen nothing. */
export function openMoments(size: number): Moments {
  return { first: new Float32Array(size), second: new Float32Array(size), steps: 0 }
}

/** Makes an optimiser for `size` parameters, which goes on from moments where there are some. */
export function createAdam(size: number, learningRate: number, moments = openMoments(size)): Adam {
  const { first, second } = moments
  return {
    step(parameters, gradient, share = 1) {
      moments.steps += 1
      const stepSize = (share * learningRate) / (1 - FIRST_DECAY ** moments.steps)
      const secondScale = 1 / Math.sqrt(1 - SECOND_DECAY ** moments.steps)
      for (let i = 0; i < size; i++) {
        const g = gradient[i] ?? 0
        const m = FIRST_DECAY * (first[i] ?? 0) + (1 - FIRST_DECAY) * g
        const v = SECOND_DECAY * (second[i] ?? 0) + (1 - SECOND_DECAY) * g * g
        first[i] = m
        second[i] = v
        parameters[i] = (parameters[i] ?? 0) - (stepSize * m) / (Math.sqrt(v) * secondScale + EPSILON)
      }
    },
  }
}
