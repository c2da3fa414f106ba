/** Reads `config.json` with Hugging Face's keys: what is missing or not supported is refused by name. */
import { WhicheditError } from '../errors.ts'
import type { Json } from './json.ts'

/** Typed access to a configuration. Each method throws E_CONFIG with the key, what was expected and what was found. */
export interface ConfigReader {
  /** A whole number of at least 1. */
  positive(key: string, fallback?: number): number
  number(key: string, fallback?: number): number
  flag(key: string, fallback: boolean): boolean
  /** Refuses any value but those supported. */
  only(key: string, supported: readonly (string | boolean)[], fallback: string | boolean): void
  /** The base of the rotary embedding; refuses scaled variants. */
  ropeTheta(): number
}

const DEFAULT_ROPE_THETA = 10_000

/** Wraps a parsed `config.json`. */
export function readConfig(raw: Readonly<Record<string, Json>>): ConfigReader {
  const found = (key: string): Json | undefined => (Object.hasOwn(raw, key) ? (raw[key] ?? undefined) : undefined)
  const number = (key: string, fallback?: number): number => {
    const value = found(key) ?? fallback
    if (typeof value !== 'number' || !Number.isFinite(value)) throw refuse(key, 'a number', value)
    return value
  }
  return {
    number,
    positive(key, fallback) {
      const value = number(key, fallback)
      if (!Number.isSafeInteger(value) || value < 1) throw refuse(key, 'a whole number of at least 1', value)
      return value
    },
    flag(key, fallback) {
      const value = found(key) ?? fallback
      if (typeof value !== 'boolean') throw refuse(key, 'true or false', value)
      return value
    },
    only(key, supported, fallback) {
      const value = found(key) ?? fallback
      if (!supported.some((one) => one === value)) throw refuse(key, supported.join(' or '), value)
    },
    ropeTheta() {
      // Newer configurations hold theta and the kind of scaling in one object.
      const nested = found('rope_parameters') ?? found('rope_scaling') ?? {}
      const parameters = (typeof nested === 'object' && nested !== null ? nested : {}) as Readonly<Record<string, Json>>
      const { rope_type: type = parameters.type ?? 'default', rope_theta: theta } = parameters
      if (type !== 'default') throw refuse('rope_scaling', 'no scaling', type)
      return typeof theta === 'number' ? theta : number('rope_theta', DEFAULT_ROPE_THETA)
    },
  }
}

function refuse(key: string, expected: string, value: Json | undefined): WhicheditError {
  return new WhicheditError('E_CONFIG', { key, expected, found: JSON.stringify(value) ?? 'nothing' })
}
