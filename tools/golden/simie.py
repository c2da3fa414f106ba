"""SimIE on the tiny Llama model, written from Guo et al. 2025 (ICML), and its recursion as the public code has it.

Three edits whose changes of one down-projection are given by a formula, each as if it were the only one. After each, what the stream has
made of the weight: by the recursion with the matrix P, for weights [out, in], in float64. At the end the same from all edits at once.

    python tools/golden/simie.py
"""

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, write

LAYER = 1
SHARE = 0.01
FACTS = [
    {"id": "france", "prompt": "The capital of France is", "targetNew": "New Delhi"},
    {"id": "kenya", "prompt": "The official language of Kenya is", "targetNew": "Spanish"},
    {"id": "start", "prompt": "Mexico City is in", "targetNew": "Asia"},
]


def change_of(edit, shape):
    """Δ [in, out]: 0.05 sin(0.37 n (edit + 1)), n = 0, 1, … row by row."""
    n = torch.arange(shape[0] * shape[1], dtype=torch.float64).reshape(shape)
    return 0.05 * torch.sin(0.37 * n * (edit + 1))


def read_keys(model, tokenizer, fact):
    """The inputs of the down-projection at every token of "prompt target" [N, in]."""
    found = []
    down = model.model.layers[LAYER].mlp.down_proj
    hook = down.register_forward_hook(lambda _module, args, _out: found.append(args[0][0].double()))
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in (fact["prompt"], " " + fact["targetNew"])]
    with torch.no_grad():
        model(torch.tensor([ids[0] + ids[1]]))
    hook.remove()
    return found[0]


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = GOLDEN / "tiny-llama"
    model = LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager").float().eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    keys = [read_keys(model, tokenizer, fact) for fact in FACTS]
    shape = (keys[0].shape[1], model.config.hidden_size)
    lengths = keys[0].pow(2).sum(1).sort().values
    middle = len(lengths) // 2
    median = lengths[middle] if len(lengths) % 2 else (lengths[middle - 1] + lengths[middle]) / 2
    ridge = SHARE * median
    start = model.model.layers[LAYER].mlp.down_proj.weight.detach().double()  # [out, in]
    weight, p, edits = start.clone(), ridge * torch.eye(shape[0], dtype=torch.float64), []
    for edit, k in enumerate(keys):
        own = start + change_of(edit, shape).T
        p = p + k.T @ k
        weight = weight + torch.linalg.solve(p.T, ((own - weight) @ k.T @ k).T).T
        made, aim = (weight - start) @ k.T, (own - start) @ k.T
        edits.append({
            **FACTS[edit],
            "tokens": len(k),
            "missing": float((made - aim).norm() / aim.norm()),
            "made": flat((weight - start).T),
        })
    moved = sum(k.T @ (k @ change_of(edit, shape)) for edit, k in enumerate(keys))
    once = torch.linalg.solve(p, moved)
    assert torch.allclose(once, (weight - start).T, atol=1e-10)
    write("simie", "simie.py", 0, {"layer": LAYER, "share": SHARE, "ridge": float(ridge), "edits": edits})
    print([edit["missing"] for edit in edits], float(ridge))
