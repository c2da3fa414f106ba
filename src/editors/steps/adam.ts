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

/** What an optimiser remembers from step to step: who saves it and hands it back goes on where it stood. */
export interface AdamState {
  /** m */
  readonly first: Float32Array
  /** v */
  readonly second: Float32Array
  /** t */
  steps: number
}

/** An optimiser with its moments; one for each array of parameters. */
export interface Adam {
  readonly state: AdamState
  /**
   * Moves `parameters` in place against `gradient`, both of the size the optimiser was made for; `share` of the learning
   * rate, 1 where a schedule says nothing else.
   */
  step(parameters: Float32Array, gradient: Float32Array, share?: number): void
}

/** Makes an optimiser for `size` parameters, with moments of zero. */
export function createAdam(size: number, learningRate: number): Adam {
  const state: AdamState = { first: new Float32Array(size), second: new Float32Array(size), steps: 0 }
  const { first, second } = state
  return {
    state,
    step(parameters, gradient, share = 1) {
      state.steps += 1
      const stepSize = (share * learningRate) / (1 - FIRST_DECAY ** state.steps)
      const secondScale = 1 / Math.sqrt(1 - SECOND_DECAY ** state.steps)
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
