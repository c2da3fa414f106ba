"""EMMET on the tiny Llama model, written from Gupta et al. 2024 (arXiv 2403.14236): values as MEMIT seeks them, one layer, every key exactly.

The closed form is computed as it stands in the paper, with C⁻¹ in full, where the product uses another form of it.

    python tools/golden/emmet.py
"""

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, write
from memit import FACTS, PREFIXES, SETTINGS, Editor

LAYER = 1
SLACK = 1e-5


def emmet(slack):
    """R (Kᵀ C⁻¹ K + εI)⁻¹ Kᵀ C⁻¹."""

    def solve(c, k, r):
        inverse = torch.inverse(c)
        d = k.T @ inverse @ k + slack * len(c) * torch.eye(k.shape[1], dtype=torch.float64)
        return r @ torch.inverse(d) @ k.T @ inverse

    return solve


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = GOLDEN / "tiny-llama"
    model = LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager").float().eval().requires_grad_(False)
    settings = {name: value for name, value in SETTINGS.items() if name not in ("firstLayer", "lastLayer", "lambda")}
    editor = Editor(model, Tokenizer.from_file(str(folder / "tokenizer.json")), {**settings, "lastLayer": LAYER})
    rows = [[(i * 37 + j * j * 11 + 5) % 448 for j in range(20)] for i in range(30)]
    covariances = {LAYER: editor.covariance(rows, LAYER)}
    values = [editor.seek(fact) for fact in FACTS]
    z = torch.stack([value["initial"] + value["delta"] for value in values], 1).double()
    edits = []
    for name, count in (("one", 1), ("three", 3)):
        edits.append({"name": name, "facts": count, **editor.write(FACTS[:count], z[:, :count], covariances, emmet(SLACK))})
    settings = {**settings, "layer": LAYER, "slack": SLACK}
    losses = [[row[0] for row in value["losses"]] for value in values]
    write("emmet", "emmet.py", 0, {"settings": settings, "prefixes": PREFIXES, "rows": rows, "facts": FACTS, "losses": losses, "edits": edits})
    for edit in edits:
        print(edit["name"], [layer["missing"] for layer in edit["layers"]], edit["missing"])
