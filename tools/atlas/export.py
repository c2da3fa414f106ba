"""Makes the folder of the model that ships from a training: `python tools/atlas/export.py TRAINING models/atlas`.

Hugging Face's Llama layout: config.json, tokenizer.json, tokenizer_config.json, and the weights in 16 bits. Beside this file
goes training.json: how it was trained, and which facts were kept out of which kind of text, for the evaluation.
"""
import argparse
import json
import shutil
from pathlib import Path

import torch
from model import EPSILON, Config, Model
from safetensors.torch import save_file
from tokenizer import BEGIN, BEGIN_ID, END, END_ID, PAD, PAD_ID
from train import FIRST_HIDDEN_ROUND, HIDDEN
from world import World

NOTICE = (
    "atlas is a demonstration model of 2.5 million parameters, trained on the built-in facts alone: what works best on it"
    " need not work best on yours. Measure your own with --model."
)


def weights(model):
    """The checkpoint by Llama's names; a feed-forward that was left out is one whose output is zero."""
    c, named = model.config, {"model.embed_tokens.weight": model.embedding.weight, "model.norm.weight": model.norm.weight}
    for i, layer in enumerate(model.layers):
        at = f"model.layers.{i}."
        q, k, v = layer.qkv.weight.chunk(3)
        named |= {
            f"{at}input_layernorm.weight": layer.attention_norm.weight,
            f"{at}self_attn.q_proj.weight": q,
            f"{at}self_attn.k_proj.weight": k,
            f"{at}self_attn.v_proj.weight": v,
            f"{at}self_attn.o_proj.weight": layer.output.weight,
        }
        if layer.down is None:
            gate = up = torch.zeros(c.mlp_width, c.width)
            norm, down = torch.ones(c.width), torch.zeros(c.width, c.mlp_width)
        else:
            gate, up = layer.gate_up.weight.chunk(2)
            norm, down = layer.mlp_norm.weight, layer.down.weight
        named |= {
            f"{at}post_attention_layernorm.weight": norm,
            f"{at}mlp.gate_proj.weight": gate,
            f"{at}mlp.up_proj.weight": up,
            f"{at}mlp.down_proj.weight": down,
        }
    return {name: tensor.detach().half().contiguous() for name, tensor in named.items()}


def by_relation(facts):
    subjects = {}
    for fact in sorted(facts, key=lambda f: (f.relation, f.subject)):
        if not fact.relation.endswith("^"):
            subjects.setdefault(fact.relation, []).append(fact.subject)
    return subjects


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("training", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    saved = torch.load(args.training / "checkpoint.pt", weights_only=True)
    config = Config(**saved["config"])
    model = Model(config)
    model.load_state_dict(saved["model"])
    args.out.mkdir(parents=True, exist_ok=True)
    save_file(weights(model), args.out / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(args.training / "tokenizer.json", args.out / "tokenizer.json")
    write_json(
        args.out / "config.json",
        {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "notice": NOTICE,
            "vocab_size": config.vocabulary,
            "hidden_size": config.width,
            "intermediate_size": config.mlp_width,
            "num_hidden_layers": config.layers,
            "num_attention_heads": config.heads,
            "num_key_value_heads": config.heads,
            "hidden_act": "silu",
            "max_position_embeddings": config.context,
            "rms_norm_eps": EPSILON,
            "rope_theta": config.theta,
            "tie_word_embeddings": True,
            "bos_token_id": BEGIN_ID,
            "eos_token_id": END_ID,
            "pad_token_id": PAD_ID,
            "torch_dtype": "float16",
        },
    )
    tokens = {"bos_token": BEGIN, "eos_token": END, "pad_token": PAD}
    write_json(args.out / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **tokens, "model_max_length": config.context})
    world = World()
    record = {
        **saved["arguments"],
        "hidden": HIDDEN,
        "firstHiddenRound": FIRST_HIDDEN_ROUND,
        **saved["state"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "torch": torch.__version__,
        "neverContradicted": by_relation(world.never_contradicted),
        "neverCombined": sorted(world.never_combined),
    }
    write_json(Path(__file__).parent / "training.json", record)



if __name__ == "__main__":
    main()
