/** Tells models that write from those that only read, by their configuration. */
import { readConfig } from './config.ts'
import type { JsonObject } from './json.ts'

/** Language models write text and can be edited; encoders turn sentences into vectors, which some methods search by. */
export type ModelKind = 'language-model' | 'encoder'

/** The `model_type` of BERT and of those made after it, which share the keys of its configuration. */
const ENCODERS: ReadonlySet<unknown> = new Set(['bert', 'roberta', 'xlm-roberta', 'camembert', 'electra', 'mpnet'])

/** What kind a configuration is of. */
export function kindOf(config: JsonObject): ModelKind {
  return ENCODERS.has(config.model_type) ? 'encoder' : 'language-model'
}

/** An encoder's sizes. */
export interface EncoderConfig {
  readonly architecture: string
  readonly layers: number
  readonly width: number
  readonly mlpWidth: number
  readonly heads: number
  readonly vocabulary: number
  readonly contextLength: number
}

/** Reads an encoder's sizes. @throws E_CONFIG */
export function readEncoderConfig(config: JsonObject): EncoderConfig {
  const reader = readConfig(config)
  return {
    architecture: String(config.model_type),
    layers: reader.layers('num_hidden_layers'),
    width: reader.positive('hidden_size'),
    mlpWidth: reader.positive('intermediate_size'),
    heads: reader.positive('num_attention_heads'),
    vocabulary: reader.positive('vocab_size'),
    contextLength: reader.positive('max_position_embeddings'),
  }
}
