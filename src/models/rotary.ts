/**
 * Rotary position embeddings as configurations describe them: which columns of a head turn, how fast, and how the angles
 * are stretched for contexts longer than those of training. The angle of pair j at position p is p · θⱼ, with
 * θⱼ = base^(−2j/w) before stretching (Su et al. 2021, arXiv 2104.09864).
 *
 *   linear    θⱼ / s
 *   dynamic   θⱼ: it begins to stretch beyond the context length, where runs are refused
 *   llama3    θⱼ for short wavelengths, θⱼ / s for long ones, blended between (Grattafiori et al. 2024, arXiv 2407.21783)
 *   yarn      θⱼ for many turns within the first context, θⱼ / s for few, blended between; cosines and sines times
 *             0.1 ln s + 1 (Peng et al. 2023, arXiv 2309.00071, §3.2–3.4)
 *   longrope  θⱼ / fⱼ with a factor for each pair (Ding et al. 2024, arXiv 2402.13753); the short factors
 *
 * transformers computes the same in `modeling_rope_utils.py`.
 */
import type { Rotary } from './architecture.ts'
import { type ConfigReader, readConfig } from './config.ts'
import type { Json } from './json.ts'

const DEFAULT_BASE = 10_000
const KINDS = ['default', 'linear', 'dynamic', 'llama3', 'yarn', 'longrope', 'su'] as const

/** How a reader of one architecture finds its rotary embedding. */
export interface RotaryOptions {
  readonly headWidth: number
  readonly pairs?: Rotary['pairs']
  /** Name of the object within `rope_parameters` where layers of several types have their own. */
  readonly layerType?: string
  /** Base where the file has none. */
  readonly base?: number
  /** Share of a head's columns that turn where the file says none. */
  readonly share?: number
}

/** A rotary embedding, and the positions for which it was made. */
export interface RotaryReading {
  readonly rotary: Rotary
  /** Positions that its angles are right for; null: as many as the model says. */
  readonly longest: number | null
}

/** Reads the rotary embedding of a configuration. @throws E_CONFIG */
export function readRotary(raw: Readonly<Record<string, Json>>, options: RotaryOptions): RotaryReading {
  const outer = readConfig(raw)
  const parameters = findParameters(outer, options.layerType)
  const base = parameters.number('rope_theta', options.base ?? outer.number('rope_theta', DEFAULT_BASE))
  const share = parameters.number('partial_rotary_factor', outer.number('partial_rotary_factor', options.share ?? 1))
  const width = Math.floor(options.headWidth * share)
  const plain = Array.from({ length: width / 2 }, (_, j) => base ** ((-2 * j) / width))
  const { frequencies, magnitude = 1, longest = null } = stretch(plain, { outer, parameters, base, width })
  return { rotary: { width, pairs: options.pairs ?? 'halves', frequencies, magnitude }, longest }
}

/** Newer configurations hold base and scaling in one object, and one for each type of layer where types differ. */
function findParameters(outer: ConfigReader, layerType: string | undefined): ConfigReader {
  const parameters = outer.object(outer.has('rope_parameters') ? 'rope_parameters' : 'rope_scaling')
  return layerType !== undefined && parameters.has(layerType) ? parameters.object(layerType) : parameters
}

interface Stretch {
  readonly outer: ConfigReader
  readonly parameters: ConfigReader
  readonly base: number
  readonly width: number
}

interface Stretched {
  readonly frequencies: readonly number[]
  readonly magnitude?: number
  readonly longest?: number
}

function stretch(plain: readonly number[], job: Stretch): Stretched {
  const { parameters } = job
  const kind = parameters.word(parameters.has('rope_type') ? 'rope_type' : 'type', KINDS, 'default')
  if (kind === 'linear') {
    const factor = parameters.number('factor')
    return { frequencies: plain.map((frequency) => frequency / factor) }
  }
  if (kind === 'llama3') return { frequencies: plain.map(llama3Stretch(parameters)) }
  if (kind === 'yarn') return yarnStretch(plain, job)
  if (kind === 'longrope' || kind === 'su') return longStretch(plain, job)
  return { frequencies: plain }
}

function llama3Stretch(parameters: ConfigReader): (frequency: number) => number {
  const factor = parameters.number('factor')
  const low = parameters.number('low_freq_factor')
  const high = parameters.number('high_freq_factor')
  const context = parameters.positive('original_max_position_embeddings')
  return (frequency) => {
    const turns = (context * frequency) / (2 * Math.PI) // within the first context
    if (turns > high) return frequency
    if (turns < low) return frequency / factor
    const kept = (turns - low) / (high - low)
    return (1 - kept) * (frequency / factor) + kept * frequency
  }
}

const MOST_TURNS = 32
const FEWEST_TURNS = 1

function yarnStretch(plain: readonly number[], { outer, parameters, base, width }: Stretch): Stretched {
  const context = parameters.positive('original_max_position_embeddings', outer.positive('max_position_embeddings'))
  const factor = parameters.number('factor', outer.positive('max_position_embeddings') / context)
  // The pair that makes so many turns within the first context.
  const pairOf = (turns: number) => (width * Math.log(context / (turns * 2 * Math.PI))) / (2 * Math.log(base))
  const whole = parameters.flag('truncate', true)
  const first = pairOf(parameters.number('beta_fast', MOST_TURNS))
  const last = pairOf(parameters.number('beta_slow', FEWEST_TURNS))
  const low = Math.max(whole ? Math.floor(first) : first, 0)
  const high = Math.min(whole ? Math.ceil(last) : last, width - 1)
  const span = high === low ? 1e-3 : high - low
  const frequencies = plain.map((frequency, j) => {
    const stretched = Math.min(Math.max((j - low) / span, 0), 1)
    return stretched * (frequency / factor) + (1 - stretched) * frequency
  })
  const grow = (weight: number) => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1)
  const [numerator, denominator] = [
    parameters.numberOrNull('mscale', null),
    parameters.numberOrNull('mscale_all_dim', null),
  ]
  const magnitude = numerator && denominator ? grow(numerator) / grow(denominator) : grow(1)
  return { frequencies, magnitude: parameters.number('attention_factor', magnitude) }
}

function longStretch(plain: readonly number[], { outer, parameters }: Stretch): Stretched {
  const most = outer.positive('max_position_embeddings')
  const context = parameters.positive(
    'original_max_position_embeddings',
    outer.positive('original_max_position_embeddings', most),
  )
  const factors = parameters.numbers('short_factor', plain.length)
  const factor = parameters.number('factor', most / context)
  const magnitude = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(context))
  return {
    frequencies: plain.map((frequency, j) => frequency / (factors[j] ?? 1)),
    magnitude: parameters.number('attention_factor', magnitude),
    longest: context,
  }
}
