"""UltraEdit on the tiny Llama model, written from Gu et al. 2025 (arXiv 2505.14679), section 3.

A batch of facts in passes of two, then a second batch on the model as the first left it, which continues the statistics. Every fact
is run by itself, without padding; moments are those of all tokens so far, kept and taken afresh; the change is solved for as it stands in
the paper, over the inputs of the layer.

    python tools/golden/ultraedit.py
"""

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, write

BATCHES = [
    [
        {"id": "france", "prompt": "The capital of France is", "targetNew": "New Delhi"},
        {"id": "start", "prompt": "Mexico City is in", "targetNew": "Asia"},
        {"id": "kenya", "prompt": "The official language of Kenya is", "targetNew": "Spanish"},
    ],
    [
        {"id": "peru", "prompt": "Which continent is Peru in? It is in", "targetNew": "Europe"},
        {"id": "ghana", "prompt": "A teacher says that Ghana is a country in", "targetNew": "South America"},
    ],
]
SETTINGS = {"firstLayer": 1, "lastLayer": 2, "learningRate": 0.5, "passFacts": 2}
LAYERS = range(SETTINGS["firstLayer"], SETTINGS["lastLayer"] + 1)


def read_pass(model, tokenizer, facts):
    """The loss of a pass, and for each layer the inputs and output gradients of its down-projection at every token."""
    downs = {layer: model.model.layers[layer].mlp.down_proj for layer in LAYERS}
    inputs, outputs = {layer: [] for layer in LAYERS}, {layer: [] for layer in LAYERS}

    def watch(layer):
        def hook(_module, args, out):
            inputs[layer].append(args[0][0].detach())
            out.requires_grad_(True)
            outputs[layer].append(out)

        return downs[layer].register_forward_hook(hook)

    hooks = [watch(layer) for layer in LAYERS]
    log_p = []
    for fact in facts:
        prompt = tokenizer.encode(fact["prompt"], add_special_tokens=False).ids
        target = tokenizer.encode(" " + fact["targetNew"], add_special_tokens=False).ids
        logits = model(torch.tensor([prompt + target])).logits[0]
        predicted = torch.log_softmax(logits, -1)[len(prompt) - 1 : -1]
        log_p += [predicted[i, token] for i, token in enumerate(target)]
    loss = -torch.stack(log_p).mean()
    flat_outputs = [out for layer in LAYERS for out in outputs[layer]]
    slopes = iter(torch.autograd.grad(loss, flat_outputs))
    gradients = {layer: torch.cat([next(slopes)[0] for _ in outputs[layer]]).double() for layer in LAYERS}
    for hook in hooks:
        hook.remove()
    return float(loss.detach()), {layer: torch.cat(inputs[layer]).double() for layer in LAYERS}, gradients


def normalize(rows, seen):
    """Rows against mean and standard deviation of all rows seen."""
    return (rows - seen.mean(0)) / (seen.std(0) + torch.finfo(torch.float32).eps)


def solve(h, g, seen_h, seen_g):
    """ΔW [F, D]."""
    h_hat, g_hat = normalize(h, seen_h), normalize(g, seen_g)
    v = -SETTINGS["learningRate"] * h_hat.pow(2).mean(1, keepdim=True) * g_hat
    return torch.linalg.solve(h.T @ h + torch.eye(h.shape[1], dtype=torch.float64), h.T @ v), v


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = GOLDEN / "tiny-llama"
    model = LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager").float().eval().requires_grad_(False)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    seen = {layer: (torch.empty(0, 64).double(), torch.empty(0, 32).double()) for layer in LAYERS}
    batches = []
    for facts in BATCHES:
        passes = [facts[i : i + SETTINGS["passFacts"]] for i in range(0, len(facts), SETTINGS["passFacts"])]
        found = [read_pass(model, tokenizer, chosen) for chosen in passes]
        layers, changes = [], {}
        for layer in LAYERS:
            h, g = (torch.cat([one[kind][layer] for one in found]) for kind in (1, 2))
            seen[layer] = (torch.cat([seen[layer][0], h]), torch.cat([seen[layer][1], g]))
            delta, v = solve(h, g, *seen[layer])
            changes[layer] = delta
            layers.append({"layer": layer, "missing": float((h @ delta - v).norm() / v.norm()), "delta": flat(delta)})
        for layer, delta in changes.items():
            model.model.layers[layer].mlp.down_proj.weight += delta.T.float()
        loss = sum(one[0] * len(chosen) for one, chosen in zip(found, passes)) / len(facts)
        batches.append({"facts": facts, "loss": loss, "tokens": len(h), "layers": layers})
    write("ultraedit", "ultraedit.py", 0, {"settings": SETTINGS, "batches": batches})
    for batch in batches:
        print(batch["loss"], batch["tokens"], [layer["missing"] for layer in batch["layers"]])
