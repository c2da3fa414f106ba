"""GRACE on the tiny Llama model, written from algorithm 1 of Hartvigsen et al. 2023.

One stream of edits, chosen so that each of the algorithm's branches is taken; stored after each edit: the losses of its training,
and the whole codebook. The value is written at the prompt's last token (`replace_last` of the public code).

    python tools/golden/grace.py
"""

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, write

SEED = 3
SETTINGS = {"layer": 2, "radius": 5.0, "learningRate": 0.5, "steps": 10}
# Of equal sense: "grows" must lie near "first" and say the same, "splits" near it and say something else.
EDITS = [
    {"name": "first", "prompt": "The capital of France is", "subject": "France", "targetNew": "New Delhi"},
    {"name": "far away", "prompt": "A teacher from Kenya wrote a book", "subject": "Kenya", "targetNew": "Asia"},
    {"name": "grows", "prompt": "The capital city of France is", "subject": "France", "targetNew": "New Delhi"},
    {"name": "splits", "prompt": "Is the capital of France is", "subject": "France", "targetNew": "Cairo"},
    {"name": "inside", "prompt": "Is the capital of France is", "subject": "France", "targetNew": "Cairo"},
]


class Codebook:
    def __init__(self, radius):
        self.start_radius = radius
        self.keys, self.values, self.radii, self.labels = [], [], [], []

    def add(self, key, value, radius, label):
        self.keys.append(key)
        self.values.append(value)
        self.radii.append(radius)
        self.labels.append(label)
        return len(self.keys) - 1

    def place(self, key, value, label):
        """Algorithm 1: returns the entry whose value is to be trained, and which branch was taken."""
        if not self.keys:
            return self.add(key, value, self.start_radius, label), "empty"
        distances = [float((key - other).norm()) for other in self.keys]
        nearest = distances.index(min(distances))
        distance = distances[nearest]
        if distance > self.start_radius + self.radii[nearest]:
            return self.add(key, value, self.start_radius, label), "new"
        if self.labels[nearest] == label:
            branch = "grow" if distance > self.radii[nearest] else "inside"
            self.radii[nearest] = max(self.radii[nearest], distance)
            return nearest, branch
        self.radii[nearest] = distance / 2 - 1e-5
        return self.add(key, value, distance / 2, label), "split"


def main():
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(GOLDEN / "tiny-llama" / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(GOLDEN / "tiny-llama", dtype=torch.float32, attn_implementation="eager").eval()
    model.requires_grad_(False)
    down = model.model.layers[SETTINGS["layer"]].mlp.down_proj
    book = Codebook(SETTINGS["radius"])
    seen, edits = {}, []
    for edit in EDITS:
        prompt, target = (tokenizer.encode(text).ids for text in (edit["prompt"], " " + edit["targetNew"]))
        last = len(prompt) - 1
        row = torch.tensor([prompt + target])
        with down.register_forward_hook(lambda _, args, __: seen.update(key=args[0][0, last].clone())):
            model(row)
        start = torch.rand(model.config.hidden_size)
        index, branch = book.place(seen["key"], start, target)
        value = book.values[index].clone().requires_grad_(True)
        optimizer = torch.optim.Adam([value], lr=SETTINGS["learningRate"])

        def replace(_, __, output):
            output = output.clone()
            output[0, last] = value
            return output

        losses = []
        for _ in range(SETTINGS["steps"]):
            optimizer.zero_grad()
            with down.register_forward_hook(replace):
                logits = model(row).logits[0, last:-1]
            loss = torch.nn.functional.cross_entropy(logits, torch.tensor(target))
            losses.append(loss.detach())
            loss.backward()
            optimizer.step()
        book.values[index] = value.detach()
        others = [float((seen["key"] - key).norm()) for key in book.keys]
        print(f"{edit['name']}: {branch}, distances {[round(d, 3) for d in others]}, loss {losses[0]:.3f} to {losses[-1]:.3f}")
        edits.append({
            **edit,
            "branch": branch,
            "start": flat(start),
            "losses": flat(torch.stack(losses)),
            "keys": flat(torch.stack(book.keys)),
            "values": flat(torch.stack(book.values)),
            "radii": list(book.radii),
            "labels": [list(label) for label in book.labels],
        })
    write("grace", "grace.py", SEED, {"settings": SETTINGS, "edits": edits})


if __name__ == "__main__":
    main()
