/** What a model folder holds once it has been found, checked and, where needed, converted to 32-bit safetensors. */
import type { WeightFormat } from '../graph/graph.ts'
import type { JsonObject } from './json.ts'
import type { ModelTokenizer } from './tokenizer.ts'

/** A weight as it lies in a file: little-endian, in the orientation of the checkpoint (a linear layer: [out, in]). */
export interface StoredWeight {
  /** Real path of the file (no links: the runtime refuses a link that leaves its folder). */
  readonly file: string
  readonly format: WeightFormat
  readonly shape: readonly number[]
  /** Bytes from the start of the file. */
  readonly offset: number
  readonly bytes: number
}

/** A chat template in Jinja, with what it may name besides the messages. */
export interface ChatTemplate {
  readonly source: string
  /** Names of special tokens: `bos_token`, `eos_token`, … */
  readonly tokens: Readonly<Record<string, string>>
}

/** A model's files, ready to be turned into a graph. All weight files lie in one folder. */
export interface ModelFiles {
  /** What a person calls it: `smollm2-135m`, or the folder's name. */
  readonly name: string
  /** Hash of weights, configuration and tokenizer. */
  readonly fingerprint: string
  /** `config.json`, with Hugging Face's keys (`model_type`, `num_hidden_layers`, …), also where it was rebuilt from GGUF metadata. */
  readonly config: JsonObject
  readonly tokenizer: ModelTokenizer
  /** How the model's makers put a prompt as the user's turn; null where the files have no such template. */
  readonly chatTemplate: ChatTemplate | null
  /** By the names of Hugging Face's checkpoints (`model.layers.0.mlp.down_proj.weight`). */
  readonly weights: ReadonlyMap<string, StoredWeight>
  /** The element type of the original files: `F32`, `BF16`, `Q4_1`. */
  readonly storedAs: string
}
