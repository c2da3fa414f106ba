"""FT-L and FT-M on the tiny Llama model, written from the objectives as Meng et al. 2022 and Zhang et al. 2024 state them.

Autograd and torch.optim.Adam over the whole model; every batch's loss is stored in the order in which it was computed, and the
change of the trained matrix.

    python tools/golden/ft.py
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
COMMON = {"learningRate": 0.01, "batchSize": 1, "normLimit": 0, "stopLoss": 0.01}
CASES = [
    # The limit is met from the third step on.
    {"name": "prompt end, norm limit", "objective": "prompt-last", "facts": 1, "hparams": {**COMMON, "layer": 2, "steps": 8, "normLimit": 0.02}},
    {"name": "prompt end, several facts", "objective": "prompt-last", "facts": 3, "hparams": {**COMMON, "layer": 1, "steps": 4, "batchSize": 3}},
    # Stops before its last epoch.
    {"name": "target, until learned", "objective": "target-new", "facts": 1, "hparams": {**COMMON, "layer": 1, "steps": 30, "learningRate": 0.02, "stopLoss": 0.2}},
    # Two batches of unequal size, one of which is learned before the other and then takes no step.
    {"name": "target, batches", "objective": "target-new", "facts": 3, "hparams": {**COMMON, "layer": 0, "steps": 20, "learningRate": 0.03, "batchSize": 2, "stopLoss": 0.8}},
]


def loss_of(model, tokenizer, facts, objective):
    """Mean over the facts of the mean over the target's tokens; facts are run one by one, so that nothing needs padding."""
    losses = []
    for fact in facts:
        prompt = tokenizer.encode(fact["prompt"]).ids
        target = tokenizer.encode(" " + fact["targetNew"]).ids
        if objective == "prompt-last":
            log_probs = torch.log_softmax(model(torch.tensor([prompt])).logits[0, -1], -1)
            losses.append(-log_probs[target].mean())
        else:
            logits = model(torch.tensor([prompt + target])).logits[0, len(prompt) - 1 : -1]
            losses.append(torch.nn.functional.cross_entropy(logits, torch.tensor(target)))
    return torch.stack(losses).mean()


def fine_tune(tokenizer, case):
    hparams = case["hparams"]
    model = LlamaForCausalLM.from_pretrained(GOLDEN / "tiny-llama", dtype=torch.float32, attn_implementation="eager").eval()
    model.requires_grad_(False)
    weight = model.model.layers[hparams["layer"]].mlp.down_proj.weight.requires_grad_(True)
    start = weight.detach().clone()
    optimizer = torch.optim.Adam([weight], lr=hparams["learningRate"])
    facts = FACTS[: case["facts"]]
    size = hparams["batchSize"]
    batches = [facts[i : i + size] for i in range(0, len(facts), size)]
    losses, skipped = [], 0
    for epoch in range(hparams["steps"]):
        total = 0.0
        for batch in batches:
            optimizer.zero_grad()
            loss = loss_of(model, tokenizer, batch, case["objective"])
            losses.append(loss.detach())
            total += loss.item() * len(batch)
            if loss < hparams["stopLoss"]:
                skipped += 1
                continue
            loss.backward()
            optimizer.step()
            if hparams["normLimit"]:
                with torch.no_grad():
                    weight.clamp_(start - hparams["normLimit"], start + hparams["normLimit"])
        if total / len(facts) < hparams["stopLoss"]:
            break
    delta = (weight.detach() - start).T  # [in, out], as the product keeps weights
    print(f"{case['name']}: {epoch + 1} epochs, {skipped} batches skipped, loss {losses[0]:.3f} to {losses[-1]:.3f}, most {delta.abs().max():.4f}")
    return {**case, "facts": facts, "epochs": epoch + 1, "losses": flat(torch.stack(losses)), "delta": flat(delta)}


def main():
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(GOLDEN / "tiny-llama" / "tokenizer.json"))
    write("ft", "ft.py", SEED, {"cases": [fine_tune(tokenizer, case) for case in CASES]})


if __name__ == "__main__":
    main()
