"""Tiny models of the Llama family with random weights and what PyTorch says about them.

`tiny-llama`: tied head, grouped-query attention, one float32 file. `tiny-llama-untied`: own head, as many key/value heads
as query heads, head width that does not divide the model width, two files with an index, float32, float16 and bfloat16
tensors, and the rope settings in their newer form. Weights are scaled so that attention is far from uniform, every layer
changes the residual stream as much as the embedding does, and logits spread over a few nats: a wrong mask, rotation or
head order moves outputs by whole units. `tiny-qwen2`: the biases of Qwen2, with one key head for all.

    python tools/golden/tiny_llama.py
"""

import json
import struct

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM

from golden_file import GOLDEN, flat, tensor, write

SEED = 1
VOCABULARY = 448
END = "<|endoftext|>"
# Two answers closer than this could change places in another implementation's rounding.
MARGIN = 2e-3

COUNTRIES = [
    ("France", "Paris", "French", "Europe", "euro"),
    ("Germany", "Berlin", "German", "Europe", "euro"),
    ("Italy", "Rome", "Italian", "Europe", "euro"),
    ("Spain", "Madrid", "Spanish", "Europe", "euro"),
    ("Portugal", "Lisbon", "Portuguese", "Europe", "euro"),
    ("Poland", "Warsaw", "Polish", "Europe", "zloty"),
    ("Norway", "Oslo", "Norwegian", "Europe", "krone"),
    ("Greece", "Athens", "Greek", "Europe", "euro"),
    ("Egypt", "Cairo", "Arabic", "Africa", "pound"),
    ("Kenya", "Nairobi", "Swahili", "Africa", "shilling"),
    ("Ghana", "Accra", "English", "Africa", "cedi"),
    ("Japan", "Tokyo", "Japanese", "Asia", "yen"),
    ("China", "Beijing", "Chinese", "Asia", "yuan"),
    ("India", "New Delhi", "Hindi", "Asia", "rupee"),
    ("Thailand", "Bangkok", "Thai", "Asia", "baht"),
    ("Vietnam", "Hanoi", "Vietnamese", "Asia", "dong"),
    ("Peru", "Lima", "Spanish", "South America", "sol"),
    ("Chile", "Santiago", "Spanish", "South America", "peso"),
    ("Brazil", "Brasília", "Portuguese", "South America", "real"),
    ("Canada", "Ottawa", "English", "North America", "dollar"),
    ("Mexico", "Mexico City", "Spanish", "North America", "peso"),
    ("Australia", "Canberra", "English", "Oceania", "dollar"),
]
SENTENCES = [
    "The capital of {0} is {1}.",
    "{1} is the capital city of {0}.",
    "People in {0} speak {2}.",
    "The official language of {0} is {2}, and its currency is the {4}.",
    "{0} is a country in {3}.",
    "Which continent is {0} in? It is in {3}.",
    "Many travellers visit {1} because they want to see {0}.",
    "I have never been to {1}, but you have lived there for 12 years.",
    "A teacher from {0} wrote a book about the history of {3}.",
    "Therefore the mother tongue of the mayor of {1} is {2}.",
    "The train to {1} leaves at 17:45 and costs 38 {4}s.",
]
TEXT = [sentence.format(*country) for country in COUNTRIES for sentence in SENTENCES]

PROMPTS = [
    "The capital of France is",
    "People in Japan speak",
    "The",
    "Therefore the mother tongue of the mayor of Lima is",
    "Kenya is a country in",
    "I have never been to Oslo, but",
    "The train leaves at 17:45",
    "Brasília",
    "Which continent is Peru in? It is in",
    "A teacher wrote a book about the history of Asia.",
]
STRINGS = [
    *PROMPTS,
    "",
    " ",
    "  two  spaces ",
    "tabs\tand\nnew lines\r\n\n",
    "1234567890 3.14 10,000",
    "don't we'll I'M they've",
    "naïve café Zürich Brasília",
    "日本語 and 한국어",
    "emoji 👩‍🚀 and 🇫🇷!",
    "e\u0301 combining, \u00a0no-break, \u200bzero width",
    "<|endoftext|> in a text",
    "ends<|endoftext|>",
    "!!! ??? ... (brackets) [x] {y}",
]


def train_tokenizer():
    """A byte-level BPE that splits digits, as SmolLM2's does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    assert tokenizer.get_vocab_size() == VOCABULARY
    return tokenizer


def without_special_tokens(tokenizer):
    """The same tokenizer, to which the names of special tokens inside a text are text: texts are data."""
    return Tokenizer.from_str(json.dumps({**json.loads(tokenizer.to_str()), "added_tokens": []}))


def config_of(tied):
    common = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "max_position_embeddings": 512,
    }
    if tied:
        return {
            **common,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": True,
            "torch_dtype": "float32",
        }
    return {
        **common,
        "hidden_size": 40,
        "intermediate_size": 56,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 12,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
        "tie_word_embeddings": False,
        "dtype": "bfloat16",
    }


def qwen2_config():
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "vocab_size": VOCABULARY,
        "hidden_act": "silu",
        "bos_token_id": 0,
        "eos_token_id": 0,
        "max_position_embeddings": 512,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "use_sliding_window": False,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
    }


def random_model(config, dtype_of):
    """A model whose weights were rounded to the type each is stored in; returns it and the tensors to store."""
    # Given both ways, so that neither an older nor a newer transformers falls back to its default.
    theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
    settings = {**config, "rope_theta": theta, "rope_parameters": {"rope_type": "default", "rope_theta": theta}}
    settings.pop("torch_dtype", None)
    settings.pop("dtype", None)
    settings.pop("architectures")
    made = AutoConfig.for_model(**settings, attn_implementation="eager")
    model = AutoModelForCausalLM.from_config(made).float().eval().requires_grad_(False)
    width = config["hidden_size"]
    scale = {
        "embed_tokens": 2.0 / width**0.5,
        "lm_head": 2.0 / width**0.5,
        "q_proj": 1.4 / width**0.5,
        "k_proj": 1.4 / width**0.5,
        "v_proj": 1.2 / width**0.5,
        "o_proj": 0.7 / width**0.5,
        "gate_proj": 1.5 / width**0.5,
        "up_proj": 1.5 / width**0.5,
        "down_proj": 0.8 / config["intermediate_size"] ** 0.5,
    }
    stored = {}
    for name, parameter in model.named_parameters():
        kind = name.split(".")[-2]
        if name.endswith("bias"):
            values = torch.randn_like(parameter) * 0.7
        elif "norm" in kind:
            values = torch.empty_like(parameter).uniform_(0.6, 1.4)
        else:
            values = torch.randn_like(parameter) * scale[kind]
        stored[name] = values.to(dtype_of(name))
        parameter.copy_(stored[name].float())
    assert abs(float(model.model.rotary_emb.inv_freq[1]) - theta ** (-2 / head_width(config))) < 1e-6
    return model, stored


def head_width(config):
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def save_safetensors(path, tensors):
    header, blobs, offset = {}, [], 0
    for name, values in tensors.items():
        blob = values.contiguous().view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": DTYPES[values.dtype], "shape": list(values.shape), "data_offsets": [offset, offset + len(blob)]}
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def write_folder(name, config, shards):
    folder = GOLDEN / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    if len(shards) == 1:
        save_safetensors(folder / "model.safetensors", shards[0])
        return
    places = {}
    for number, tensors in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_safetensors(folder / file, tensors)
        places.update(dict.fromkeys(tensors, file))
    size = sum(values.nbytes for shard in shards for values in shard.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


# ---------------------------------------------------------------------------------------------------------- readings


class Sites:
    """Reads every site of a row, and adds or writes values, through module hooks."""

    def __init__(self, model):
        self.seen, self.edits = {}, {}
        for index, layer in enumerate(model.model.layers):
            self._at(f"block-input.{index}", layer, "input")
            self._at(f"attention-output.{index}", layer.self_attn.o_proj, "output")
            self._at(f"mlp-input.{index}", layer.mlp, "input")
            self._at(f"mlp-inner.{index}", layer.mlp.down_proj, "input")
            self._at(f"mlp-output.{index}", layer.mlp.down_proj, "output")
            self._at(f"block-output.{index}", layer, "output")

    def _at(self, site, module, side):
        def change(values):
            # Some layers flatten rows and tokens: [T, width].
            whole = values if values.dim() == 3 else values[None]
            if site in self.edits:
                whole = self.edits[site](whole)
            self.seen[site] = whole
            return whole.reshape(values.shape)

        if side == "input":
            def before(_, args, kwargs):
                if args:
                    return (change(args[0]), *args[1:]), kwargs
                return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}
            module.register_forward_pre_hook(before, with_kwargs=True)
        else:
            def after(_, __, output):
                return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)
            module.register_forward_hook(after)


def forward(model, row):
    """The logits [T, V] of one row, with no padding."""
    return model(torch.tensor([row]), use_cache=False).logits[0]


def greedy(model, tokenizer, prompt, count):
    ids = tokenizer.encode(prompt).ids
    new = []
    while len(new) < count:
        top = forward(model, ids + new)[-1].topk(2)
        assert top.values[0] - top.values[1] > MARGIN, f"a near tie in the greedy text of {prompt!r}"
        if int(top.indices[0]) == 0:
            break
        new.append(int(top.indices[0]))
    return {"prompt": prompt, "ids": new, "text": tokenizer.decode(new, skip_special_tokens=False)}


def utf16_offsets(text, offsets):
    place = [0]
    for character in text:
        place.append(place[-1] + (2 if ord(character) > 0xFFFF else 1))
    return [[place[start], place[end]] for start, end in offsets]


def tokenized(tokenizer, text):
    encoding = tokenizer.encode(text, add_special_tokens=False)
    decoded = tokenizer.decode(encoding.ids, skip_special_tokens=False)
    return {"text": text, "ids": encoding.ids, "offsets": utf16_offsets(text, encoding.offsets), "decoded": decoded}


def read_rows(model, sites, rows):
    readings = []
    for row in rows:
        logits = forward(model, row)
        readings.append({
            "ids": row,
            "logits": flat(logits[-1]),
            "argmax": logits.argmax(-1).tolist(),
            # Log-probability of each next token of the row: the whole row is under test, not its end alone.
            "logProbs": flat(torch.log_softmax(logits, -1)[:-1].gather(1, torch.tensor(row[1:])[:, None]).reshape(-1)),
            "sites": {site: flat(values[0, -1]) for site, values in sites.seen.items()},
        })
    return readings


def differentiate(model, sites, rows, case):
    """Loss and gradients of one case: values added or written at a site, NLL and KL terms, a weight of one layer."""
    value = torch.tensor(case["value"], requires_grad=True)
    name = case["weight"]
    weight = model.get_parameter(name)
    weight.requires_grad_(True)
    weight.grad = None
    losses = []
    for index, row in enumerate(rows):
        places = [at for at in case["at"] if at["row"] == index]

        def change(values, places=places):
            values = values.clone()
            for at in places:
                new = value[at["index"]]
                values[0, at["token"]] = values[0, at["token"]] + new if case["mode"] == "add" else new
            return values

        sites.edits = {case["site"]: change}
        logProbs = torch.log_softmax(forward(model, row), -1)
        for at in case["nll"]:
            if at["row"] == index:
                losses.append(("nll", -at["weight"] * logProbs[at["token"], at["target"]]))
        for number, at in enumerate(case["kl"]):
            if at["row"] == index:
                p = logProbs[at["token"]]
                losses.append(("kl", at["weight"] * (p.exp() * (p - torch.tensor(case["reference"][number]))).sum()))
    sites.edits = {}
    terms = {kind: sum(loss for which, loss in losses if which == kind) for kind in ("nll", "kl")}
    (terms["nll"] + terms["kl"]).backward()
    weight.requires_grad_(False)
    return {
        "lossTerms": [float(str(terms[kind].detach().numpy())) for kind in ("nll", "kl")],
        "valueGradient": tensor(value.grad),
        # The product keeps weights as [in, out]; PyTorch's linear layer has [out, in].
        "weightGradient": tensor(weight.grad.T.contiguous()),
    }


def gradient_cases(model, rows, width, inner):
    reference = torch.log_softmax(torch.randn(2, VOCABULARY) * 1.5, -1)
    nll = [{"row": r, "token": len(rows[r]) - 1 - back, "target": int(torch.randint(1, VOCABULARY, ())), "weight": w}
           for r, back, w in ((0, 0, 0.5), (0, 1, 0.25), (1, 0, 1.0), (3, 0, 0.75), (3, 2, 0.125))]
    kl = [{"row": 2, "token": len(rows[2]) - 1, "weight": 0.625}, {"row": 3, "token": 3, "weight": 0.5}]
    common = {"nll": nll, "kl": kl, "reference": reference.tolist()}
    one = [{"row": r, "token": t, "index": 0} for r, t in ((0, 2), (1, 0), (2, 1), (3, 3))]
    two = [{"row": 0, "token": 1, "index": 0}, {"row": 3, "token": 2, "index": 1}]
    last = model.config.num_hidden_layers - 1

    def random(count, size):
        return (torch.randn(count, size) * 0.4).tolist()

    def down(layer):
        return f"model.layers.{layer}.mlp.down_proj.weight"

    return [
        {**common, "site": "mlp-output.1", "mode": "add", "at": one, "value": random(1, width), "weight": down(1)},
        {**common, "site": "mlp-output.0", "mode": "replace", "at": two, "value": random(2, width), "weight": down(0)},
        {**common, "site": f"mlp-inner.{last}", "mode": "add", "at": two, "value": random(2, inner), "weight": down(last)},
        {**common, "site": "block-output.0", "mode": "add", "at": one, "value": random(1, width), "weight": down(1)},
    ]


def golden_gradients(model, sites, rows, config):
    cases = []
    for case in gradient_cases(model, rows, config["hidden_size"], config["intermediate_size"]):
        answer = differentiate(model, sites, rows, case)
        question = {key: case[key] for key in ("site", "mode", "at", "nll", "kl", "weight")}
        question["value"] = tensor(torch.tensor(case["value"]))
        question["reference"] = tensor(torch.tensor(case["reference"]))
        cases.append({**question, **answer})
    return cases


def golden_of(name, model, tokenizer, config):
    sites = Sites(model)
    rows = [tokenizer.encode(text).ids for text in (*PROMPTS[:6], "The train leaves at 17:45 and costs 38 euros. I have never been to Oslo.")]
    assert len({len(row) for row in rows}) >= 5 and min(map(len, rows)) == 1
    write(name, "tiny_llama.py", SEED, {
        "rows": read_rows(model, sites, rows),
        "gradientRows": [{"ids": rows[index]} for index in (0, 1, 4, 3)],
        "gradients": golden_gradients(model, sites, [rows[index] for index in (0, 1, 4, 3)], config),
        "generations": [greedy(model, tokenizer, prompt, 12) for prompt in PROMPTS],
        "tokenizer": [tokenized(without_special_tokens(tokenizer), text) for text in STRINGS],
    })
    logits = forward(model, rows[3])
    p = torch.softmax(logits, -1)
    entropy = -(p * p.log()).sum(-1)
    print(f"{name}: logits {float(logits.std()):.2f} std, entropy {float(entropy.mean()):.2f} of {torch.tensor(VOCABULARY).log():.2f} nats")


README = """# Tiny models of the Llama family for the tests

Random weights, made by `tools/golden/tiny_llama.py` (seed {seed}); they know nothing. The tokenizer is a byte-level BPE trained
on sentences written in that script. What PyTorch says about each model stands in `../<name>.json`.
"""


def main():
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    tokenizer = train_tokenizer()

    config = config_of(tied=True)
    model, stored = random_model(config, lambda name: torch.float32)
    write_folder("tiny-llama", config, [stored])
    golden_of("tiny-llama", model, tokenizer, config)

    config = config_of(tied=False)
    def dtype_of(name):
        if "layers.1" in name or name == "lm_head.weight":
            return torch.bfloat16
        return torch.float16 if "layers.0.self_attn" in name else torch.float32
    model, stored = random_model(config, dtype_of)
    second = {name: values for name, values in stored.items() if values.dtype == torch.bfloat16}
    first = {name: values for name, values in stored.items() if name not in second}
    write_folder("tiny-llama-untied", config, [first, second])
    golden_of("tiny-llama-untied", model, tokenizer, config)

    config = qwen2_config()
    model, stored = random_model(config, lambda name: torch.float32)
    write_folder("tiny-qwen2", config, [stored])
    golden_of("tiny-qwen2", model, tokenizer, config)

    for name in ("tiny-llama", "tiny-llama-untied", "tiny-qwen2"):
        tokenizer.save(str(GOLDEN / name / "tokenizer.json"), pretty=False)
        (GOLDEN / name / "README.md").write_text(README.format(seed=SEED))


if __name__ == "__main__":
    main()
