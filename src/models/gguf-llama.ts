/**
 * Makes a Llama model of a GGUF file into what a Hugging Face checkpoint of it would be: the same config keys, the same
 * tensor names, the same order of rows. llama.cpp reorders the rows of the query and key projections, because its rotary
 * embedding pairs neighbours (2j, 2j+1) where Hugging Face's pairs halves (j, j + d/2); that is undone here.
 * Counterpart of llama.cpp's convert_hf_to_gguf.py (LlamaModel) and of transformers' LlamaTensorProcessor.
 */
import { damaged, type GgufFile, type GgufTensor } from './gguf.ts'
import type { JsonObject } from './json.ts'

/** How a file says that its rotary embedding is not scaled. */
const NO_SCALING = 'none'

const OUTER_NAMES: ReadonlyMap<string, string> = new Map([
  ['token_embd.weight', 'model.embed_tokens.weight'],
  ['output_norm.weight', 'model.norm.weight'],
  ['output.weight', 'lm_head.weight'],
])

const LAYER_NAMES: ReadonlyMap<string, string> = new Map([
  ['attn_norm', 'input_layernorm'],
  ['attn_q', 'self_attn.q_proj'],
  ['attn_k', 'self_attn.k_proj'],
  ['attn_v', 'self_attn.v_proj'],
  ['attn_output', 'self_attn.o_proj'],
  ['ffn_norm', 'post_attention_layernorm'],
  ['ffn_gate', 'mlp.gate_proj'],
  ['ffn_up', 'mlp.up_proj'],
  ['ffn_down', 'mlp.down_proj'],
])

/** llama.cpp's default where a file does not say. */
const DEFAULT_ROPE_BASE = 10_000

/** A tensor of a GGUF file with its place in the checkpoint. */
export interface CheckpointTensor {
  /** Hugging Face's name. */
  readonly name: string
  readonly source: GgufTensor
  /** Present where rows have to be put back in order: the source row of each row. */
  readonly sourceRow?: (row: number) => number
}

/**
 * The model's config with Hugging Face's keys.
 * @throws E_GGUF where the architecture is not Llama, something is missing, or a variant is used that changes the computation.
 */
export function llamaConfigOf(gguf: GgufFile): JsonObject {
  checkVariant(gguf)
  const width = size(gguf, 'llama.embedding_length')
  const heads = size(gguf, 'llama.attention.head_count')
  const embedding = gguf.tensors.get('token_embd.weight')
  if (embedding === undefined) throw damaged(gguf.file, 'the tensor token_embd.weight', 'none')
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_act: 'silu',
    hidden_size: width,
    intermediate_size: size(gguf, 'llama.feed_forward_length'),
    num_hidden_layers: size(gguf, 'llama.block_count'),
    num_attention_heads: heads,
    num_key_value_heads: size(gguf, 'llama.attention.head_count_kv', heads),
    head_dim: size(gguf, 'llama.attention.key_length', width / heads),
    rms_norm_eps: number(gguf, 'llama.attention.layer_norm_rms_epsilon'),
    rope_theta: number(gguf, 'llama.rope.freq_base', DEFAULT_ROPE_BASE),
    max_position_embeddings: size(gguf, 'llama.context_length'),
    vocab_size: embedding.shape[0] ?? 0,
    tie_word_embeddings: !gguf.tensors.has('output.weight'),
    attention_bias: gguf.tensors.has('blk.0.attn_q.bias'),
    mlp_bias: gguf.tensors.has('blk.0.ffn_up.bias'),
    bos_token_id: numberOrNull(gguf, 'tokenizer.ggml.bos_token_id'),
    eos_token_id: number(gguf, 'tokenizer.ggml.eos_token_id'),
  }
}

function checkVariant({ file, metadata, tensors }: GgufFile): void {
  const architecture = metadata.get('general.architecture')
  if (architecture !== 'llama') throw damaged(file, 'the architecture llama', JSON.stringify(architecture))
  const scaling = metadata.get('llama.rope.scaling.type') ?? NO_SCALING
  if (scaling !== NO_SCALING || tensors.has('rope_freqs.weight')) {
    throw damaged(file, 'plain rotary embeddings', 'scaled ones, which a GGUF file does not describe fully')
  }
}

/**
 * The tensors under their checkpoint names, in the file's order.
 * @throws E_GGUF for a tensor that a Llama model has no place for, or query or key rows that heads do not divide.
 */
export function llamaTensorsOf(gguf: GgufFile, config: JsonObject): CheckpointTensor[] {
  return [...gguf.tensors.values()].map((source) => {
    const name = checkpointName(source.name)
    if (name === undefined) throw damaged(gguf.file, 'the tensors of a Llama model', JSON.stringify(source.name))
    if (name.includes('.q_proj.'))
      return { name, source, sourceRow: unpermuted(gguf, source, config.num_attention_heads) }
    if (name.includes('.k_proj.'))
      return { name, source, sourceRow: unpermuted(gguf, source, config.num_key_value_heads) }
    return { name, source }
  })
}

function checkpointName(name: string): string | undefined {
  const layer = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name)
  if (layer === null) return OUTER_NAMES.get(name)
  const [, index, part = '', kind] = layer
  const place = LAYER_NAMES.get(part)
  return place && `model.layers.${index}.${place}.${kind}`
}

/** Row (head, half, j) of the checkpoint is row (head, j, half) of the file. */
function unpermuted(gguf: GgufFile, source: GgufTensor, heads: unknown): (row: number) => number {
  const headRows = (source.shape[0] ?? 0) / Number(heads)
  const halfRows = headRows / 2
  if (!Number.isInteger(halfRows))
    throw damaged(gguf.file, `rows of ${source.name} for ${heads} heads`, `${source.shape[0]}`)
  return (row) => {
    const inHead = row % headRows
    return row - inHead + (inHead % halfRows) * 2 + Math.floor(inHead / halfRows)
  }
}

function number({ file, metadata }: GgufFile, key: string, otherwise?: number): number {
  const value = metadata.get(key) ?? otherwise
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw damaged(file, `a number for ${key}`, JSON.stringify(value) ?? 'nothing')
  }
  return value
}

/** A number of things: whole and positive. */
function size(gguf: GgufFile, key: string, otherwise?: number): number {
  const value = number(gguf, key, otherwise)
  if (!Number.isSafeInteger(value) || value < 1) throw damaged(gguf.file, `a whole, positive ${key}`, `${value}`)
  return value
}

function numberOrNull(gguf: GgufFile, key: string): number | null {
  return gguf.metadata.has(key) ? number(gguf, key) : null
}
