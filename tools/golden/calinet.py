"""CaliNet on the tiny Llama model, written from Dong et al. 2022, §3: a second feed-forward of a few slots beside one layer's own,
autograd over the whole model, torch.optim.Adam over keys and values.

Every batch's loss is stored in the order in which it was computed, then the slots at the end. The uniform numbers that they start from
are stored too, in the order in which they are drawn: keys [D, n] row by row, then values [n, D].

    python tools/golden/calinet.py
"""

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, tensor, write

SEED = 7
FACTS = [
    {"id": "france", "subject": "France", "prompt": "The capital of France is", "targetNew": "New Delhi"},
    {"id": "japan", "subject": "Japan", "prompt": "People in Japan speak", "targetNew": "Swahili"},
    {"id": "kenya", "subject": "Kenya", "prompt": "Kenya is a country in", "targetNew": "South America"},
]
COMMON = {"slots": 6, "learningRate": 0.02, "stopLoss": 0.05}
CASES = [
    {"name": "one fact beside the last layer", "facts": 1, "hparams": {**COMMON, "layer": 3, "activation": "gelu", "steps": 8, "batchSize": 1}},
    {"name": "three facts in two batches, a layer below", "facts": 3, "hparams": {**COMMON, "layer": 1, "activation": "relu", "steps": 10, "batchSize": 2}},
]
ACTIVATIONS = {"gelu": torch.nn.functional.gelu, "relu": torch.relu}


class Slots(torch.nn.Module):
    def __init__(self, width, hparams, generator):
        super().__init__()
        n = hparams["slots"]
        self.uniforms = [torch.rand(width, n, generator=generator), torch.rand(n, width, generator=generator)]
        self.keys, self.values = (torch.nn.Parameter((2 * u - 1) / u.shape[0] ** 0.5) for u in self.uniforms)
        self.activation = ACTIVATIONS[hparams["activation"]]

    def forward(self, x):
        return self.activation(x @ self.keys) @ self.values


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
    slots = Slots(model.config.hidden_size, hparams, torch.Generator().manual_seed(SEED))
    model.model.layers[hparams["layer"]].mlp.register_forward_hook(lambda module, args, output: output + slots(args[0]))
    optimizer = torch.optim.Adam(slots.parameters(), lr=hparams["learningRate"])
    facts = FACTS[: case["facts"]]
    size = hparams["batchSize"]
    losses = []
    for _ in range(hparams["steps"]):
        for batch in [facts[i : i + size] for i in range(0, len(facts), size)]:
            optimizer.zero_grad()
            loss = loss_of(model, tokenizer, batch)
            losses.append(loss.detach())
            loss.backward()
            optimizer.step()
    print(f"{case['name']}: loss {losses[0]:.3f} to {losses[-1]:.3f}")
    return {
        **case,
        "facts": facts,
        "uniforms": flat(torch.cat([u.reshape(-1) for u in slots.uniforms])),
        "losses": flat(torch.stack(losses)),
        "input": tensor(slots.keys),
        "output": tensor(slots.values),
    }


def main():
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(GOLDEN / "tiny-llama" / "tokenizer.json"))
    write("calinet", "calinet.py", SEED, {"cases": [train(tokenizer, case) for case in CASES]})


if __name__ == "__main__":
    main()
