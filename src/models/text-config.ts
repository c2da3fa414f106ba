/**
 * The configuration of the language model within a model that also takes in pictures: it lies in `text_config`, and leaves
 * out whatever is the default of its kind.
 */
import { isObject, type JsonObject } from './json.ts'

/** What such files leave out, by `model_type`: the defaults of transformers' `Gemma3TextConfig`. */
const DEFAULTS: Readonly<Record<string, JsonObject>> = {
  gemma3: {
    model_type: 'gemma3_text',
    vocab_size: 262_208,
    hidden_size: 2304,
    intermediate_size: 9216,
    num_hidden_layers: 26,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    max_position_embeddings: 131_072,
  },
}

/** The configuration of the language model; that of a model without pictures is returned as it is. */
export function textConfigOf(config: JsonObject): JsonObject {
  const defaults = DEFAULTS[String(config.model_type)]
  if (defaults === undefined || !isObject(config.text_config)) return config
  const { eos_token_id, bos_token_id, tie_word_embeddings } = config
  const outer = Object.entries({ eos_token_id, bos_token_id, tie_word_embeddings })
  const shared = Object.fromEntries(outer.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])))
  return { ...defaults, ...shared, ...config.text_config }
}
