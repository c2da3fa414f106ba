"""AlphaEdit on the tiny Llama model, written from Fang et al. 2025 (arXiv 2410.02355): values as MEMIT seeks them, changes in a null space.

The closed form is computed as it stands in the paper, (K_p K_pᵀ P + K Kᵀ P + λI)⁻¹ in full with P as a matrix, where the product solves for
projected keys. One edit of three facts, and a stream of two edits, the second of which keeps the first's keys.

    python tools/golden/alphaedit.py
"""

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, write
from memit import FACTS, PREFIXES, SETTINGS, Editor

THRESHOLD = 0.6
LAMBDA = 0.05


def null_space(c):
    """P, by the singular vectors of C below the threshold; which share of the mean eigenvalue the values beside it have."""
    u, s, _ = torch.linalg.svd(c)
    small = u[:, s < THRESHOLD * c.trace() / len(c)]
    relative = s * len(c) / c.trace()
    around = [float(relative[relative >= THRESHOLD].min()), float(relative[relative < THRESHOLD].max())]
    return small @ small.T, around


def alphaedit(at, k, r):
    """R Kᵀ P (K_p K_pᵀ P + K Kᵀ P + λI)⁻¹; remembers the keys."""
    p, past, weight = at["p"], at["past"], at["weight"]
    inner = (past + k @ k.T) @ p + weight * torch.eye(len(p), dtype=torch.float64)
    at["keys"] = k
    return r @ k.T @ p @ torch.inverse(inner)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = GOLDEN / "tiny-llama"
    model = LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager").float().eval().requires_grad_(False)
    settings = {name: value for name, value in SETTINGS.items() if name not in ("lambda", "ridge")}
    editor = Editor(model, Tokenizer.from_file(str(folder / "tokenizer.json")), {**settings, "ridge": 0.0})
    rows = [[(i * 37 + j * j * 11 + 5) % 448 for j in range(20)] for i in range(30)]
    spaces, described = {}, []
    for layer in range(settings["firstLayer"], settings["lastLayer"] + 1):
        c = editor.covariance(rows, layer)
        p, around = null_space(c)
        spaces[layer] = {"p": p, "weight": LAMBDA * c.trace(), "past": torch.zeros_like(c)}
        described.append({"layer": layer, "directions": round(float(p.trace())), "share": float((p @ c).trace() / c.trace()), "meanSquare": float(c.trace())})
        print(described[-1], around)

    def edit(name, facts):
        values = [editor.seek(fact) for fact in facts]
        z = torch.stack([value["initial"] + value["delta"] for value in values], 1).double()
        losses = [[row[0] for row in value["losses"]] for value in values]
        return {"name": name, "facts": [fact["id"] for fact in facts], "losses": losses, **editor.write(facts, z, spaces, alphaedit)}

    edits = [edit("three facts at once", FACTS), edit("the first of a stream", FACTS[:1])]
    for found in edits[1]["layers"]:
        down, space = editor.down(found["layer"]), spaces[found["layer"]]
        down.weight.data += torch.tensor(found["delta"]).reshape(down.weight.shape[1], -1).T
        space["past"] = space["keys"] @ space["keys"].T
    edits.append(edit("the second of a stream", FACTS[1:2]))
    settings = {**settings, "threshold": THRESHOLD, "lambda": LAMBDA}
    write("alphaedit", "alphaedit.py", 0, {"settings": settings, "prefixes": PREFIXES, "rows": rows, "facts": FACTS, "spaces": described, "edits": edits})
    for found in edits:
        print(found["name"], [layer["missing"] for layer in found["layers"]], found["missing"])
