"""T-Patcher on the tiny Llama model, written from Huang et al. 2023, §3: units beside the last feed-forward by a hook, autograd over
the whole model, torch.optim.Adam with weight decay, clipped gradients and ReduceLROnPlateau.

Two edits of a stream, the second with the inputs of the first among those at which it must be silent. Stored of each: the units'
random values, the loss of the target at each step, the whole loss at the first, and the units at the end. Stored once: the inputs of
ordinary text, those to train on and those held back.

    python tools/golden/t_patcher.py
"""

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, tensor, write

SEED = 5
LAYER = 3
SETTINGS = {
    "layer": LAYER, "activation": "gelu", "mostUnits": 2, "amplify": 2, "learningRate": 0.05, "weightDecay": 0.002,
    "steps": 150, "firstLook": 30, "lookEvery": 10, "storedTokens": 64,
    "answerFactor": 1, "answerMargin": 0, "quietFactor": 0.5, "quietTop": 12, "quietDistance": 3, "quietCeiling": -3,
}
EDITS = [
    {"id": "france", "subject": "France", "prompt": "The capital of France is", "targetNew": "New Delhi"},
    {"id": "kenya", "subject": "Kenya", "prompt": "The official language of Kenya is", "targetNew": "Spanish"},
]
TEXT = ["Which continent is Peru in? It is in South America.", "A teacher says that Accra is the capital city of Ghana.", "Many travellers visit Oslo."]
HELD = ["People in Japan speak Japanese.", "Warsaw is a city in Poland."]


class Units(torch.nn.Module):
    """n units: K [n, D] and b as rows of a wider first matrix, v ⊙ c [D, n] as columns of a wider second one, as in the paper."""

    def __init__(self, own, amplify, generator):
        super().__init__()
        n, width = own.shape
        self.k = torch.nn.Parameter(own / own.norm(dim=1, keepdim=True) ** 2)
        self.b = torch.nn.Parameter(torch.zeros(n))
        # Drawn unit by unit.
        self.start = torch.randn(n, width, generator=generator)
        self.v = torch.nn.Parameter(self.start.T.contiguous())
        self.c = torch.nn.Parameter(torch.full((width, n), float(amplify)))

    def reach(self, x):
        return x @ self.k.T + self.b

    def forward(self, x):
        return torch.nn.functional.gelu(self.reach(x)) @ (self.v * self.c).T


def inputs_at(model, ids):
    """What the feed-forward of the layer takes in at each token."""
    kept = []
    handle = model.model.layers[LAYER].mlp.register_forward_pre_hook(lambda module, args: kept.append(args[0][0].detach()))
    model(torch.tensor([ids]))
    handle.remove()
    return kept[0]


def mean_of_largest(scores, k):
    scores = torch.exp(scores.reshape(-1))
    return torch.topk(scores, min(k, scores.numel()))[0].mean()


def quiet_loss(units, own, stored, s):
    there = units.reach(own).diagonal()
    at = units.reach(stored)
    return mean_of_largest(at - there + s["quietDistance"], s["quietTop"]) + mean_of_largest(at - s["quietCeiling"], s["quietTop"])


def edit(model, tokenizer, fact, stored, held, generator):
    s = SETTINGS
    prompt, target = tokenizer.encode(fact["prompt"]).ids, tokenizer.encode(" " + fact["targetNew"]).ids
    row = prompt + target[:-1]
    wanted = torch.tensor(target)

    def led():
        return model(torch.tensor([row])).logits[0, len(prompt) - 1 :]

    with torch.no_grad():
        wrong = [i for i, same in enumerate(led().argmax(-1) == wanted) if not same][: s["mostUnits"]]
        queries = inputs_at(model, row)[len(prompt) - 1 :]
    own = queries[wrong]
    units = Units(own, s["amplify"], generator)
    # Stays on the model for the edits after it.
    model.model.layers[LAYER].mlp.register_forward_hook(lambda module, args, output: output + units(args[0]))
    optimizer = torch.optim.Adam(units.parameters(), lr=s["learningRate"], weight_decay=s["weightDecay"])
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=1, threshold=0.05)
    losses, whole, looks, ended = [], None, [], False
    for step in range(s["steps"]):
        optimizer.zero_grad()
        logits = led()
        loss = torch.nn.functional.cross_entropy(logits, wanted)
        losses.append(loss.detach())
        if step > 0 and step % s["lookEvery"] == 0:
            plateau.step(loss.detach())
            if step > s["firstLook"] and torch.equal(logits.argmax(-1), wanted):
                looks.append(float(quiet_loss(units, own, held, s)))
                if len(looks) > 1 and not looks[-1] < min(looks[:-1]) - 0.001:
                    ended = True
                    break
        active = torch.exp(s["answerMargin"] - units.reach(own).diagonal()).mean()
        quiet = quiet_loss(units, own, stored, s)
        total = loss + s["answerFactor"] * active + s["quietFactor"] * quiet
        whole = whole or {"answering": active.item(), "quiet": quiet.item()}
        total.backward()
        torch.nn.utils.clip_grad_norm_(units.parameters(), 5.0)
        optimizer.step()
    units.requires_grad_(False)
    rate = optimizer.param_groups[0]["lr"]
    print(f"{fact['id']}: {len(wrong)} units, {len(losses)} steps, ended {ended}, rate {rate}, loss {losses[0]:.3f} to {losses[-1]:.3f}, held {looks}")
    return queries, {
        **fact,
        "normals": flat(units.start),
        "start": {key: float(value) for key, value in whole.items()},
        "losses": flat(torch.stack(losses)),
        "quietLoss": float(quiet_loss(units, own, held, s)),
        "queries": tensor(queries),
        "input": tensor(units.k.T),
        "biases": tensor(units.b),
        "output": tensor((units.v * units.c).T),
    }


def main():
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    tokenizer = Tokenizer.from_file(str(GOLDEN / "tiny-llama" / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(GOLDEN / "tiny-llama", dtype=torch.float32, attn_implementation="eager").eval()
    model.requires_grad_(False)
    stored, held = (torch.cat([inputs_at(model, tokenizer.encode(text).ids) for text in texts]) for texts in (TEXT, HELD))
    known = {"training": tensor(stored), "held": tensor(held)}
    edits = []
    for fact in EDITS:
        queries, golden = edit(model, tokenizer, fact, stored, held, generator)
        stored, held = torch.cat([stored, queries]), torch.cat([held, queries])
        edits.append(golden)
    write("t-patcher", "t_patcher.py", SEED, {"settings": SETTINGS, "stored": known, "edits": edits})


if __name__ == "__main__":
    main()
