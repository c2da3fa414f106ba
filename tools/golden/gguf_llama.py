"""The tiny Llama model as a GGUF file, written as llama.cpp's converter writes one, and what transformers reads out of it.

Each kind of tensor has a number format of its own, so that one small file holds all of them. Tokenizers are what the Python
library makes of the same vocabulary with each kind's published pattern; names of special tokens in a text are text.

    python tools/golden/tiny_llama.py && python tools/golden/gguf_llama.py
"""

import hashlib
import importlib.metadata
import json

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from safetensors.torch import load_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM

from golden_file import GOLDEN, write
from smollm2 import MORE_STRINGS
from tiny_llama import END, STRINGS, VOCABULARY, utf16_offsets

SOURCE = GOLDEN / "tiny-llama"
FILE = "tiny-llama.gguf"
NAMES = {
    "input_layernorm": ("attn_norm", Type.F32),
    "self_attn.q_proj": ("attn_q", Type.Q8_0),
    "self_attn.k_proj": ("attn_k", Type.Q4_0),
    "self_attn.v_proj": ("attn_v", Type.F16),
    "self_attn.o_proj": ("attn_output", Type.Q4_1),
    "post_attention_layernorm": ("ffn_norm", Type.F32),
    "mlp.gate_proj": ("ffn_gate", Type.Q4_1),
    "mlp.up_proj": ("ffn_up", Type.BF16),
    "mlp.down_proj": ("ffn_down", Type.Q4_1),
}
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level(use_regex=True):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), behavior="isolated"), byte_level(False)])


CUTS = {
    "gpt-2": byte_level(),
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level()]),
    "llama-bpe": split(LLAMA3),
    "qwen2": split(QWEN2),
}


def train_tokenizer():
    """A vocabulary learned from uncut text: its merges run over every border that a kind of pre-tokenizer may draw."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = byte_level(False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*STRINGS, *MORE_STRINGS], trainer)
    assert tokenizer.get_vocab_size() == VOCABULARY
    return json.loads(tokenizer.to_str())


def permute(weight, heads):
    """Rows as llama.cpp wants them (convert_hf_to_gguf.py, LlamaModel.permute)."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def target(name, config):
    if name == "model.embed_tokens.weight":
        return "token_embd.weight", Type.Q8_0, None
    if name == "model.norm.weight":
        return "output_norm.weight", Type.F32, None
    _, _, layer, *place, kind = name.split(".")
    part, format = NAMES[".".join(place)]
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}.get(part)
    return f"blk.{layer}.{part}.{kind}", format, heads


def write_gguf(config, tokenizer):
    writer = gguf.GGUFWriter(GOLDEN / FILE, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    model = tokenizer["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    special = {token["content"] for token in tokenizer["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    for name, weight in load_file(SOURCE / "model.safetensors").items():
        place, format, heads = target(name, config)
        data = permute(weight.numpy(), heads) if heads else weight.numpy()
        writer.add_tensor(place, gguf.quants.quantize(np.ascontiguousarray(data), format), raw_dtype=format)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def weights():
    model = AutoModelForCausalLM.from_pretrained(GOLDEN, gguf_file=FILE, dtype=torch.float32)
    state = {name: values for name, values in model.state_dict().items() if name != "lm_head.weight"}
    return [
        {"name": name, "shape": list(values.shape), "sha256": hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()}
        for name, values in state.items()
    ]


def encodings(tokenizer, kind):
    model = tokenizer["model"]
    native = Tokenizer(models.BPE(vocab=model["vocab"], merges=[tuple(merge) for merge in model["merges"]]))
    native.pre_tokenizer = CUTS[kind]
    native.decoder = decoders.ByteLevel()
    rows = []
    for text in [*STRINGS, *MORE_STRINGS]:
        encoding = native.encode(text)
        rows.append({"text": text, "ids": encoding.ids, "offsets": utf16_offsets(text, encoding.offsets)})
    return {"kind": kind, "rows": rows}


def main():
    torch.set_num_threads(1)
    config = json.loads((SOURCE / "config.json").read_text())
    tokenizer = train_tokenizer()
    write_gguf(config, tokenizer)
    write("gguf-llama", "gguf_llama.py", None, {
        "gguf": importlib.metadata.version("gguf"),
        "weights": weights(),
        "tokenizers": [encodings(tokenizer, kind) for kind in CUTS],
    })


if __name__ == "__main__":
    main()
