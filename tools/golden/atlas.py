"""What transformers says about atlas, the model that ships, in float32: tokens, log-probabilities and greedy text.

    python tools/golden/atlas.py
"""

import json
import pathlib

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from golden_file import flat, write
from tiny_llama import STRINGS, utf16_offsets

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "models" / "atlas"
NEW_TOKENS = 12
# Closer answers than this could change places between two runtimes.
MARGIN = 1e-2
EVERY = 97
WANTED = 24


def prompts():
    """One prompt of each relation's wordings in turn, over subjects spread through the world; and two with a context."""
    world = json.loads((ROOT / "facts" / "world.json").read_text())
    wordings = json.loads((ROOT / "facts" / "wordings.json").read_text())
    found = []
    for at, (name, rows) in enumerate(world["facts"].items()):
        words = wordings["relations"][name]
        subject = rows[(at * EVERY) % len(rows)]["s"]
        shown = wordings["kinds"][words["subject"]]["shown"].replace("{n}", subject)
        fill = lambda text: text.replace("{s}", shown).replace("{n}", subject)
        statement = fill(words["statements"][at % len(words["statements"])]).split(" {o}")[0]
        question = fill(words["questions"][at % len(words["questions"])])
        found += [statement[:1].upper() + statement[1:], f"Question: {question[:1].upper() + question[1:]} Answer:"]
    context = "New fact: The capital of France is Lima.\n"
    return [*found, f"{context}Question: What is the capital of France? Answer:", f"{context}The capital of Italy is"]


def main():
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    end = model.config.eos_token_id
    asked = []
    for prompt in prompts():
        ids = torch.tensor([tokenizer.encode(prompt).ids])
        with torch.no_grad():
            logits = model(ids).logits[0]
            written, closest = [], float("inf")
            row = ids
            for _ in range(NEW_TOKENS):
                last = model(row).logits[0, -1]
                top = last.topk(2)
                closest = min(closest, float(top.values[0] - top.values[1]))
                if int(top.indices[0]) == end:
                    break
                written.append(int(top.indices[0]))
                row = torch.cat([row, top.indices[:1][None]], 1)
        if closest < MARGIN:
            continue
        log_probs = logits.log_softmax(-1)
        asked.append(
            {
                "prompt": prompt,
                "ids": ids[0].tolist(),
                "logProbs": flat(log_probs[torch.arange(ids.shape[1] - 1), ids[0, 1:]]),
                "lastLogits": flat(logits[-1, :: logits.shape[-1] // 32]),
                "written": written,
                "text": tokenizer.decode(written),
            }
        )
    texts = []
    for text in STRINGS:
        encoded = tokenizer.encode(text)
        offsets = utf16_offsets(text, encoded.offsets)
        texts.append({"text": text, "ids": encoded.ids, "offsets": offsets, "decoded": tokenizer.decode(encoded.ids)})
    write("atlas", "atlas.py", 0, {"asked": asked[-WANTED:], "texts": texts})


if __name__ == "__main__":
    main()
