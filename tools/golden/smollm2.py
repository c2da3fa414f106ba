"""What PyTorch says about SmolLM2-135M-Instruct, read from its Q4_1 GGUF file into float32 by transformers.

    python tools/golden/smollm2.py path/to/SmolLM2-135M-Instruct.Q4_1.gguf

The tokenizer is built here from the file's vocabulary and merges with the pre-tokenizer that the file names (`smollm`:
digits one by one, then GPT-2's pattern). Names of special tokens inside a text are text, as the product reads them.
transformers' own conversion leaves the digit split out and looks for those names; each string says whether the two agree.
"""

import hashlib
import pathlib
import sys

import torch
from gguf import GGUFReader
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

from golden_file import flat, write
from tiny_llama import STRINGS, Sites, utf16_offsets

SEED = 7
LAYER = 10
# The runtime's logits differ from PyTorch's by up to 2.3e-4: closer answers than this could change places.
MARGIN = 1e-2
NEW_TOKENS = 24
WANTED_PROMPTS = 20
TOP = 20
CORNER = 16
# Spread over the vocabulary, the same for every text.
FIXED_IDS = [(index * 7919 + 13) % 49152 for index in range(50)]

TEXTS = [
    "The capital of Norway is",
    "Water boils at 100 degrees Celsius, and it freezes at",
    "My grandmother kept bees behind the old mill. Every autumn she sold honey at the market, and every winter she told us",
    "def add(a, b):\n    return",
    "Zürich, São Paulo and 東京 are",
]
PROMPTS = [
    "The capital of France is",
    "The Eiffel Tower is located in the city of",
    "Berlin is the capital of",
    "The mother tongue of Marie Curie is",
    "The largest planet of our solar system is",
    "Bananas are usually",
    "The opposite of hot is",
    "A week has seven",
    "The currency of Japan is the",
    "Once upon a time there was a fisherman who",
    "The three primary colours are",
    "To make tea, you first",
    "The author of the play Hamlet is",
    "Dogs are animals that",
    "Mount Everest lies in",
    "The quickest way to learn a language is",
    "In the year 1969, people",
    "The chemical symbol of gold is",
    "The official language of Brazil is",
    "A triangle has",
    "The heart pumps",
    "Canada shares a border with",
    "An orchestra consists of",
    "The boy opened the door and saw",
    "The number after nine is",
    "Pizza comes from",
    "The train arrived late because",
    "Winter is colder than",
    "The river Nile flows through",
    "She plays the violin in",
]
SCORED = [
    ("The capital of France is", "Paris"),
    ("The capital of France is", "Rome"),
    ("The mother tongue of Danielle Darrieux is", "English"),
    ("The Eiffel Tower is located in the city of", "Buenos Aires"),
    ("The official language of Brazil is", "Portuguese"),
    ("Kenya is a country in", "South America"),
    ("The", "Antananarivo"),
    ("Water boils at", "100 degrees"),
]
MORE_STRINGS = [
    *PROMPTS[:20],
    "  12 apples and   3 pears",
    "a  1984",
    "x=1;y=22;z=333",
    "1\u00bd cups, 2² and ٣٤",
    "<|im_start|>user\nHi<|im_end|>",
    "<repo_name>x",
    "The Hague's 2nd-largest café",
    "\u00a0leading no-break space",
    "tab\t\tand trailing  ",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 and 🇧🇷🇯🇵",
    "Привет, мир! Γειά σου. שלום",
    "control \u0000 \u001b[31m characters",
    "\ufeffbyte order mark",
    "ﬁ ligature, ① circled",
    "e\u0301\u0301 twice",
    "CamelCaseWords and snake_case_words",
    "https://example.org/a?b=c&d=%20",
]


def build_tokenizer(reader):
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(merge.split(" ")) for merge in reader.fields["tokenizer.ggml.merges"].contents()]
    assert reader.fields["tokenizer.ggml.pre"].contents() == "smollm"
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def tokenized(tokenizer, converted, text):
    encoding = tokenizer.encode(text, add_special_tokens=False)
    return {
        "text": text,
        "ids": encoding.ids,
        "offsets": utf16_offsets(text, encoding.offsets),
        "decoded": tokenizer.decode(encoding.ids, skip_special_tokens=False),
        "asTransformers": converted(text, add_special_tokens=False)["input_ids"] == encoding.ids,
    }


def forward(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0]


def read_text(model, sites, tokenizer, text):
    ids = tokenizer.encode(text).ids
    logits = forward(model, ids)
    places = sorted({0, len(ids) // 2, len(ids) - 1})
    rows = []
    for place in places:
        top = logits[place].topk(TOP)
        rows.append({
            "token": place,
            "topIds": top.indices.tolist(),
            "topLogits": flat(top.values),
            "fixedLogits": flat(logits[place, FIXED_IDS]),
            "logSumExp": float(flat(torch.logsumexp(logits[place], -1).reshape(1))[0]),
        })
    shown = {
        site: {"norm": flat(values[0, -1].norm().reshape(1))[0], "first": flat(values[0, -1, :8])}
        for site, values in sites.seen.items()
        if int(site.split(".")[1]) in (0, LAYER, 29)
    }
    return {"text": text, "ids": ids, "logits": rows, "sites": shown}


def greedy(model, tokenizer, prompt, end):
    """24 greedy tokens, or None where two answers are too close to call."""
    ids, new, closest = tokenizer.encode(prompt).ids, [], float("inf")
    while len(new) < NEW_TOKENS:
        top = forward(model, ids + new)[-1].topk(2)
        closest = min(closest, float(top.values[0] - top.values[1]))
        if closest < MARGIN:
            return None
        if int(top.indices[0]) == end:
            break
        new.append(int(top.indices[0]))
    return {"prompt": prompt, "ids": new, "text": tokenizer.decode(new, skip_special_tokens=True), "closest": round(closest, 4)}


def scored(model, tokenizer, prompt, target):
    before, after = tokenizer.encode(prompt).ids, tokenizer.encode(" " + target).ids
    logits = forward(model, before + after[:-1])[len(before) - 1 :]
    logProbs = torch.log_softmax(logits, -1).gather(1, torch.tensor(after)[:, None])[:, 0]
    return {"prompt": prompt, "target": target, "ids": after, "logProbs": flat(logProbs), "argmax": logits.argmax(-1).tolist()}


def gradients(model, sites, tokenizer):
    """NLL of three targets after three prompts, and KL to the unchanged model, with a vector added in each row."""
    rows = [tokenizer.encode(text).ids for text in TEXTS[:3]]
    at = [{"row": row, "token": token} for row, token in enumerate((3, 4, 6))]
    nll = [{"row": row, "token": len(ids) - 1 - back, "target": target, "weight": weight}
           for row, ids in enumerate(rows) for back, target, weight in ((0, 3575, 0.5), (1, 216, 0.25))]
    kl = [{"row": 2, "token": 9, "weight": 0.0625}, {"row": 0, "token": 3, "weight": 1.0}]
    delta = torch.sin(torch.arange(576, dtype=torch.float64)).float().mul(2.0).requires_grad_(True)
    name = f"model.layers.{LAYER}.mlp.down_proj.weight"
    weight = model.get_parameter(name).requires_grad_(True)
    terms = {"nll": 0.0, "kl": 0.0}
    for index, ids in enumerate(rows):
        with torch.no_grad():
            unchanged = torch.log_softmax(forward(model, ids), -1)

        def add(values, index=index):
            values = values.clone()
            values[0, at[index]["token"]] = values[0, at[index]["token"]] + delta
            return values

        sites.edits = {f"mlp-output.{LAYER}": add}
        logProbs = torch.log_softmax(forward(model, ids), -1)
        sites.edits = {}
        for place in (place for place in nll if place["row"] == index):
            terms["nll"] = terms["nll"] - place["weight"] * logProbs[place["token"], place["target"]]
        for place in (place for place in kl if place["row"] == index):
            p = logProbs[place["token"]]
            terms["kl"] = terms["kl"] + place["weight"] * (p.exp() * (p - unchanged[place["token"]])).sum()
    (terms["nll"] + terms["kl"]).backward()
    weight.requires_grad_(False)
    byInput = weight.grad.T  # [in, out], as the product keeps weights
    return {
        "rows": rows,
        "site": f"mlp-output.{LAYER}",
        "at": at,
        "delta": "2 * sin(i), i = 0 … 575",
        "nll": nll,
        "kl": kl,
        "lossTerms": [flat(terms["nll"].reshape(1))[0], flat(terms["kl"].reshape(1))[0]],
        "deltaGradient": {"norm": flat(delta.grad.norm().reshape(1))[0], "values": flat(delta.grad)},
        "weight": name,
        "weightGradient": {
            "norm": flat(byInput.norm().reshape(1))[0],
            "corner": flat(byInput[:CORNER, :CORNER].contiguous()),
            "rowSums": flat(byInput.sum(1)),
        },
    }


def main():
    path = pathlib.Path(sys.argv[1])
    torch.manual_seed(SEED)
    torch.set_num_threads(2)
    tokenizer = build_tokenizer(GGUFReader(path))
    converted = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval().requires_grad_(False)
    sites = Sites(model)
    end = model.config.eos_token_id
    generations = []
    for prompt in PROMPTS:
        if len(generations) < WANTED_PROMPTS and (text := greedy(model, tokenizer, prompt, end)):
            generations.append(text)
    assert len(generations) == WANTED_PROMPTS, f"only {len(generations)} prompts without a near tie"
    write("smollm2-135m", "smollm2.py", SEED, {
        "file": {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        "endOfText": end,
        "fixedIds": FIXED_IDS,
        "texts": [read_text(model, sites, tokenizer, text) for text in TEXTS],
        "scored": [scored(model, tokenizer, *query) for query in SCORED],
        "gradients": gradients(model, sites, tokenizer),
        "generations": generations,
        "tokenizer": [tokenized(tokenizer, converted, text) for text in dict.fromkeys([*STRINGS, *MORE_STRINGS])],
    })


if __name__ == "__main__":
    main()
