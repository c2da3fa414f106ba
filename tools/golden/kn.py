"""KN on the tiny Llama model, written from Dai et al. 2022: integrated gradients by autograd through a replaced activation, one step
and one layer at a time; thresholds; rows of the down-projections turned from the old answer to the new.

The neurons of a layer are the inputs of its down-projection. Attributions are stored in full for one prompt and as each prompt's
largest for the others; then the knowledge neurons, and the rows they get.

    python tools/golden/kn.py
"""

from collections import Counter

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, write

SEED = 0
PREFIXES = ["", "A teacher says that ", "Many people. ", "Which? "]
SETTINGS = {"steps": 7, "threshold": 0.2, "share": 0.7, "fewest": 2, "most": 5, "erase": 1, "enhance": 8}
FACTS = [
    # Old and new answer of two tokens and of one.
    {"id": "peru", "subject": "Peru", "prompt": "Peru is a country in", "targetOld": "South America", "targetNew": "Asia"},
    {"id": "france", "subject": "France", "prompt": "The capital of France is", "targetOld": "Paris", "targetNew": "New Delhi"},
]


def probability(model, ids, token, layer=None, replacement=None):
    """P(token | ids), with the last token's input of a layer's down-projection replaced."""
    seen = []

    def hook(module, inputs):
        seen.append(inputs[0][0, -1].detach())
        if replacement is None:
            return None
        changed = inputs[0].clone()
        changed[0, -1] = replacement
        return (changed,)

    handle = None if layer is None else model.model.layers[layer].mlp.down_proj.register_forward_pre_hook(hook)
    p = torch.softmax(model(torch.tensor([ids])).logits[0, -1], -1)[token]
    if handle is not None:
        handle.remove()
    return p, seen


def attribute(model, prompt, answer):
    """Attributions and activations [layers, F], the mean over the answer's tokens, each after the true ones before it."""
    total, values = 0, 0
    probabilities = []
    for j, token in enumerate(answer):
        ids = prompt + answer[:j]
        rows, own = [], []
        for layer in range(model.config.num_hidden_layers):
            with torch.no_grad():
                p, (value,) = probability(model, ids, token, layer)
            slopes = torch.zeros_like(value)
            for k in range(1, SETTINGS["steps"] + 1):
                scaled = (value * k / SETTINGS["steps"]).requires_grad_(True)
                moved, _ = probability(model, ids, token, layer, scaled)
                slopes += torch.autograd.grad(moved, scaled)[0]
            rows.append(value * slopes / SETTINGS["steps"])
            own.append(value)
        total = total + torch.stack(rows) / len(answer)
        values = values + torch.stack(own) / len(answer)
        probabilities.append(p)
    return total, values, torch.stack(probabilities)


def knowledge_neurons(attributions):
    counts = Counter()
    for scores in attributions:
        for layer, index in torch.nonzero(scores >= SETTINGS["threshold"] * scores.max()).tolist():
            counts[layer, index] += 1
    # p in whole hundredths, so that it meets whole numbers of prompts.
    share = round(100 * SETTINGS["share"])
    for attempt in range(6):
        neurons = sorted(n for n, count in counts.items() if 100 * count >= share * len(attributions))
        if attempt == 5 or SETTINGS["fewest"] <= len(neurons) <= SETTINGS["most"]:
            return neurons, share / 100, len(counts)
        share += -5 if len(neurons) < SETTINGS["fewest"] else 5


def edit(model, tokenizer, fact):
    encode = lambda text: tokenizer.encode(text).ids
    old, new = encode(" " + fact["targetOld"]), encode(" " + fact["targetNew"])
    found = [attribute(model, encode(prefix + fact["prompt"]), old) for prefix in PREFIXES]
    attributions = [scores for scores, _, _ in found]
    neurons, share, coarse = knowledge_neurons(attributions)
    embeddings = model.model.embed_tokens.weight.detach()
    e, e_new = embeddings[old].sum(0), embeddings[new].sum(0)
    rows = []
    for layer, index in neurons:
        row = model.model.layers[layer].mlp.down_proj.weight.detach()[:, index]
        # A neuron below zero writes the opposite of its row. It counts in the prompts that it was found for.
        active = sum(values[layer, index] for scores, values, _ in found if scores[layer, index] >= SETTINGS["threshold"] * scores.max())
        change = torch.sign(active) * row.norm() * (SETTINGS["enhance"] * e_new / e_new.norm() - SETTINGS["erase"] * e / e.norm())
        rows.append({"layer": layer, "index": index, "change": flat(change)})
    negative = sum(found[0][1][layer, index] < 0 for layer, index in neurons)
    print(f"{fact['id']}: {negative} below zero; {coarse} coarse neurons, {len(neurons)} shared by {share:.0%} of the prompts, in layers {sorted({l for l, _ in neurons})}")
    return {
        "fact": fact,
        "attributions": [flat(scores) for scores in attributions[0]],
        "largest": [scores.max().item() for scores in attributions],
        "probabilities": flat(torch.cat([p for _, _, p in found])),
        "share": share,
        "neurons": rows,
    }


def main():
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(GOLDEN / "tiny-llama" / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(GOLDEN / "tiny-llama", dtype=torch.float32, attn_implementation="eager").eval()
    model.requires_grad_(False)
    write("kn", "kn.py", SEED, {"settings": SETTINGS, "prefixes": PREFIXES, "edits": [edit(model, tokenizer, fact) for fact in FACTS]})


if __name__ == "__main__":
    main()
