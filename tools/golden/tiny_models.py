"""Tiny models of every architecture with random weights and what PyTorch says about them.

Two of each, with and without what the architecture leaves open (biases, windows, caps, tied heads, scaled rotary
embeddings, post-norms, …). Configurations are written as files on the hub have them, the older keys included. Rows of an
encoder-decoder are a prompt, which the encoder reads, and an answer, along which the decoder is led; positions of its
decoder count from the prompt's last token on.

    python tools/golden/tiny_models.py [name …]
"""

import json
import sys

import torch
from tokenizers import processors
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from golden_file import GOLDEN, flat, tensor, write
from tiny_llama import END, MARGIN, PROMPTS, VOCABULARY, Sites, save_safetensors, train_tokenizer

NEW_TOKENS = 10
COMMON = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0}
LLAMA = {**COMMON, "hidden_size": 24, "intermediate_size": 36, "num_hidden_layers": 3, "num_attention_heads": 4,
         "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "max_position_embeddings": 512, "hidden_act": "silu"}
GPT2 = {**COMMON, "n_embd": 24, "n_layer": 3, "n_head": 3, "n_positions": 128}
NEOX = {**COMMON, "hidden_size": 32, "intermediate_size": 36, "num_hidden_layers": 3, "num_attention_heads": 2,
        "max_position_embeddings": 128, "layer_norm_eps": 1e-5}
OPT = {**COMMON, "hidden_size": 24, "ffn_dim": 36, "num_hidden_layers": 3, "num_attention_heads": 3,
       "max_position_embeddings": 128, "pad_token_id": 0}
GEMMA = {**COMMON, "hidden_size": 24, "intermediate_size": 36, "num_hidden_layers": 4, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 8, "rms_norm_eps": 1e-6, "max_position_embeddings": 256, "pad_token_id": 0}
T5 = {**COMMON, "d_model": 24, "d_kv": 6, "d_ff": 36, "num_heads": 4, "num_layers": 2, "pad_token_id": 1,
      "decoder_start_token_id": 1, "layer_norm_epsilon": 1e-6}

# name → (model_type, configuration, what names leave out)
MODELS = {
    "tiny-gpt2": ("gpt2", {**GPT2, "n_embd": 32, "n_head": 2, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5}, "transformer."),
    "tiny-gpt2-scaled": ("gpt2", {**GPT2, "n_inner": 30, "activation_function": "relu",
                                  "scale_attn_by_inverse_layer_idx": True, "tie_word_embeddings": False}, ""),
    "tiny-gptj": ("gptj", {**GPT2, "n_head": 2, "n_embd": 32, "rotary_dim": 8, "activation_function": "gelu_new",
                           "tie_word_embeddings": False}, ""),
    "tiny-gptj-whole": ("gptj", {**GPT2, "n_head": 2, "n_embd": 32, "n_inner": 36, "rotary_dim": 16,
                                 "activation_function": "gelu_new", "tie_word_embeddings": False}, ""),
    "tiny-gpt-neox": ("gpt_neox", {**NEOX, "num_attention_heads": 1, "rotary_pct": 0.5, "rotary_emb_base": 10000, "use_parallel_residual": True,
                                   "hidden_act": "gelu", "tie_word_embeddings": False}, ""),
    "tiny-gpt-neox-serial": ("gpt_neox", {**NEOX, "rotary_pct": 1.0, "rotary_emb_base": 500, "use_parallel_residual": False,
                                          "hidden_act": "gelu_fast", "attention_bias": False,
                                          "tie_word_embeddings": False}, ""),
    "tiny-opt": ("opt", {**OPT, "hidden_size": 32, "num_attention_heads": 2, "do_layer_norm_before": True, "activation_function": "relu"}, "model."),
    "tiny-opt-post-norm": ("opt", {**OPT, "do_layer_norm_before": False, "word_embed_proj_dim": 16, "enable_bias": False,
                                   "activation_function": "gelu"}, ""),
    "tiny-llama3": ("llama", {**LLAMA, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True,
                              "rope_theta": 500.0, "rope_scaling": {
                                  "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                  "original_max_position_embeddings": 32}}, ""),
    "tiny-llama-yarn": ("llama", {**LLAMA, "head_dim": 16, "tie_word_embeddings": True, "rope_theta": 100.0,
                                  "rope_scaling": {"type": "yarn", "factor": 4.0,
                                                   "original_max_position_embeddings": 128}}, "model."),
    "tiny-llama-linear": ("llama", {**LLAMA, "tie_word_embeddings": True,
                                    "rope_scaling": {"type": "linear", "factor": 2.5}}, ""),
    "tiny-llama-dynamic": ("llama", {**LLAMA, "tie_word_embeddings": True,
                                     "rope_scaling": {"type": "dynamic", "factor": 2.0}}, ""),
    "tiny-mistral": ("mistral", {**LLAMA, "sliding_window": 4, "head_dim": 16, "tie_word_embeddings": False}, ""),
    "tiny-mistral-whole": ("mistral", {**LLAMA, "sliding_window": None, "tie_word_embeddings": False}, ""),
    "tiny-qwen2-window": ("qwen2", {**LLAMA, "use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1,
                                    "tie_word_embeddings": False}, ""),
    "tiny-qwen3": ("qwen3", {**LLAMA, "head_dim": 16, "tie_word_embeddings": True, "use_sliding_window": False}, ""),
    "tiny-qwen3-biased": ("qwen3", {**LLAMA, "head_dim": 8, "attention_bias": True, "tie_word_embeddings": False}, ""),
    "tiny-phi3": ("phi3", {**LLAMA, "pad_token_id": 0, "tie_word_embeddings": False}, ""),
    "tiny-phi3-long": ("phi3", {**LLAMA, "pad_token_id": 0, "num_attention_heads": 3, "num_key_value_heads": 3,
                                "partial_rotary_factor": 0.5, "sliding_window": 5, "tie_word_embeddings": True,
                                "original_max_position_embeddings": 64,
                                "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.5],
                                                 "long_factor": [1.0, 4.0]}}, ""),
    "tiny-gemma": ("gemma", {**GEMMA, "hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh"}, ""),
    "tiny-gemma-wide": ("gemma", {**GEMMA, "head_dim": 16, "num_key_value_heads": 1, "num_hidden_layers": 3,
                                  "hidden_act": "silu", "attention_bias": True}, "model."),
    "tiny-gemma2": ("gemma2", {**GEMMA, "head_dim": 16, "query_pre_attn_scalar": 12, "sliding_window": 4,
                               "attn_logit_softcapping": 1.5, "final_logit_softcapping": 4.0,
                               "hidden_activation": "gelu_pytorch_tanh"}, ""),
    "tiny-gemma2-plain": ("gemma2", {**GEMMA, "query_pre_attn_scalar": 8, "sliding_window": 4,
                                     "attn_logit_softcapping": None, "final_logit_softcapping": None,
                                     "hidden_activation": "gelu_pytorch_tanh"}, ""),
    "tiny-gemma3": ("gemma3_text", {**GEMMA, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 4,
                                    "sliding_window_pattern": 3, "rope_theta": 1000000.0, "rope_local_base_freq": 100.0,
                                    "hidden_activation": "gelu_pytorch_tanh"}, ""),
    "tiny-gemma3-scaled": ("gemma3_text", {**GEMMA, "query_pre_attn_scalar": 8, "sliding_window": 3,
                                           "layer_types": ["sliding_attention", "full_attention", "full_attention",
                                                           "sliding_attention"],
                                           "rope_theta": 10000.0, "rope_local_base_freq": 500.0,
                                           "rope_scaling": {"rope_type": "linear", "factor": 8.0},
                                           "final_logit_softcapping": 5.0,
                                           "hidden_activation": "gelu_pytorch_tanh"}, ""),
    "tiny-t5": ("t5", {**T5, "feed_forward_proj": "relu", "tie_word_embeddings": True}, ""),
    "tiny-t5-gated": ("t5", {**T5, "num_decoder_layers": 3, "feed_forward_proj": "gated-gelu", "d_kv": 8,
                             "relative_attention_num_buckets": 8, "relative_attention_max_distance": 12,
                             "tie_word_embeddings": False}, ""),
}

# Where the sites of each architecture's layers are, by the names of modules.
DECODERS = {
    "gpt2": ("transformer.h", "attn.c_proj", "mlp", "mlp.c_proj"),
    "gptj": ("transformer.h", "attn.out_proj", "mlp", "mlp.fc_out"),
    "gpt_neox": ("gpt_neox.layers", "attention.dense", "mlp", "mlp.dense_4h_to_h"),
    "opt": ("model.decoder.layers", "self_attn.out_proj", "fc1", "fc2"),
}
LLAMA_SITES = ("model.layers", "self_attn.o_proj", "mlp", "mlp.down_proj")


class Layers:
    """A model's layers, encoder first: the module of each, and those of its sites."""

    def __init__(self, model, kind):
        self.encoder = 0
        if kind == "t5":
            self.encoder = len(model.encoder.block)
            self.all = [self._t5(f"encoder.block.{i}", block, 1) for i, block in enumerate(model.encoder.block)]
            self.all += [self._t5(f"decoder.block.{i}", block, 2) for i, block in enumerate(model.decoder.block)]
            return
        path, attention, mlp, down = DECODERS.get(kind, LLAMA_SITES)
        self.all = [(block, block.get_submodule(attention), block.get_submodule(mlp), f"{path}.{i}.{down}")
                    for i, block in enumerate(model.get_submodule(path))]
        self.all = [(block, out, before, model.get_submodule(name), name) for block, out, before, name in self.all]

    @staticmethod
    def _t5(path, block, which):
        dense = block.layer[which].DenseReluDense
        return block, block.layer[0].SelfAttention.o, dense, dense.wo, f"{path}.layer.{which}.DenseReluDense.wo"


class LayerSites(Sites):
    """Every site of every layer. Values are [1, T, width]."""

    def __init__(self, layers):
        self.seen, self.edits = {}, {}
        for index, (block, attention, mlp, down, _) in enumerate(layers.all):
            self._at(f"block-input.{index}", block, "input")
            self._at(f"attention-output.{index}", attention, "output")
            self._at(f"mlp-input.{index}", mlp, "input")
            self._at(f"mlp-inner.{index}", down, "input")
            self._at(f"mlp-output.{index}", down, "output")
            self._at(f"block-output.{index}", block, "output")


class Subject:
    """One model under test."""

    def __init__(self, name, seed):
        torch.manual_seed(seed)
        self.name = name
        self.kind, settings, self.left_out = MODELS[name]
        self.raw = {"model_type": self.kind, **settings}
        made = AutoConfig.for_model(self.kind, **json.loads(json.dumps(settings)), attn_implementation="eager")
        loader = AutoModelForSeq2SeqLM if self.kind == "t5" else AutoModelForCausalLM
        self.model = loader.from_config(made).float().eval().requires_grad_(False)
        self.isEncoderDecoder = self.kind == "t5"
        if self.isEncoderDecoder and not settings["tie_word_embeddings"]:
            # The library ties the two unless a checkpoint holds both.
            self.model.lm_head.weight = torch.nn.Parameter(torch.empty_like(self.model.shared.weight), requires_grad=False)
        self.raw["architectures"] = [type(self.model).__name__]
        for parameter_name, parameter in self.model.named_parameters():
            parameter.copy_(self._random(parameter_name, parameter))
        self.layers = Layers(self.model, self.kind)
        self.sites = LayerSites(self.layers)
        self.start = settings.get("decoder_start_token_id")

    def _random(self, name, parameter):
        if parameter.dim() == 1 and ("norm" in name or "ln_" in name) and name.endswith("weight"):
            low = -0.4 if self.kind.startswith("gemma") else 0.6
            return torch.empty_like(parameter).uniform_(low, low + 0.8)
        if parameter.dim() == 1:
            return torch.randn_like(parameter) * 0.5
        if "relative_attention_bias" in name:
            return torch.randn_like(parameter)
        if any(part in name for part in ("wpe", "embed_positions")):
            return torch.randn_like(parameter) * 0.4
        table = any(part in name for part in ("wte", "embed_tokens", "embed_in", "embed_out", "lm_head", "shared"))
        into = parameter.shape[1] if table or "c_" not in name else parameter.shape[0]
        # T5's tied head divides by √D again, and its attention does not.
        gain = (8.0 if "shared" in name else 2.0) if table else 0.6 if self.kind == "t5" and ".q." in name else 1.3
        return torch.randn_like(parameter) * gain / into**0.5

    def forward(self, row, prompt):
        """Logits of one row: every position, or those of the decoder [T, V]."""
        if not self.isEncoderDecoder:
            return self.model(torch.tensor([row]), use_cache=False).logits[0]
        inputs = torch.tensor([[self.start, *row[prompt:]]])
        return self.model(input_ids=torch.tensor([row[:prompt]]), decoder_input_ids=inputs, use_cache=False).logits[0]

    def first(self, site, prompt):
        """The position of the first row of a site's values, or of the logits."""
        if not self.isEncoderDecoder or (site != "logits" and int(site.split(".")[1]) < self.layers.encoder):
            return 0
        return prompt - 1

    def greedy(self, tokenizer, prompt):
        ids, new = tokenizer.encode(prompt).ids, []
        while len(new) < NEW_TOKENS:
            top = self.forward(ids + new, len(ids))[-1].topk(2)
            if top.values[0] - top.values[1] < MARGIN:
                raise NearTie(prompt)
            if int(top.indices[0]) == 0:
                break
            new.append(int(top.indices[0]))
        return {"prompt": prompt, "ids": new, "text": tokenizer.decode(new, skip_special_tokens=False)}

    def read(self, row, prompt):
        logits = self.forward(row, prompt)
        first = self.first("logits", prompt)
        following = torch.tensor(row[first + 1:])
        logProbs = torch.log_softmax(logits, -1)[:len(following)].gather(1, following[:, None]).reshape(-1)
        sites = {site: flat(values[0, -1]) for site, values in self.sites.seen.items()}
        entry = {"ids": row, "logits": flat(logits[-1]), "argmax": logits.argmax(-1).tolist(), "logProbs": flat(logProbs)}
        return {**entry, **({"prompt": prompt} if self.isEncoderDecoder else {}), "sites": sites}

    def differentiate(self, rows, case):
        value = torch.tensor(case["value"], requires_grad=True)
        weight = self.model.get_parameter(case["weight"])
        weight.requires_grad_(True)
        weight.grad = None
        terms = {"nll": 0, "kl": 0}
        for index, (row, prompt) in enumerate(rows):
            first = self.first(case["site"], prompt)

            def change(values, places=[at for at in case["at"] if at["row"] == index], first=first):
                values = values.clone()
                for at in places:
                    place, new = at["token"] - first, value[at["index"]]
                    values[0, place] = values[0, place] + new if case["mode"] == "add" else new
                return values

            self.sites.edits = {case["site"]: change}
            logProbs = torch.log_softmax(self.forward(row, prompt), -1)
            first = self.first("logits", prompt)
            for at in case["nll"]:
                if at["row"] == index:
                    terms["nll"] = terms["nll"] - at["weight"] * logProbs[at["token"] - first, at["target"]]
            for number, at in enumerate(case["kl"]):
                if at["row"] == index:
                    p = logProbs[at["token"] - first]
                    terms["kl"] = terms["kl"] + at["weight"] * (p.exp() * (p - torch.tensor(case["reference"][number]))).sum()
        self.sites.edits = {}
        (terms["nll"] + terms["kl"]).backward()
        weight.requires_grad_(False)
        # Weights are kept as [in, out]; PyTorch's linear layers have [out, in], GPT-2's already [in, out].
        gradient = weight.grad if self.kind == "gpt2" else weight.grad.T.contiguous()
        assert float(value.grad.abs().max()) > 1e-4 and float(gradient.abs().max()) > 1e-4
        return {
            "lossTerms": [float(str(terms[kind].detach().numpy())) for kind in ("nll", "kl")],
            "valueGradient": tensor(value.grad),
            "weightGradient": tensor(gradient),
        }

    def gradients(self, rows):
        """Two cases: a value added in the second layer, and two written in the last."""
        top = len(self.layers.all) - 1
        reference = torch.log_softmax(torch.randn(1, VOCABULARY) * 1.5, -1)
        nll = [{"row": r, "token": len(rows[r][0]) - 1 - back, "target": int(torch.randint(1, VOCABULARY, ())), "weight": w}
               for r, back, w in ((0, 0, 0.5), (0, 1, 0.25), (1, 0, 1.0))]
        kl = [{"row": 2, "token": len(rows[2][0]) - 1, "weight": 0.625}]
        cases = []
        for site, layer, mode in (("mlp-output", 1, "add"), ("mlp-inner", top, "replace")):
            name = f"{site}.{layer}"
            inEncoder = layer < self.layers.encoder
            last = [(prompt if inEncoder else len(row)) - 1 for row, prompt in rows]
            back = [max(end - by, self.first(name, prompt)) for end, by, (_, prompt) in zip(last, (2, 1, 1), rows)]
            # In the last layer nothing is handed on to later positions: there the values stand where something is predicted.
            places = [(r, token, 0) for r, token in enumerate(back)] if mode == "add" else [(0, last[0] - 1, 0), (1, last[1], 1)]
            moved = [{"row": r, "token": token, "index": i} for r, token, i in places]
            width = self.sites.seen[name].shape[-1]
            case = {"site": name, "mode": mode, "at": moved, "nll": nll, "kl": kl, "weight": self.layers.all[layer][4] + ".weight",
                    "value": (torch.randn(1 if mode == "add" else 2, width) * 0.4).tolist(), "reference": reference.tolist()}
            answer = self.differentiate(rows, case)
            case = {**case, "value": tensor(torch.tensor(case["value"])), "reference": tensor(reference)}
            cases.append({**case, **answer})
        return cases

    def save(self, tokenizer):
        folder = GOLDEN / self.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.raw, indent=1) + "\n")
        # The hub's name of GPT-NeoX's head is the older one.
        renamed = {"lm_head.weight": "embed_out.weight"} if self.kind == "gpt_neox" else {}
        names = {renamed.get(name, name): values for name, values in self.model.named_parameters()}
        stored = {(name[len(self.left_out):] if name.startswith(self.left_out) else name): values
                  for name, values in names.items() if not (self.left_out and not name.startswith(self.left_out))}
        assert len(stored) == len(names), "a bare checkpoint cannot hold what lies outside"
        save_safetensors(folder / "model.safetensors", stored)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)


class NearTie(Exception):
    """Two answers too close to be told apart."""


def texts(tokenizer, isEncoderDecoder):
    if not isEncoderDecoder:
        return [(ids, len(ids)) for ids in (tokenizer.encode(text).ids for text in (PROMPTS[0], PROMPTS[1], PROMPTS[2], PROMPTS[3]))]
    pairs = [(PROMPTS[0], " Paris, the city"), (PROMPTS[1], " Japanese"), (PROMPTS[2], ""), (PROMPTS[3], " Spanish and")]
    rows = []
    for prompt, answer in pairs:
        ids = tokenizer.encode(prompt).ids
        rows.append((ids + tokenizer.encode(answer, add_special_tokens=False).ids, len(ids)))
    return rows


def make(name, tokenizer, seed):
    subject = Subject(name, seed)
    if subject.isEncoderDecoder:
        tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, 0)])
    rows = texts(tokenizer, subject.isEncoderDecoder)
    readings = [subject.read(row, prompt) for row, prompt in rows]
    # Tokens of the second row are at the row's start; each row but the shortest has more than one.
    body = {
        "rows": readings,
        "gradientRows": [{"ids": row, **({"prompt": prompt} if subject.isEncoderDecoder else {})} for row, prompt in
                         (rows[0], rows[3], rows[1])],
        "gradients": subject.gradients([rows[0], rows[3], rows[1]]),
        "generations": [subject.greedy(tokenizer, prompt) for prompt in PROMPTS[:6]],
    }
    logits = subject.forward(*rows[3])
    p = torch.softmax(logits, -1)
    entropy = float(-(p * p.log()).sum(-1).mean())
    assert 0.3 < entropy < 5.8, f"entropy {entropy}"
    changed = {tuple(reading["argmax"][:3]) for reading in readings}
    print(f"{name}: logits {float(logits.std()):.2f} std, entropy {entropy:.2f}, answers {changed}")
    write(name, "tiny_models.py", seed, body)
    subject.save(tokenizer)


def main():
    torch.set_num_threads(1)
    for name in sys.argv[1:] or MODELS:
        for seed in range(1, 20):
            try:
                make(name, train_tokenizer(), seed)
                break
            except NearTie:
                continue


if __name__ == "__main__":
    main()
