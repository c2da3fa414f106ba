/**
 * How much memory a model takes, estimated from its shapes. Weights are mapped from their file: all sessions share them and the
 * system may drop them. What are a process's own are the program itself, a session's plan and the activations of the work it is
 * asked for. Fitted to measured peaks (see `evidence/memory-estimate.ts`) and meant to be too high rather than too low.
 */
import { sizeOf } from '../tensor/tensor.ts'
import type { ModelConfig } from './model.ts'

/** What a model's weights take. */
export interface WeightsFootprint {
  readonly parameters: number
  /** Mapped, shared by all sessions. */
  readonly weightsBytes: number
  /** The largest 32-bit copy of a 16-bit weight that a session holds; 0 where weights are used as they are. */
  readonly widenedBytes: number
}

/** What decides the memory that a model's work takes. */
export interface Footprint extends WeightsFootprint {
  readonly config: ModelConfig
}

/** A weight's shape and the bytes it takes where sessions map it. */
export interface WeightSize {
  readonly shape: readonly number[]
  readonly bytes: number
}

/** Some work of a model. */
export interface WorkSize {
  /** Positions computed. */
  readonly tokens: number
  /** Positions that each of them attends to. */
  readonly attended: number
  /** Positions at which logits are asked for. */
  readonly logits: number
}

/** What the keys and values of one run of generation may take; it gives out as much again. */
export const MOST_CACHE_BYTES = 256 * 2 ** 20

const FLOAT_BYTES = 4
/** The program with its libraries, and a tokenizer by its vocabulary. */
const PROGRAM_BYTES = 65 * 2 ** 20
const TOKEN_BYTES = 1800
/** A session's plan, by layer; and of its largest weight, where it widens them, a copy and what others leave of one. */
const PLAN_BYTES = 0.15 * 2 ** 20
const WIDENED = 1.25
/** How many vectors of each width are alive in a layer at once; each that is kept for a gradient; and logits at once. */
const ALIVE = { widths: 10, mlpWidths: 5, scores: 2, logits: 2 }

/** Sums up a model's weights. */
export function measureWeights(weights: ReadonlyMap<string, WeightSize>): WeightsFootprint {
  let [parameters, weightsBytes, widenedBytes] = [0, 0, 0]
  for (const { shape, bytes } of weights.values()) {
    const count = sizeOf(shape)
    parameters += count
    weightsBytes += bytes
    if (bytes < count * FLOAT_BYTES) widenedBytes = Math.max(widenedBytes, count * FLOAT_BYTES)
  }
  return { parameters, weightsBytes, widenedBytes }
}

/** Bytes of the program with a model open that has not been asked yet. */
export function programBytes({ config }: Footprint): number {
  return PROGRAM_BYTES + TOKEN_BYTES * config.vocabulary
}

/** Bytes that sessions of a model take besides what they compute: their plans, and the weights that each widens. */
export function sessionBytes({ config, widenedBytes }: Footprint, sessions: number): number {
  return sessions * (config.layers * PLAN_BYTES + WIDENED * widenedBytes)
}

/** Bytes of a pass forward. */
export function forwardBytes({ config }: Footprint, work: WorkSize): number {
  return layerBytes(config, work) + logitsBytes(config, work)
}

/** Bytes of a pass forward and back through so many layers. */
export function gradientBytes({ config }: Footprint, work: WorkSize & { readonly layers: number }): number {
  return (work.layers + 1) * layerBytes(config, work) + logitsBytes(config, work)
}

/** Bytes of the keys and values of so many positions, in so many layers. */
export function cacheBytes({ kvHeads, headWidth }: ModelConfig, tokens: number, layers: number): number {
  return 2 * layers * tokens * kvHeads * headWidth * FLOAT_BYTES
}

function layerBytes({ width, mlpWidth, heads }: ModelConfig, { tokens, attended }: WorkSize): number {
  const numbers = ALIVE.widths * width + ALIVE.mlpWidths * mlpWidth + ALIVE.scores * heads * attended
  return tokens * numbers * FLOAT_BYTES
}

function logitsBytes({ vocabulary }: ModelConfig, { logits }: WorkSize): number {
  return ALIVE.logits * logits * vocabulary * FLOAT_BYTES
}
