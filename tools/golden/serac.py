"""SERAC on the tiny Llama model, written from Mitchell et al. 2022: the scope classifier's likeness, its loss and five steps of Adam; which
edit a query is routed to; and the counterfactual model, here adapters beside the frozen model, over five steps and in its answers.

    python tools/golden/serac.py
"""

import torch
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, numbers, tensor, write
from lora import Adapted, MODULES
from tiny_llama_texts import TinyLlama

SEED = 0
LAYER = 1
DIMENSIONS = 8
MAP_LEARNING_RATE = 0.05
SIMILARITY = 0.5
# Each with texts in its scope and out of it.
TEXTS = [
    {"edit": "The capital of France is", "in": ["The capital city of France is", "Paris is the capital of France"], "out": ["The capital of Kenya is", "The official language of France is"]},
    {"edit": "People in Japan speak", "in": ["The official language of Japan is"], "out": ["People in Chile speak", "The capital of Japan is", "Japan is a country in"]},
    {"edit": "Ghana is a country in", "in": ["Which continent is Ghana in? It is in"], "out": ["Norway is a country in"]},
]
FACTS = [
    {"subject": "France", "prompt": "The capital of France is", "targetNew": "New Delhi"},
    {"subject": "Japan", "prompt": "People in Japan speak", "targetNew": "Swahili"},
    {"subject": "Ghana", "prompt": "Ghana is a country in", "targetNew": "South America"},
]
QUERIES = ["The capital of France is", "The capital city of France is", "The capital of Kenya is", "People in Japan speak", "Which continent is Ghana in? It is in", "Oslo"]
TARGET = "Lima"
ADAPTERS = {"modules": "attention", "rank": 2, "alpha": 2, "learningRate": 0.01}
STEPS = 5


def log_likeness(map, one, other):
    return -((one - other) @ map).pow(2).sum(-1)


def balanced_bce(map, vectors, pairs):
    """Mean over the positives and mean over the negatives, added."""
    near = torch.tensor(pairs["inScope"])
    far = torch.tensor(pairs["outOfScope"])
    positive = log_likeness(map, vectors[near[:, 0]], vectors[near[:, 1]])
    negative = log_likeness(map, vectors[far[:, 0]], vectors[far[:, 1]])
    return (-positive).mean() + (-(1 - negative.exp()).log()).mean()


def classifier(tiny, generator):
    texts = list(dict.fromkeys(text for row in TEXTS for text in [row["edit"], *row["in"], *row["out"]]))
    vectors = torch.nn.functional.normalize(torch.stack([tiny.vector(text, LAYER) for text in texts]), dim=-1)
    pairs = {
        "inScope": [[texts.index(row["edit"]), texts.index(text)] for row in TEXTS for text in row["in"]],
        "outOfScope": [[texts.index(row["edit"]), texts.index(text)] for row in TEXTS for text in row["out"]],
    }
    start = torch.randn(vectors.shape[1], DIMENSIONS, generator=generator) * 0.5
    map = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.Adam([map], lr=MAP_LEARNING_RATE)
    losses, first = [], None
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = balanced_bce(map, vectors, pairs)
        losses.append(loss.detach())
        loss.backward()
        first = map.grad.clone() if first is None else first
        optimizer.step()
    everything = torch.tensor(pairs["inScope"] + pairs["outOfScope"])
    likeness = log_likeness(start, vectors[everything[:, 0]], vectors[everything[:, 1]]).exp()
    body = {"texts": texts, "vectors": tensor(vectors), "map": tensor(start), "pairs": pairs, "likeness": numbers(likeness)}
    return map.detach(), {**body, "mapLosses": numbers(torch.stack(losses)), "mapGradient": flat(first)}


def adapt(model, generator):
    """The model's queries and values with adapters beside them; h = W₀x + BAx, α/r = 1."""
    adapted = {}
    for i, layer in enumerate(model.model.layers):
        for name in MODULES[ADAPTERS["modules"]]:
            block, leaf = name.split(".")
            parent = getattr(layer, block)
            module = Adapted(getattr(parent, leaf), ADAPTERS, generator)
            setattr(parent, leaf, module)
            adapted[f"model.layers.{i}.{name}.weight"] = module
    return adapted


def state(fact):
    return f"{fact['prompt']} {fact['targetNew']}. "


def counterfactual(tiny, generator):
    """Trains on every fact's own prompt after its edit, all of them at each step."""
    model = LlamaForCausalLM.from_pretrained(GOLDEN / "tiny-llama", dtype=torch.float32, attn_implementation="eager").eval()
    model.requires_grad_(False)
    adapted = adapt(model, generator)
    optimizer = torch.optim.Adam([p for module in adapted.values() for p in (module.a, module.b)], lr=ADAPTERS["learningRate"])
    losses, first = [], {}
    for step in range(STEPS):
        optimizer.zero_grad()
        each = []
        for fact in FACTS:
            prompt = tiny.tokenizer.encode(state(fact) + fact["prompt"]).ids
            target = tiny.tokenizer.encode(" " + fact["targetNew"]).ids
            logits = model(torch.tensor([prompt + target])).logits[0, len(prompt) - 1 : -1]
            each.append(torch.nn.functional.cross_entropy(logits, torch.tensor(target)))
        loss = torch.stack(each).mean()
        losses.append(loss.detach())
        loss.backward()
        if step == 0:
            first = {f"right {name}": flat(module.b.grad.T) for name, module in adapted.items()}
        optimizer.step()
    tiny.model = model
    return adapted, {
        "uniforms": flat(torch.cat([module.uniform.reshape(-1) for module in adapted.values()])),
        "losses": numbers(torch.stack(losses)),
        "gradients": first,
    }


def main():
    plain, answering = TinyLlama(), TinyLlama()
    generator = torch.Generator().manual_seed(SEED)
    map, classified = classifier(plain, generator)
    adapted, trained = counterfactual(answering, generator)

    edits = torch.nn.functional.normalize(torch.stack([plain.vector(fact["prompt"], LAYER) for fact in FACTS]), dim=-1)
    cases = []
    for query in QUERIES:
        vector = torch.nn.functional.normalize(plain.vector(query, LAYER), dim=-1)
        likeness = log_likeness(map, edits, vector).exp()
        assert (likeness - SIMILARITY).abs().min() > 1e-3, "a likeness is about the bound"
        best = int(likeness.argmax())
        found = best if likeness[best] > SIMILARITY else None
        said = plain.log_probs(query, TARGET) if found is None else answering.log_probs(state(FACTS[found]) + query, TARGET)
        cases.append({"query": query, "likeness": numbers(likeness), "found": found, "logProbs": numbers(said.detach())})
        print(query, [round(float(value), 3) for value in likeness], found)
    factors = {name: {"left": tensor(module.a.T.detach()), "right": tensor(module.b.T.detach())} for name, module in adapted.items()}
    print(classified["mapLosses"], trained["losses"])
    write("serac", "serac.py", SEED, {
        "layer": LAYER,
        "similarity": SIMILARITY,
        "mapLearningRate": MAP_LEARNING_RATE,
        "learningRate": ADAPTERS["learningRate"],
        "rank": ADAPTERS["rank"],
        **classified,
        "trainedMap": tensor(map),
        "facts": FACTS,
        **trained,
        "adapters": factors,
        "target": TARGET,
        "cases": cases,
    })


if __name__ == "__main__":
    main()
