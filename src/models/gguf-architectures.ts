/**
 * The architectures that llama.cpp's converter (convert_hf_to_gguf.py) writes and we read, a row each: what their metadata means in
 * a Hugging Face `config.json`, what their tensors are called in a checkpoint, and what was done to tensors on the way in.
 * Names: `attn_q` of layer 3 is `blk.3.attn_q.weight` there and `model.layers.3.self_attn.q_proj.weight` here. What the format
 * does not store (an activation, a scale of the queries) is what llama.cpp itself computes with.
 */
import { damaged } from './gguf.ts'
import type { GgufReader } from './gguf-metadata.ts'
import { ropeParameters } from './gguf-rope.ts'
import type { JsonObject } from './json.ts'

/** What was done to a tensor in a GGUF file, to be undone. */
export interface Undo {
  /** The source row of each row. */
  readonly sourceRow?: (row: number) => number
  /** Added to each number. */
  readonly addend?: number
  /** Whether rows and columns change places. */
  readonly transposed?: boolean
}

/** Layers of one kind: `blk.3.attn_q` is `<place>.3.<name>`. */
export interface LayerNames {
  /** What a layer's tensors begin with in the file: `blk`, `enc.blk`. */
  readonly prefix: string
  /** What they begin with in the checkpoint: `model.layers`. */
  readonly place: string
  readonly names: Readonly<Record<string, string>>
}

/** A row: one value of `general.architecture`. */
export interface GgufArchitecture {
  /** Tensors outside the layers, without `.weight` or `.bias`. */
  readonly names: Readonly<Record<string, string>>
  layers(read: GgufReader): readonly LayerNames[]
  /** @throws E_GGUF for what is missing or would change the computation in a way the configuration cannot say. */
  config(read: GgufReader): JsonObject
  /** How a tensor is put back, by its name in the file; `config` is what {@link config} gave. */
  undo?(part: string, tensor: UndoQuestion): Undo
}

/** A tensor about which {@link GgufArchitecture.undo} is asked. */
export interface UndoQuestion {
  readonly kind: 'weight' | 'bias'
  readonly rows: number
  readonly config: JsonObject
}

const DECODER = { token_embd: 'model.embed_tokens', output_norm: 'model.norm', output: 'lm_head' }
const { output: _, ...TIED_DECODER } = DECODER
const ATTENTION = {
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
}
const GATED = { ffn_gate: 'mlp.gate_proj', ffn_up: 'mlp.up_proj', ffn_down: 'mlp.down_proj' }
const TWO_NORMS = { attn_norm: 'input_layernorm', ffn_norm: 'post_attention_layernorm' }
const FOUR_NORMS = {
  attn_norm: 'input_layernorm',
  post_attention_norm: 'post_attention_layernorm',
  ffn_norm: 'pre_feedforward_layernorm',
  post_ffw_norm: 'post_feedforward_layernorm',
}
const HEAD_NORMS = { attn_q_norm: 'self_attn.q_norm', attn_k_norm: 'self_attn.k_norm' }

const blocks = (place: string, names: Readonly<Record<string, string>>) => (): readonly LayerNames[] => [
  { prefix: 'blk', place, names },
]

/** Every architecture that can be read, by its name in GGUF files. */
export const GGUF_ARCHITECTURES: Readonly<Record<string, GgufArchitecture>> = {
  llama: {
    names: DECODER,
    layers: blocks('model.layers', { ...TWO_NORMS, ...ATTENTION, ...GATED }),
    config: (read) => ({
      ...decoder(read, 'llama', 'LlamaForCausalLM'),
      hidden_act: 'silu',
      attention_bias: read.hasTensor('blk.0.attn_q.bias'),
      mlp_bias: read.hasTensor('blk.0.ffn_up.bias'),
      rope_parameters: wholeHeadRope(read),
    }),
    // llama.cpp's rotary embedding pairs neighbours (2j, 2j+1) for this architecture, Hugging Face's pairs halves (j, j + d/2).
    undo(part, { rows, config }) {
      if (part === 'attn_q') return { sourceRow: halvesFromNeighbours(rows, Number(config.num_attention_heads)) }
      if (part === 'attn_k') return { sourceRow: halvesFromNeighbours(rows, Number(config.num_key_value_heads)) }
      return {}
    },
  },

  qwen2: {
    names: DECODER,
    layers: blocks('model.layers', { ...TWO_NORMS, ...ATTENTION, ...GATED }),
    config: (read) => ({
      ...decoder(read, 'qwen2', 'Qwen2ForCausalLM'),
      hidden_act: 'silu',
      use_sliding_window: false,
      rope_parameters: wholeHeadRope(read),
    }),
  },

  qwen3: {
    names: DECODER,
    layers: blocks('model.layers', { ...TWO_NORMS, ...ATTENTION, ...HEAD_NORMS, ...GATED }),
    config: (read) => ({
      ...decoder(read, 'qwen3', 'Qwen3ForCausalLM'),
      hidden_act: 'silu',
      attention_bias: read.hasTensor('blk.0.attn_q.bias'),
      use_sliding_window: false,
      rope_parameters: wholeHeadRope(read),
    }),
  },

  gemma: {
    names: TIED_DECODER,
    layers: blocks('model.layers', { ...TWO_NORMS, ...ATTENTION, ...GATED }),
    config: (read) => ({
      ...decoder(read, 'gemma', 'GemmaForCausalLM'),
      hidden_act: 'gelu_pytorch_tanh',
      attention_bias: false,
      rope_parameters: wholeHeadRope(read),
    }),
    undo: normsOfGemma,
  },

  gemma2: {
    names: TIED_DECODER,
    layers: blocks('model.layers', { ...FOUR_NORMS, ...ATTENTION, ...GATED }),
    config: (read) => ({
      ...decoder(read, 'gemma2', 'Gemma2ForCausalLM'),
      ...gemmaAttention(read, { largest: GEMMA2_27B_LAYERS, everyNth: 2 }),
      hidden_activation: 'gelu_pytorch_tanh',
      attention_bias: false,
      sliding_window: read.size('attention.sliding_window', GEMMA2_WINDOW),
      attn_logit_softcapping: read.number('attn_logit_softcapping', GEMMA2_SCORE_CAP),
      final_logit_softcapping: read.number('final_logit_softcapping', GEMMA2_LOGIT_CAP),
      rope_parameters: wholeHeadRope(read),
    }),
    undo: normsOfGemma,
  },

  gemma3: {
    names: DECODER,
    layers: blocks('model.layers', { ...FOUR_NORMS, ...ATTENTION, ...HEAD_NORMS, ...GATED }),
    config: (read) => ({
      ...decoder(read, 'gemma3_text', 'Gemma3ForCausalLM'),
      ...gemmaAttention(read, { largest: GEMMA3_27B_LAYERS, everyNth: 6 }),
      hidden_activation: 'gelu_pytorch_tanh',
      attention_bias: false,
      attn_logit_softcapping: null,
      final_logit_softcapping: read.has('final_logit_softcapping') ? read.number('final_logit_softcapping') : null,
      rope_parameters: {
        full_attention: wholeHeadRope(read),
        sliding_attention: { rope_type: 'default', rope_theta: read.number('rope.freq_base_swa', GEMMA3_LOCAL_BASE) },
      },
    }),
    undo: normsOfGemma,
  },

  phi3: {
    names: DECODER,
    layers: blocks('model.layers', {
      ...TWO_NORMS,
      attn_qkv: 'self_attn.qkv_proj',
      attn_output: 'self_attn.o_proj',
      ffn_up: 'mlp.gate_up_proj',
      ffn_down: 'mlp.down_proj',
    }),
    config: (read) => ({
      ...decoder(read, 'phi3', 'Phi3ForCausalLM'),
      hidden_act: 'silu',
      original_max_position_embeddings: read.size('rope.scaling.original_context_length', read.size('context_length')),
      // The converter writes 0 where the model has no window.
      sliding_window: read.number('attention.sliding_window', 0) || null,
      rope_parameters: ropeParameters(read, headWidth(read)),
    }),
  },

  gpt2: {
    names: {
      token_embd: 'transformer.wte',
      position_embd: 'transformer.wpe',
      output_norm: 'transformer.ln_f',
      output: 'lm_head',
    },
    layers: blocks('transformer.h', {
      attn_norm: 'ln_1',
      attn_qkv: 'attn.c_attn',
      attn_output: 'attn.c_proj',
      ffn_norm: 'ln_2',
      ffn_up: 'mlp.c_fc',
      ffn_down: 'mlp.c_proj',
    }),
    config: (read) => ({
      ...shared(read, 'gpt2', 'GPT2LMHeadModel'),
      n_embd: read.size('embedding_length'),
      n_layer: read.size('block_count'),
      n_head: read.size('attention.head_count'),
      n_positions: read.size('context_length'),
      n_inner: read.size('feed_forward_length', 4 * read.size('embedding_length')),
      layer_norm_epsilon: read.number('attention.layer_norm_epsilon'),
      activation_function: 'gelu_new',
    }),
    // Hugging Face's GPT-2 keeps its linear layers as [in, out].
    undo: (part, { kind }) =>
      /^(attn_qkv|attn_output|ffn_up|ffn_down)$/.test(part) && kind === 'weight' ? TURNED : {},
  },

  gptneox: {
    names: { token_embd: 'gpt_neox.embed_in', output_norm: 'gpt_neox.final_layer_norm', output: 'embed_out' },
    layers: blocks('gpt_neox.layers', {
      ...TWO_NORMS,
      attn_qkv: 'attention.query_key_value',
      attn_output: 'attention.dense',
      ffn_up: 'mlp.dense_h_to_4h',
      ffn_down: 'mlp.dense_4h_to_h',
    }),
    config: (read) => ({
      ...shared(read, 'gpt_neox', 'GPTNeoXForCausalLM'),
      ...sizes(read),
      layer_norm_eps: read.number('attention.layer_norm_epsilon'),
      hidden_act: 'gelu',
      use_parallel_residual: read.value('use_parallel_residual') !== false,
      attention_bias: read.hasTensor('blk.0.attn_qkv.bias'),
      rope_parameters: ropeParameters(read, headWidth(read)),
    }),
    // The converter puts all queries before all keys before all values; Hugging Face's rows go head by head.
    undo(part, { rows, config }) {
      if (part !== 'attn_qkv') return {}
      const heads = Number(config.num_attention_heads)
      const headRows = rows / 3 / heads
      const third = (row: number) => Math.floor(row / headRows) % 3
      return {
        sourceRow: (row) => (third(row) * heads + Math.floor(row / headRows / 3)) * headRows + (row % headRows),
      }
    },
  },

  t5: {
    names: {
      token_embd: 'shared',
      'enc.output_norm': 'encoder.final_layer_norm',
      'dec.output_norm': 'decoder.final_layer_norm',
      output: 'lm_head',
    },
    layers: (read) => [
      {
        prefix: 'enc.blk',
        place: 'encoder.block',
        names: { ...t5Attention('attn', 'layer.0', 'SelfAttention'), ...t5FeedForward(read, 'layer.1') },
      },
      {
        prefix: 'dec.blk',
        place: 'decoder.block',
        names: {
          ...t5Attention('attn', 'layer.0', 'SelfAttention'),
          ...t5Attention('cross_attn', 'layer.1', 'EncDecAttention'),
          ...t5FeedForward(read, 'layer.2'),
        },
      },
    ],
    config: t5Config,
  },

  bert: {
    names: {
      token_embd: 'embeddings.word_embeddings',
      position_embd: 'embeddings.position_embeddings',
      token_types: 'embeddings.token_type_embeddings',
      token_embd_norm: 'embeddings.LayerNorm',
    },
    layers: blocks('encoder.layer', {
      attn_q: 'attention.self.query',
      attn_k: 'attention.self.key',
      attn_v: 'attention.self.value',
      attn_output: 'attention.output.dense',
      attn_output_norm: 'attention.output.LayerNorm',
      ffn_up: 'intermediate.dense',
      ffn_down: 'output.dense',
      layer_output_norm: 'output.LayerNorm',
    }),
    config: (read) => ({
      ...shared(read, 'bert', 'BertModel'),
      ...sizes(read),
      layer_norm_eps: read.number('attention.layer_norm_epsilon'),
      type_vocab_size: read.rows('token_types.weight'),
      hidden_act: 'gelu',
    }),
  },
}

const TURNED: Undo = { transposed: true }
/** Layers of the two models whose queries are scaled by their share of the model's width. */
const GEMMA2_27B_LAYERS = 46
const GEMMA3_27B_LAYERS = 62
/** llama.cpp's values where a Gemma 2 file does not say. */
const GEMMA2_WINDOW = 4096
const GEMMA2_SCORE_CAP = 50
const GEMMA2_LOGIT_CAP = 30
const GEMMA3_LOCAL_BASE = 10_000
/** T5's own, and llama.cpp's; no file stores it. */
const T5_MAX_DISTANCE = 128

/** What every architecture's configuration has. */
function shared(read: GgufReader, modelType: string, className: string): JsonObject {
  const ends = ['eos', 'eot', 'eom'].map((role) => read.token(role)).filter((id) => id !== null)
  const distinct = [...new Set(ends)]
  return {
    architectures: [className],
    model_type: modelType,
    vocab_size: read.rows('token_embd.weight'),
    tie_word_embeddings: !read.hasTensor('output.weight'),
    bos_token_id: read.token('bos'),
    eos_token_id: distinct.length > 1 ? distinct : (distinct[0] ?? null),
    pad_token_id: read.token('padding'),
  }
}

function sizes(read: GgufReader): JsonObject {
  return {
    hidden_size: read.size('embedding_length'),
    intermediate_size: read.size('feed_forward_length'),
    num_hidden_layers: read.size('block_count'),
    num_attention_heads: read.size('attention.head_count'),
    max_position_embeddings: read.size('context_length'),
  }
}

/** What the configurations of the Llama-like decoders share. */
function decoder(read: GgufReader, modelType: string, className: string): JsonObject {
  read.only('attention.causal', true)
  for (const key of ['logit_scale', 'residual_scale', 'embedding_scale', 'attention.scale']) read.only(key, 0)
  return {
    ...shared(read, modelType, className),
    ...sizes(read),
    num_key_value_heads: read.size('attention.head_count_kv', read.size('attention.head_count')),
    head_dim: headWidth(read),
    rms_norm_eps: read.number('attention.layer_norm_rms_epsilon'),
  }
}

function headWidth(read: GgufReader): number {
  const width = read.size('attention.key_length', read.size('embedding_length') / read.size('attention.head_count'))
  read.only('attention.value_length', width)
  return width
}

function wholeHeadRope(read: GgufReader): JsonObject {
  read.only('rope.dimension_count', headWidth(read))
  return ropeParameters(read, headWidth(read))
}

/** Row (head, half, j) of the checkpoint is row (head, j, half) of the file. */
function halvesFromNeighbours(rows: number, heads: number): (row: number) => number {
  const headRows = rows / heads
  const half = headRows / 2
  return (row) => {
    const inHead = row % headRows
    return row - inHead + (inHead % half) * 2 + Math.floor(inHead / half)
  }
}

/** Gemma scales by 1 + w; llama.cpp's files hold the sum. */
function normsOfGemma(part: string): Undo {
  return part.endsWith('norm') ? { addend: -1 } : {}
}

/** The scale of the queries, and which layers see a window: all but every n-th, unless the file says otherwise. */
function gemmaAttention(read: GgufReader, { largest, everyNth }: { largest: number; everyNth: number }): JsonObject {
  const layers = read.size('block_count')
  const width = read.size('embedding_length') / read.size('attention.head_count')
  const window = read.number('attention.sliding_window', 0)
  return {
    query_pre_attn_scalar: layers === largest ? width : headWidth(read),
    sliding_window: window || null,
    layer_types: slidingLayers(read, { layers, everyNth: window === 0 ? 1 : everyNth }).map((slides) =>
      slides ? 'sliding_attention' : 'full_attention',
    ),
  }
}

function slidingLayers(read: GgufReader, { layers, everyNth }: { layers: number; everyNth: number }): boolean[] {
  const key = 'attention.sliding_window_pattern'
  const pattern = read.value(key)
  if (!Array.isArray(pattern)) {
    const n = read.size(key, everyNth)
    return Array.from({ length: layers }, (_, layer) => layer % n < n - 1)
  }
  if (pattern.length !== layers) throw damaged(read.gguf.file, `${layers} entries of ${key}`, `${pattern.length}`)
  return pattern.map(Boolean)
}

function t5Attention(part: string, layer: string, module: string): Readonly<Record<string, string>> {
  return {
    [`${part}_norm`]: `${layer}.layer_norm`,
    [`${part}_q`]: `${layer}.${module}.q`,
    [`${part}_k`]: `${layer}.${module}.k`,
    [`${part}_v`]: `${layer}.${module}.v`,
    [`${part}_o`]: `${layer}.${module}.o`,
    [`${part}_rel_b`]: `${layer}.${module}.relative_attention_bias`,
  }
}

/** The up-projection is called `wi`, or `wi_1` beside a gate. */
function t5FeedForward(read: GgufReader, layer: string): Readonly<Record<string, string>> {
  const module = `${layer}.DenseReluDense`
  return {
    ffn_norm: `${layer}.layer_norm`,
    ffn_gate: `${module}.wi_0`,
    ffn_up: isGated(read) ? `${module}.wi_1` : `${module}.wi`,
    ffn_down: `${module}.wo`,
  }
}

function isGated(read: GgufReader): boolean {
  return read.hasTensor('enc.blk.0.ffn_gate.weight')
}

function t5Config(read: GgufReader): JsonObject {
  if (read.hasTensor('enc.blk.1.attn_rel_b.weight')) {
    throw damaged(read.gguf.file, 'position biases in the first layer only, as T5 has', 'some in the second (UMT5)')
  }
  const layers = read.size('block_count')
  return {
    ...shared(read, 't5', 'T5ForConditionalGeneration'),
    is_encoder_decoder: true,
    d_model: read.size('embedding_length'),
    d_kv: read.size('attention.key_length'),
    d_ff: read.size('feed_forward_length'),
    num_layers: layers,
    num_decoder_layers: read.size('decoder_block_count', layers),
    num_heads: read.size('attention.head_count'),
    n_positions: read.size('context_length'),
    relative_attention_num_buckets: read.size('attention.relative_buckets_count'),
    relative_attention_max_distance: T5_MAX_DISTANCE,
    layer_norm_epsilon: read.number('attention.layer_norm_rms_epsilon'),
    feed_forward_proj: isGated(read) ? 'gated-gelu' : 'relu',
    decoder_start_token_id: read.number('decoder_start_token_id', read.token('padding') ?? 0),
  }
}
