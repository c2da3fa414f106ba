"""Tiny models of every architecture that llama.cpp's converter writes, as GGUF files, beside what their checkpoints hold.

Random weights in transformers' own classes; names from the Python package `gguf`; metadata and changed tensors as in llama.cpp's
conversion/*.py. Weights are multiples of 2^-10, so that adding 1 and taking it away again loses nothing.

    python tools/golden/gguf_checkpoints.py
"""

import hashlib
import importlib.metadata
import math

import gguf
import numpy as np
import torch
import transformers as t

from golden_file import GOLDEN, flat, write

SEED = 11
FOLDER = GOLDEN / "gguf"
GRID = 1024
TOKENS = [1, 5, 9, 20, 33, 7, 5, 47]
COMMON = {"vocab_size": 48, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
DECODER = {
    **COMMON,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
# Settings of training and of the library that change nothing of what a model computes.
IDLE = {
    "_attn_implementation_internal", "_name_or_path", "_sliding_window_pattern", "add_cross_attention", "architectures",
    "attention_dropout", "attention_probs_dropout_prob", "attn_pdrop", "chunk_size_feed_forward", "classifier_dropout",
    "dense_act_fn", "dropout_rate", "dtype", "embd_pdrop", "hidden_dropout", "hidden_dropout_prob", "id2label",
    "initializer_factor", "initializer_range", "is_decoder", "is_gated_act", "label2id", "max_window_layers",
    "output_attentions", "output_hidden_states", "pretraining_tp", "problem_type", "reorder_and_upcast_attn",
    "resid_pdrop", "return_dict", "scale_attn_by_inverse_layer_idx", "scale_attn_weights", "scale_decoder_outputs",
    "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj",
    "transformers_version", "use_bidirectional_attention", "use_cache",
}  # fmt: skip
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 30.0}
LONG = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "partial_rotary_factor": 0.5,
    "long_factor": [1.5, 4.0],
    "short_factor": [1.0, 1.25],
}


def permute(weight, heads):
    """LlamaModel.permute."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def change_llama(name, weight, config):
    if ".q_proj." in name:
        return permute(weight, config.num_attention_heads)
    return permute(weight, config.num_key_value_heads) if ".k_proj." in name else weight


def change_gemma(name, weight, _):
    return weight + np.float32(1) if name.endswith("norm.weight") else weight


def change_gpt2(name, weight, _):
    return weight.T if name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")) else weight


def change_gptneox(name, weight, config):
    if ".query_key_value." not in name:
        return weight
    split = weight.reshape(config.num_attention_heads, 3, -1, *weight.shape[1:])
    return np.concatenate([split[:, part].reshape(-1, *weight.shape[1:]) for part in range(3)])


def keep(_, weight, __):
    return weight


def add_rope(writer, config, scaled=True):
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    writer.add_rope_freq_base(rope["rope_theta"])
    if scaled and rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if scaled and rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])


def add_text_model(writer, config):
    """TextModel.set_gguf_parameters."""
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    if getattr(config, "num_key_value_heads", None):
        writer.add_head_count_kv(config.num_key_value_heads)
    if getattr(config, "rope_parameters", None):
        add_rope(writer, config)
    if hasattr(config, "rms_norm_eps"):
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if hasattr(config, "layer_norm_eps"):
        writer.add_layer_norm_eps(config.layer_norm_eps)
    if getattr(config, "head_dim", None):
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)


def add_llama(writer, config):
    add_text_model(writer, config)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(config.head_dim)
    rope = config.rope_parameters
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_divisors(rope, config.head_dim))


def llama3_divisors(rope, dim):
    """LlamaModel.generate_extra_tensors."""
    divisors = []
    for freq in 1.0 / (rope["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim)):
        wavelen = 2 * math.pi / freq
        context, low, high = rope["original_max_position_embeddings"], rope["low_freq_factor"], rope["high_freq_factor"]
        if wavelen < context / high:
            divisors.append(1)
        elif wavelen > context / low:
            divisors.append(rope["factor"])
        else:
            smooth = (context / wavelen - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return torch.tensor(divisors, dtype=torch.float32).numpy()


def add_gemma(writer, config):
    """GemmaModel writes no base of the rotary embedding."""
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)


def add_gemma2(writer, config):
    add_gemma(writer, config)
    writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
    writer.add_final_logit_softcapping(config.final_logit_softcapping)
    writer.add_sliding_window(config.sliding_window)


def add_gemma3(writer, config):
    add_text_model(writer, config)
    if config.final_logit_softcapping:
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    writer.add_rope_freq_base_swa(config.rope_parameters["sliding_attention"]["rope_theta"])
    writer.add_sliding_window(config.sliding_window)


def add_phi3(writer, config):
    rope = config.rope_parameters
    share = rope.get("partial_rotary_factor", 1.0)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(int(share * config.hidden_size) // config.num_attention_heads)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_sliding_window(config.sliding_window or 0)
    if "long_factor" in rope:
        original = config.original_max_position_embeddings
        scale = config.max_position_embeddings / original
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))
        writer.add_tensor("rope_factors_long.weight", np.float32(rope["long_factor"]))
        writer.add_tensor("rope_factors_short.weight", np.float32(rope["short_factor"]))


def add_gpt2(writer, config):
    writer.add_block_count(config.n_layer)
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_feed_forward_length(4 * config.n_embd)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)


def add_gptneox(writer, config):
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    share = config.rope_parameters["partial_rotary_factor"]
    writer.add_rope_dimension_count(int(share * (config.hidden_size // config.num_attention_heads)))
    writer.add_head_count(config.num_attention_heads)
    writer.add_parallel_residual(config.use_parallel_residual)
    writer.add_layer_norm_eps(config.layer_norm_eps)


def add_t5(writer, config):
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.d_model)
    writer.add_feed_forward_length(config.d_ff)
    writer.add_block_count(config.num_layers)
    writer.add_decoder_block_count(config.num_decoder_layers)
    writer.add_head_count(config.num_heads)
    writer.add_key_length(config.d_kv)
    writer.add_value_length(config.d_kv)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_relative_attn_buckets_count(config.relative_attention_num_buckets)
    writer.add_layer_norm_rms_eps(config.layer_norm_epsilon)
    writer.add_decoder_start_token_id(config.decoder_start_token_id)


def add_bert(writer, config):
    add_text_model(writer, config)
    writer.add_causal_attention(False)
    writer.add_token_type_count(config.type_vocab_size)


T5 = {
    "vocab_size": 48, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4,
    "n_positions": 64, "relative_attention_num_buckets": 8, "decoder_start_token_id": 0, "pad_token_id": 0,
    "eos_token_id": 1, "bos_token_id": None,
}  # fmt: skip
GPT2 = {"vocab_size": 48, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 64, "bos_token_id": 1, "eos_token_id": 2}
# name, architecture, class, configuration, metadata, changed tensors
MODELS = [
    ("llama", "llama", t.LlamaForCausalLM, t.LlamaConfig(**DECODER, rope_parameters=LLAMA3), add_llama, change_llama),
    ("llama-biased", "llama", t.LlamaForCausalLM, t.LlamaConfig(
        **DECODER, rope_parameters=YARN, attention_bias=True, mlp_bias=True, tie_word_embeddings=True, head_dim=8,
    ), add_llama, change_llama),
    ("qwen2", "qwen2", t.Qwen2ForCausalLM, t.Qwen2Config(
        **DECODER, tie_word_embeddings=True,
        rope_parameters={"rope_type": "linear", "rope_theta": 1000000.0, "factor": 2.0},
    ), add_text_model, keep),
    ("qwen3", "qwen3", t.Qwen3ForCausalLM, t.Qwen3Config(**DECODER, head_dim=8), add_text_model, keep),
    ("gemma", "gemma", t.GemmaForCausalLM, t.GemmaConfig(**DECODER, head_dim=8), add_gemma, change_gemma),
    ("gemma2", "gemma2", t.Gemma2ForCausalLM, t.Gemma2Config(
        **{**DECODER, "num_hidden_layers": 3}, head_dim=8, query_pre_attn_scalar=8, sliding_window=16,
    ), add_gemma2, change_gemma),
    ("gemma3", "gemma3", t.Gemma3ForCausalLM, t.Gemma3TextConfig(
        **{**DECODER, "num_hidden_layers": 7, "hidden_size": 8, "intermediate_size": 12}, head_dim=4,
        query_pre_attn_scalar=4, sliding_window=16, rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
        },
    ), add_gemma3, change_gemma),
    ("phi3", "phi3", t.Phi3ForCausalLM, t.Phi3Config(
        **{**DECODER, "hidden_size": 32}, original_max_position_embeddings=16, sliding_window=20, rope_parameters=LONG,
    ), add_phi3, keep),
    ("phi3-plain", "phi3", t.Phi3ForCausalLM, t.Phi3Config(
        **DECODER, original_max_position_embeddings=64, tie_word_embeddings=True,
    ), add_phi3, keep),
    ("gpt2", "gpt2", t.GPT2LMHeadModel, t.GPT2Config(**GPT2), add_gpt2, change_gpt2),
    ("gptneox", "gptneox", t.GPTNeoXForCausalLM, t.GPTNeoXConfig(
        **{k: v for k, v in DECODER.items() if k != "num_key_value_heads"}, use_parallel_residual=False,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
    ), add_gptneox, change_gptneox),
    ("t5", "t5", t.T5ForConditionalGeneration, t.T5Config(**T5), add_t5, keep),
    ("t5-gated", "t5", t.T5ForConditionalGeneration, t.T5Config(
        **{**T5, "num_decoder_layers": 1}, feed_forward_proj="gated-gelu", tie_word_embeddings=False,
    ), add_t5, keep),
    ("bert", "bert", t.BertModel, t.BertConfig(
        **{k: v for k, v in DECODER.items() if k != "num_key_value_heads"}, type_vocab_size=2,
    ), add_bert, keep),
]  # fmt: skip


def checkpoint(model_class, config, generator):
    """A model with weights on the grid, and the tensors that its checkpoint holds."""
    model = model_class(config).eval()
    stored = {}
    shared = set()
    for name, weight in model.state_dict().items():
        if weight.data_ptr() in shared or "pooler" in name:  # llama.cpp keeps no pooler
            continue
        shared.add(weight.data_ptr())
        stored[name] = on_grid(weight.shape, generator)
        weight.copy_(torch.from_numpy(stored[name]))
    if model_class is t.GPTNeoXForCausalLM:  # its class and its files call the head differently
        stored["embed_out.weight"] = stored.pop("lm_head.weight")
    if model_class is t.T5ForConditionalGeneration and not config.scale_decoder_outputs:  # the class ties heads, T5 v1.1 does not
        stored["lm_head.weight"] = on_grid(stored["shared.weight"].shape, generator)
    return model, stored


def logits(model):
    """Of a decoder, what it says after the last token."""
    if not model.can_generate() or model.config.is_encoder_decoder:
        return None
    with torch.no_grad():
        return flat(model(torch.tensor([TOKENS])).logits[0, -1])


def on_grid(shape, generator):
    return (torch.round(torch.randn(shape, generator=generator) * GRID / 2) / GRID).numpy()


def meaning(config, stored):
    """What of a configuration matters, with what the class works out itself where the file is silent."""
    kept = {key: value for key, value in config.to_dict().items() if key not in IDLE}
    if not kept["is_encoder_decoder"]:
        del kept["is_encoder_decoder"]
    if kept.get("use_sliding_window") is False:
        del kept["sliding_window"], kept["layer_types"]
    if kept["model_type"] in ("qwen2", "phi3"):
        kept["head_dim"] = kept["hidden_size"] // kept["num_attention_heads"]
    if kept["model_type"] == "gpt2":
        kept["n_inner"] = 4 * kept["n_embd"]
    if "lm_head.weight" in stored:
        kept["tie_word_embeddings"] = False
    return kept


def write_gguf(name, architecture, stored, config, add_metadata, change):
    writer = gguf.GGUFWriter(FOLDER / f"{name}.gguf", architecture)
    for role in ("bos", "eos", "pad"):
        token = getattr(config, f"{role}_token_id")
        if token is not None:
            getattr(writer, f"add_{role}_token_id")(token)
    add_metadata(writer, config)
    arch = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == architecture)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    for tensor, weight in stored.items():
        writer.add_tensor(names.get_name(tensor, try_suffixes=(".weight", ".bias")), np.ascontiguousarray(change(tensor, weight, config)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(SEED)
    models = []
    for name, architecture, model_class, config, add_metadata, change in MODELS:
        model, stored = checkpoint(model_class, config, generator)
        write_gguf(name, architecture, stored, config, add_metadata, change)
        models.append({
            "name": name,
            "config": meaning(config, stored),
            "tensors": {key: [list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()[:16]] for key, value in stored.items()},
            "logits": logits(model),
        })
    write("gguf-checkpoints", "gguf_checkpoints.py", SEED, {"gguf": importlib.metadata.version("gguf"), "tokens": TOKENS, "models": models})


if __name__ == "__main__":
    main()
