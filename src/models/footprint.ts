/**
 * How much memory a model takes, estimated from its shapes. Weights are mapped from their file: all sessions share them and the
 * system may drop them. What is a process's own are a session's plan and the activations of the work it is asked for.
 */
import type { ModelConfig } from './model.ts'
import type { StoredWeight } from './weights.ts'

/** A model's size and the memory it takes. */
export interface Footprint {
  readonly parameters: number
  /** Mapped, shared by all sessions. */
  readonly weightsBytes: number
  /** A process's own, for a forward pass over {@link PROBED_TOKENS} tokens. */
  readonly forwardBytes: number
  /** A process's own, for a gradient through all layers over as many. */
  readonly gradientBytes: number
}

/** Twenty prompts of twenty tokens: what one edit of a locate-then-edit method works on. */
export const PROBED_TOKENS = 400
const PROMPTS = 20
const FLOAT_BYTES = 4
/** A session's plan; measured, with weights mapped and not packed anew. */
const SESSION_BYTES = 25 * 2 ** 20
/** How many vectors of each width a layer keeps for its gradient; fitted to a measured 0.6 GiB on a model of 30 layers, 576 wide. */
const KEPT_WIDTHS = 10
const KEPT_MLP_WIDTHS = 5

/** Estimates a model's footprint. */
export function estimateFootprint(config: ModelConfig, weights: ReadonlyMap<string, StoredWeight>): Footprint {
  const weightsBytes = [...weights.values()].reduce((sum, { bytes }) => sum + bytes, 0)
  const layerBytes = PROBED_TOKENS * (KEPT_WIDTHS * config.width + KEPT_MLP_WIDTHS * config.mlpWidth) * FLOAT_BYTES
  const forwardBytes = SESSION_BYTES + layerBytes + PROMPTS * config.vocabulary * FLOAT_BYTES
  const parameters = weightsBytes / FLOAT_BYTES
  return { parameters, weightsBytes, forwardBytes, gradientBytes: forwardBytes + (config.layers - 1) * layerBytes }
}
