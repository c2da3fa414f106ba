"""MELO (Yu et al. 2024) on the tiny Llama model, written from the rules of its public code: blocks of adapters by hand beside frozen linear layers, a database of
clusters over the output of one layer's down-projection at the prompt's last token.

One stream of calls, chosen so that each rule of the database is taken; stored after each call: the losses of the block's training, each
before its step, the whole database, and of some prompts the block they find and the log-probabilities of a target with it. Labels are
compared token by token, and edits of one call enter one after another.

    python tools/golden/melo.py
"""

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, write

SEED = 5
SETTINGS = {
    "layer": 1, "radius": 5.0, "radiusUnit": "distance", "firstAdapted": 2, "adaptedLayers": 2, "modules": "up", "rank": 2, "blocks": 4,
    "editsPerBlock": 3, "learningRate": 0.01, "steps": 25, "stopLoss": 0,
}
HALVED_EVERY = 20
FRANCE = {"prompt": "The capital of France is", "subject": "France", "targetNew": "New Delhi"}
# Each call is trained into a block of its own. The words of "same sum" are those of the others in another order.
CALLS = [
    {"name": "first", "facts": [FRANCE]},
    {"name": "joins, and far away", "facts": [
        {"prompt": "The capital city of France is", "subject": "France", "targetNew": "New Delhi"},
        {"prompt": "A teacher from Kenya wrote a book", "subject": "Kenya", "targetNew": "Asia"},
    ]},
    {"name": "same sum", "facts": [{"prompt": "Is the capital of France is", "subject": "France", "targetNew": "Delhi New"}]},
    {"name": "renews", "facts": [{**FRANCE, "targetNew": "Cairo"}]},
]
ASKED = ["The capital of France is", "The capital city of France is", "Is the capital of France is", "The capital of Japan is", "Oslo"]
ASKED_TARGET = "Lima"
SAME_KEY = 1e-4
GAP = 1e-5


class Adapted(torch.nn.Module):
    """A frozen linear layer with x ↦ Wx + s·BAx beside it for the block that is switched on."""

    def __init__(self, linear):
        super().__init__()
        self.linear, self.blocks, self.active = linear, [], None

    def forward(self, x):
        y = self.linear(x)
        if self.active is None:
            return y
        a, b = self.blocks[self.active]  # [in, r], [r, out]
        root = SETTINGS["blocks"] ** 0.5
        return y + (x @ (root * a)) @ (root * b)


class Database:
    def __init__(self, radius):
        self.start, self.clusters = radius, []

    def nearest(self, key):
        distances = [float((key - cluster["centre"]).norm()) for cluster in self.clusters]
        return (None, float("inf")) if not distances else (self.clusters[distances.index(min(distances))], min(distances))

    def add(self, key, radius, label, point):
        self.clusters.append({"centre": key, "radius": radius, "label": label, "points": [point]})

    def insert(self, prompt, key, label, block):
        for cluster in self.clusters:
            cluster["points"] = [p for p in cluster["points"] if (p["key"] - key).norm() > SAME_KEY * key.norm()]
        renewed = any(not cluster["points"] for cluster in self.clusters)
        self.clusters = [cluster for cluster in self.clusters if cluster["points"]]
        point = {"prompt": prompt, "key": key, "block": block}
        cluster, distance = self.nearest(key)
        if cluster is None or distance > cluster["radius"] + self.start:
            self.add(key, self.start, label, point)
            return "renewed, new" if renewed else "new"
        if cluster["label"] == label:
            cluster["points"].append(point)
            keys = torch.stack([p["key"] for p in cluster["points"]])
            cluster["centre"] = keys.mean(0)
            cluster["radius"] = max(self.start, float((keys - cluster["centre"]).norm(dim=1).max()))
            return "join"
        cluster["radius"] = distance / 2 - GAP
        before = len(cluster["points"])
        cluster["points"] = [p for p in cluster["points"] if (p["key"] - cluster["centre"]).norm() <= cluster["radius"]]
        lost = before - len(cluster["points"])
        self.clusters = [one for one in self.clusters if one["points"]]
        self.add(key, distance / 2 + GAP, label, point)
        return f"split, {lost} lost"

    def find(self, key):
        cluster, distance = self.nearest(key)
        if cluster is None or distance > cluster["radius"]:
            return None
        return min(cluster["points"], key=lambda p: float((p["key"] - key).norm()))["block"]


def main():
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    tokenizer = Tokenizer.from_file(str(GOLDEN / "tiny-llama" / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(GOLDEN / "tiny-llama", dtype=torch.float32, attn_implementation="eager").eval()
    model.requires_grad_(False)
    adapted = []
    for i in range(SETTINGS["firstAdapted"], SETTINGS["firstAdapted"] + SETTINGS["adaptedLayers"]):
        mlp = model.model.layers[i].mlp
        mlp.up_proj = Adapted(mlp.up_proj)
        adapted.append(mlp.up_proj)
    down = model.model.layers[SETTINGS["layer"]].mlp.down_proj
    ids = lambda text: tokenizer.encode(text).ids
    seen = {}

    def switch(block):
        for module in adapted:
            module.active = block

    def key_of(prompt):
        switch(None)
        with down.register_forward_hook(lambda _, __, output: seen.update(key=output[0, -1].clone())), torch.no_grad():
            model(torch.tensor([ids(prompt)]))
        return seen["key"]

    def loss_of(fact):
        prompt, target = ids(fact["prompt"]), ids(" " + fact["targetNew"])
        logits = model(torch.tensor([prompt + target])).logits[0, len(prompt) - 1 : -1]
        return torch.nn.functional.cross_entropy(logits, torch.tensor(target))

    database, calls = Database(SETTINGS["radius"]), []
    reach = 1 / (SETTINGS["blocks"] * SETTINGS["rank"]) ** 0.5
    for block, call in enumerate(CALLS):
        uniforms = []
        for module in adapted:
            uniforms.append(torch.rand(module.linear.in_features, SETTINGS["rank"], generator=generator))
            a = ((2 * uniforms[-1] - 1) * reach).requires_grad_(True)
            module.blocks.append((a, torch.zeros(SETTINGS["rank"], module.linear.out_features, requires_grad=True)))
        optimizer = torch.optim.Adam([p for module in adapted for p in module.blocks[block]], lr=SETTINGS["learningRate"])
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=HALVED_EVERY, gamma=0.5)
        switch(block)
        losses = []
        for _ in range(SETTINGS["steps"]):
            optimizer.zero_grad()
            loss = torch.stack([loss_of(fact) for fact in call["facts"]]).mean()
            losses.append(loss.detach())
            loss.backward()
            optimizer.step()
            schedule.step()
        branches = []
        for fact in call["facts"]:
            key = key_of(fact["prompt"])
            distance = database.nearest(key)[1]
            branches.append(database.insert(fact["prompt"], key, ids(" " + fact["targetNew"]), block))
            print(f"{fact['prompt']}: nearest centre at {distance:.3f}, {branches[-1]}; loss {losses[0]:.3f} to {losses[-1]:.3f}")
        asked = []
        for prompt in ASKED:
            found = database.find(key_of(prompt))
            switch(found)
            row, target = ids(prompt), ids(" " + ASKED_TARGET)
            with torch.no_grad():
                logits = model(torch.tensor([row + target])).logits[0, len(row) - 1 : -1]
            log_probs = logits.log_softmax(-1)[range(len(target)), target]
            asked.append({"prompt": prompt, "block": found, "logProbs": flat(log_probs)})
        print("   asked:", [one["block"] for one in asked])
        calls.append({
            **call,
            "uniforms": flat(torch.cat([one.reshape(-1) for one in uniforms])),
            "losses": flat(torch.stack(losses)),
            "branches": branches,
            "clusters": [
                {
                    "centre": flat(cluster["centre"]),
                    "radius": cluster["radius"],
                    "label": list(cluster["label"]),
                    "points": [{"prompt": p["prompt"], "block": p["block"]} for p in cluster["points"]],
                }
                for cluster in database.clusters
            ],
            "asked": asked,
        })
    write("melo", "melo.py", SEED, {"settings": SETTINGS, "target": ASKED_TARGET, "calls": calls})


if __name__ == "__main__":
    main()
