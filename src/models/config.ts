/** Reads `config.json` with Hugging Face's keys: what is missing or not supported is refused by name. */
import { WhicheditError } from '../errors.ts'
import type { Node } from '../graph/graph.ts'
import { gelu, geluTanh, relu, silu, tanh } from '../graph/ops/elementwise.ts'
import { isObject, type Json, type JsonObject } from './json.ts'

/** Typed access to a configuration. Each method throws E_CONFIG with the key, what was expected and what was found. */
export interface ConfigReader {
  /** A whole number of at least 1. */
  positive(key: string, fallback?: number): number
  number(key: string, fallback?: number): number
  /** A number of layers. */
  layers(key: string): number
  /** A whole number that divides another. */
  divisor(key: string, of: number): number
  /** A number, or null where the file says so; absent: the fallback. */
  numberOrNull(key: string, fallback: number | null): number | null
  flag(key: string, fallback: boolean): boolean
  /** Refuses any value but those supported. */
  only(key: string, supported: readonly (string | boolean)[], fallback: string | boolean): void
  /** One of the words; null for an absent key without a fallback. */
  word<W extends string>(key: string, words: readonly W[], fallback: W): W
  /** A list of numbers of the given length. */
  numbers(key: string, length: number): readonly number[]
  /** An object within; empty where it is absent. */
  object(key: string): ConfigReader
  has(key: string): boolean
  /** A function applied to each number of the feed-forward. */
  activation(key: string, fallback?: keyof typeof ACTIVATIONS): (x: Node) => Node
  /**
   * Of each layer, the positions seen (the own among them); null: all.
   * @param slides which layers see a window, where the file does not say
   * @param fallback the window, where the file does not say
   */
  windows(layers: number, slides: (layer: number) => boolean, fallback: number | null): readonly (number | null)[]
}

/** Activations, by the names in configurations. */
const ACTIVATIONS = {
  silu,
  swish: silu,
  relu,
  tanh,
  gelu,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  gelu_fast: geluTanh,
} satisfies Record<string, (x: Node) => Node>

/** Kinds of layers by what they see. */
const LAYER_TYPES = ['sliding_attention', 'full_attention'] as const

/** More layers than any model has: a file that says so is damaged, and is not worked off layer by layer. */
const MOST_LAYERS = 10_000

/** Wraps a parsed `config.json`; `within` names the object it stands in, for messages. */
export function readConfig(raw: Readonly<Record<string, Json>>, within = ''): ConfigReader {
  const found = (key: string): Json | undefined => (Object.hasOwn(raw, key) ? (raw[key] ?? undefined) : undefined)
  const refuse = (key: string, expected: string, value: Json | undefined): WhicheditError =>
    new WhicheditError('E_CONFIG', { key: within + key, expected, found: JSON.stringify(value) ?? 'nothing' })
  const number = (key: string, fallback?: number): number => {
    const value = found(key) ?? fallback
    if (typeof value !== 'number' || !Number.isFinite(value)) throw refuse(key, 'a number', value)
    return value
  }
  const positive = (key: string, fallback?: number): number => {
    const value = number(key, fallback)
    if (!Number.isSafeInteger(value) || value < 1) throw refuse(key, 'a whole number of at least 1', value)
    return value
  }
  const word = <W extends string>(key: string, words: readonly W[], fallback: W): W => {
    const value = found(key) ?? fallback
    const known = words.find((one) => one === value)
    if (known === undefined) throw refuse(key, words.join(' or '), value)
    return known
  }
  return {
    number,
    positive,
    word,
    layers(key) {
      const value = positive(key)
      if (value > MOST_LAYERS) throw refuse(key, `at most ${MOST_LAYERS} layers`, value)
      return value
    },
    divisor(key, of) {
      const value = positive(key, of)
      if (of % value !== 0) throw refuse(key, `a divisor of ${of}`, value)
      return value
    },
    has: (key) => found(key) !== undefined,
    numberOrNull: (key, fallback) =>
      found(key) !== undefined ? number(key) : Object.hasOwn(raw, key) ? null : fallback,
    flag(key, fallback) {
      const value = found(key) ?? fallback
      if (typeof value !== 'boolean') throw refuse(key, 'true or false', value)
      return value
    },
    only(key, supported, fallback) {
      const value = found(key) ?? fallback
      if (!supported.some((one) => one === value)) throw refuse(key, supported.join(' or '), value)
    },
    numbers(key, length) {
      const value = found(key)
      const fits = Array.isArray(value) && value.length === length && value.every((one) => Number.isFinite(one))
      if (!fits) throw refuse(key, `${length} numbers`, Array.isArray(value) ? `${value.length} values` : value)
      return value.map(Number)
    },
    object(key) {
      const value = found(key) ?? {}
      if (!isObject(value)) throw refuse(key, 'an object', value)
      return readConfig(value as JsonObject, `${within}${key}.`)
    },
    activation(key, fallback) {
      const names = Object.keys(ACTIVATIONS) as (keyof typeof ACTIVATIONS)[]
      return ACTIVATIONS[word(key, names, fallback as keyof typeof ACTIVATIONS)]
    },
    windows(layers, slides, fallback) {
      const size = Object.hasOwn(raw, 'sliding_window') ? (found('sliding_window') ?? null) : fallback
      const types = found('layer_types')
      if (types !== undefined && !(Array.isArray(types) && types.length === layers)) {
        throw refuse('layer_types', `${layers} layer types`, types)
      }
      return Array.from({ length: layers }, (_, layer) => {
        const type = types === undefined ? (slides(layer) ? LAYER_TYPES[0] : LAYER_TYPES[1]) : types[layer]
        const known = LAYER_TYPES.find((one) => one === type)
        if (known === undefined) throw refuse(`layer_types[${layer}]`, LAYER_TYPES.join(' or '), type)
        return known === 'sliding_attention' && size !== null ? positive('sliding_window', fallback ?? undefined) : null
      })
    },
  }
}
