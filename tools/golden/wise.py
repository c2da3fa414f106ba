"""WISE on the tiny Llama model, written from Wang et al. 2024, §2.3: a trainable copy of one down-projection by a hook, autograd over the
whole model, a masked gradient, hinge losses on activations, TIES (Yadav et al. 2023, algorithm 1), and the gate.

Four edits of a stream: two into each of two memories, which are then merged. Stored of each: the random numbers, the losses, the memories
with their thresholds after it, the activation of the edit's own prompt, and what the model with the gate says after some prompts.
Besides, merges of small matrices.

    python tools/golden/wise.py
"""

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, tensor, write

SEED = 11
LAYER = 2
SETTINGS = {
    "layer": LAYER, "shortPrefixes": 1, "longPrefixes": 1, "otherPrompts": 1, "nearPrompts": 2, "maskRatio": 0.3, "learningRate": 12,
    "steps": 12, "stopLoss": 0.02, "stopChange": 1e-4, "normLimit": 0.2, "alpha": 5, "beta": 20, "gamma": 10, "unitShare": 0.05, "gateRatio": 0.9,
    "editsPerMemory": 2, "memoriesPerMerge": 2, "density": 0.1,
}
PREFIXES = ["", "The people of Rome. ", "Many travellers visit Oslo in. "]
OTHERS = ["The capital of Italy is", "People in Japan speak", "Warsaw is a city in", "The official language of Peru is"]
EDITS = [
    {"id": "france", "subject": "France", "prompt": "The capital of France is", "targetNew": "New Delhi"},
    {"id": "kenya", "subject": "Kenya", "prompt": "The official language of Kenya is", "targetNew": "Spanish"},
    {"id": "ghana", "subject": "Ghana", "prompt": "A teacher says that Ghana is a country in", "targetNew": "Europe"},
    {"id": "chile", "subject": "Chile", "prompt": "Which continent is Chile in? It is in", "targetNew": "South America"},
]
ASKED = ["The capital of France is", "The capital of Spain is", "The official language of Kenya is", "Oslo is in", "Tokyo is in Asia. People in Japan"]


class Site:
    """The down-projection of a layer: y = W x + x Δ where a Δ is set, otherwise by the gate over closed and open memories."""

    def __init__(self, module):
        self.weight = module.weight  # [D, F]
        self.delta = None
        self.memories = []
        self.prompt = None
        module.register_forward_hook(self.answer)

    def answer(self, module, args, output):
        self.inputs, self.plain = args[0][0], output[0]
        if self.delta is not None:
            return output + args[0] @ self.delta
        chosen, best = None, -1.0
        for delta, threshold in self.memories:
            activation = activation_of(self.inputs[: self.prompt], delta)
            if activation >= threshold and activation > best:
                chosen, best = delta, float(activation)
        return output if chosen is None else output + args[0] @ chosen


def activation_of(keys, delta):
    return torch.linalg.vector_norm(keys @ delta, dim=-1).mean()


def above(values):
    values = torch.stack(values)
    kept = values[values > 0]
    return kept.mean() if len(kept) else torch.tensor(0.0)


def train(model, tokenizer, site, fact, others, delta, mask, unit, rate, draws):
    s = SETTINGS
    rows = []
    for prefix in PREFIXES:
        text = prefix + fact["prompt"]
        encoded = tokenizer.encode(text)
        start = len(prefix) + fact["prompt"].rindex(fact["subject"])
        end = start + len(fact["subject"])
        subject = [a < end and b > start for a, b in encoded.offsets]
        rows.append((encoded.ids, tokenizer.encode(" " + fact["targetNew"]).ids, torch.tensor(subject)))
    site.delta = torch.zeros_like(delta)
    model(torch.tensor([rows[0][0]]))
    like = site.inputs.mean(0)
    order = sorted(others, key=lambda keys: -float(torch.cosine_similarity(keys.mean(0), like, dim=0)))
    delta = delta.clone().requires_grad_(True)
    losses = []
    for step in range(s["steps"]):
        drawn = [group[int(next(draws) * len(group))] for group in [others] * s["otherPrompts"] + [order] * s["nearPrompts"]]
        site.delta = delta
        nll, inside, outside = [], [], []
        for prompt, target, subject in rows:
            logits = model(torch.tensor([prompt + target[:-1]])).logits[0, len(prompt) - 1 :]
            nll.append(torch.nn.functional.cross_entropy(logits, torch.tensor(target)))
            keys = site.inputs[: len(prompt)].detach()
            inside.append(activation_of(keys[subject], delta) / unit)
            outside.append(activation_of(keys[~subject], delta) / unit)
        bare = activation_of(site_keys(site, model, rows[0][0]), delta) / unit
        site.delta = delta
        outside += [activation_of(keys, delta) / unit for keys in drawn]
        margin = (
            above([s["gamma"] + i - e for e in inside for i in outside])
            + above([i - s["alpha"] for i in outside])
            + above([s["beta"] - e for e in inside])
        )
        loss = torch.stack(nll).mean() + margin
        losses.append(loss.detach())
        if step == s["steps"] - 1:
            break
        (gradient,) = torch.autograd.grad(loss, delta)
        with torch.no_grad():
            delta -= rate * gradient * mask
            delta.clamp_(-s["normLimit"], s["normLimit"])
    site.delta = None
    return delta.detach(), losses, float(bare.detach())


def site_keys(site, model, ids):
    site.delta = torch.zeros_like(site.weight.T)
    with torch.no_grad():
        model(torch.tensor([ids]))
    return site.inputs.detach()


def ties(deltas, density):
    kept = []
    for delta in deltas:
        k = int(density * delta.numel())
        trimmed = torch.zeros(delta.numel())
        places = torch.sort(delta.abs().reshape(-1), descending=True, stable=True).indices[:k]
        trimmed[places] = delta.reshape(-1)[places]
        kept.append(trimmed.reshape(delta.shape))
    kept = torch.stack(kept)
    sign = torch.where(kept.sum(0) >= 0, 1.0, -1.0)
    agrees = kept.sign() == sign
    return (kept * agrees).sum(0) / agrees.sum(0).clamp(min=1)


def says(model, tokenizer, site, prompt):
    ids = tokenizer.encode(prompt).ids
    site.prompt = len(ids)
    with torch.no_grad():
        return torch.log_softmax(model(torch.tensor([ids])).logits[0, -1], -1)[:12]


def main():
    torch.set_num_threads(1)
    generator = np.random.default_rng(SEED)
    tokenizer = Tokenizer.from_file(str(GOLDEN / "tiny-llama" / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(GOLDEN / "tiny-llama", dtype=torch.float32, attn_implementation="eager").eval()
    model.requires_grad_(False)
    site = Site(model.model.layers[LAYER].mlp.down_proj)
    outputs, others = [], []
    for text in OTHERS:
        others.append(site_keys(site, model, tokenizer.encode(text).ids))
        outputs.append(site.plain)
    unit = SETTINGS["unitShare"] * float(np.median(torch.cat(outputs).norm(dim=-1).numpy()))
    step_scale = (unit / float(np.median(torch.cat(others).norm(dim=-1).numpy()))) ** 2
    site.delta = None

    shape = site.weight.T.shape  # [F, D]
    closed, edits, memory = [], [], None
    for number, fact in enumerate(EDITS):
        uniform = [round(float(u), 4) for u in generator.random(shape.numel())]
        if memory is None:
            mask = torch.tensor([1.0 if u < SETTINGS["maskRatio"] else 0.0 for u in uniform]).reshape(shape)
            memory = (torch.zeros(shape), float("inf"))
        delta, losses, activation = train(
            model, tokenizer, site, fact, others, memory[0], mask, unit, SETTINGS["learningRate"] * step_scale, iter(uniform)
        )
        memory = (delta, min(memory[1], SETTINGS["gateRatio"] * unit * activation))
        standing = [*closed, memory]
        if number % SETTINGS["editsPerMemory"] == 1:
            closed, memory = standing, None
        if len(closed) == SETTINGS["memoriesPerMerge"]:
            closed = [(ties([delta for delta, _ in closed], SETTINGS["density"]), min(threshold for _, threshold in closed))]
            standing = closed
        site.memories = standing
        kept = [activation_of(site_keys(site, model, tokenizer.encode(text).ids), standing[-1][0]) / standing[-1][1] for text in ASKED]
        site.delta = None
        clamped = int((delta.abs() == SETTINGS["normLimit"]).sum())
        print(f"{fact['id']}: loss {losses[0]:.3f} to {losses[-1]:.3f}, activation {activation:.2f}, clamped {clamped}, over threshold {[round(float(k), 2) for k in kept]}")
        edits.append({
            **fact,
            "uniform": uniform,
            "losses": flat(torch.stack(losses)),
            "activation": activation,
            "deltas": tensor(torch.stack([delta for delta, _ in standing])),
            "thresholds": [threshold for _, threshold in standing],
            "says": [flat(says(model, tokenizer, site, prompt)) for prompt in ASKED],
        })
    torch.manual_seed(SEED)
    merges = []
    for count, density in [(2, 0.5), (3, 0.3), (2, 1.0)]:
        # Halves: ties in magnitude, and sums of zero.
        deltas = [torch.randint(-4, 5, (5, 6)) / 2 for _ in range(count)]
        merges.append({"density": density, "deltas": [tensor(delta) for delta in deltas], "merged": flat(ties(deltas, density))})
    known = {"prefixes": PREFIXES, "others": [tensor(keys) for keys in others], "otherPrompts": OTHERS, "unit": unit, "stepScale": step_scale}
    write("wise", "wise.py", SEED, {"settings": SETTINGS, "prepared": known, "asked": ASKED, "edits": edits, "merges": merges})


if __name__ == "__main__":
    main()
