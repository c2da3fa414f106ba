"""LoRA on the tiny Llama model, written from Hu et al. 2022: adapters by hand beside frozen linear layers, autograd over the whole
model, torch.optim.Adam over A and B themselves.

Every batch's loss is stored in the order in which it was computed, then what the adapters add to each weight. The uniform numbers
that A starts from are stored too, in the order in which they are drawn: layer after layer, queries before values.

    python tools/golden/lora.py
"""

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, write

SEED = 0
FACTS = [
    {"id": "france", "subject": "France", "prompt": "The capital of France is", "targetNew": "New Delhi"},
    {"id": "japan", "subject": "Japan", "prompt": "People in Japan speak", "targetNew": "Swahili"},
    {"id": "kenya", "subject": "Kenya", "prompt": "Kenya is a country in", "targetNew": "South America"},
]
COMMON = {"rank": 2, "alpha": 6, "learningRate": 0.01, "batchSize": 1, "stopLoss": 0}
CASES = [
    {"name": "queries and values", "facts": 1, "hparams": {**COMMON, "modules": "attention", "steps": 8}},
    # Two batches of unequal size, one of which is learned before the other and then takes no step; stops before its last epoch.
    {"name": "feed-forwards, batches", "facts": 3, "hparams": {**COMMON, "modules": "feed-forward", "rank": 1, "alpha": 3, "learningRate": 0.02, "steps": 40, "batchSize": 2, "stopLoss": 2.5}},
]
MODULES = {"attention": ["self_attn.q_proj", "self_attn.v_proj"], "feed-forward": ["mlp.up_proj", "mlp.down_proj"]}


class Adapted(torch.nn.Module):
    """A frozen linear layer with h = W₀x + s·BAx beside it; here A [r, in] and B [out, r], as in the paper."""

    def __init__(self, linear, hparams, generator):
        super().__init__()
        rank = hparams["rank"]
        self.linear = linear
        self.scale = hparams["alpha"] / rank
        # Drawn input by input, so that the transpose, the product's left factor, is filled row by row.
        self.uniform = torch.rand(linear.in_features, rank, generator=generator)
        self.a = torch.nn.Parameter(((2 * self.uniform - 1) / linear.in_features**0.5).T.contiguous())
        self.b = torch.nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, x):
        return self.linear(x) + self.scale * (x @ self.a.T) @ self.b.T

    def delta(self):
        """What is added to the weight, [in, out], as the product keeps weights."""
        return self.scale * (self.b @ self.a).T


def adapt(model, hparams, generator):
    adapted = {}
    for i, layer in enumerate(model.model.layers):
        for name in MODULES[hparams["modules"]]:
            block, leaf = name.split(".")
            parent = getattr(layer, block)
            module = Adapted(getattr(parent, leaf), hparams, generator)
            setattr(parent, leaf, module)
            adapted[f"model.layers.{i}.{name}.weight"] = module
    return adapted


def loss_of(model, tokenizer, facts):
    """Mean over the facts of the mean over the target's tokens; facts are run one by one, so that nothing needs padding."""
    losses = []
    for fact in facts:
        prompt = tokenizer.encode(fact["prompt"]).ids
        target = tokenizer.encode(" " + fact["targetNew"]).ids
        logits = model(torch.tensor([prompt + target])).logits[0, len(prompt) - 1 : -1]
        losses.append(torch.nn.functional.cross_entropy(logits, torch.tensor(target)))
    return torch.stack(losses).mean()


def train(tokenizer, case):
    hparams = case["hparams"]
    model = LlamaForCausalLM.from_pretrained(GOLDEN / "tiny-llama", dtype=torch.float32, attn_implementation="eager").eval()
    model.requires_grad_(False)
    adapted = adapt(model, hparams, torch.Generator().manual_seed(SEED))
    optimizer = torch.optim.Adam([p for module in adapted.values() for p in (module.a, module.b)], lr=hparams["learningRate"])
    facts = FACTS[: case["facts"]]
    size = hparams["batchSize"]
    losses, skipped = [], 0
    for epoch in range(hparams["steps"]):
        total = 0.0
        for batch in [facts[i : i + size] for i in range(0, len(facts), size)]:
            optimizer.zero_grad()
            loss = loss_of(model, tokenizer, batch)
            losses.append(loss.detach())
            total += loss.item() * len(batch)
            if loss < hparams["stopLoss"]:
                skipped += 1
                continue
            loss.backward()
            optimizer.step()
        if total / len(facts) < hparams["stopLoss"]:
            break
    print(f"{case['name']}: {epoch + 1} epochs, {skipped} batches skipped, loss {losses[0]:.3f} to {losses[-1]:.3f}")
    return {
        **case,
        "facts": facts,
        "uniforms": flat(torch.cat([module.uniform.reshape(-1) for module in adapted.values()])),
        "epochs": epoch + 1,
        "losses": flat(torch.stack(losses)),
        # One row and one column of each change say enough of a product of so few columns, and keep the file small.
        "changes": {name: {"row": flat(module.delta()[0]), "column": flat(module.delta()[:, 0])} for name, module in adapted.items()},
    }


def main():
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(GOLDEN / "tiny-llama" / "tokenizer.json"))
    write("lora", "lora.py", SEED, {"cases": [train(tokenizer, case) for case in CASES]})


if __name__ == "__main__":
    main()
