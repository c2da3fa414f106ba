"""ROME on the tiny Llama model, written from Meng et al. 2022 with the choices of the public code that the paper leaves open.

Prefixes, covariance text and settings are fixed here and stored, so that every step can be compared: keys, covariance,
direction, every loss, delta, and both factors of the change.

    python tools/golden/rome.py
"""

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, write

PREFIXES = ["", "The train to Lima. ", "I have never been there. ", "Therefore {0} in Asia. "]
FACTS = [
    {"id": "middle", "prompt": "The capital of France is", "subject": "France", "targetNew": "New Delhi"},
    {"id": "start", "prompt": "Mexico City is in", "subject": "Mexico City", "targetNew": "Asia"},
]
SETTINGS = {
    "layer": 1,
    "steps": 15,
    "learningRate": 0.1,
    "klFactor": 0.0625,
    "weightDecay": 0.5,
    "clamp": 0.9,
    "stopLoss": 0.05,
    "ridge": 1e-2,
}


class Rome:
    def __init__(self, model, tokenizer, settings):
        self.model, self.tokenizer, self.settings = model, tokenizer, settings
        self.down = model.model.layers[settings["layer"]].mlp.down_proj

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def subject_token(self, text, start, end):
        """The last token whose characters meet those of the subject."""
        offsets = self.encode(text).offsets
        return max(i for i, (a, b) in enumerate(offsets) if a < end and b > start)

    def keys_and_values(self, ids, position):
        seen = {}
        hook = self.down.register_forward_hook(lambda _m, args, out: seen.update(k=args[0][0, position], v=out[0, position]))
        self.model(torch.tensor([ids]))
        hook.remove()
        return seen["k"].detach(), seen["v"].detach()

    def covariance(self, rows):
        """The ridged mean of k kᵀ in float64."""
        keys = []
        hook = self.down.register_forward_pre_hook(lambda _m, args: keys.append(args[0].reshape(-1, args[0].shape[-1])))
        for row in rows:
            self.model(torch.tensor([row]))
        hook.remove()
        k = torch.cat(keys).double()
        c = k.T @ k / len(k)
        return c + self.settings["ridge"] * c.diagonal().mean() * torch.eye(len(c), dtype=torch.float64)

    def edit(self, fact, prefixes, c, generator=None):
        s = self.settings
        at = fact["prompt"].index(fact["subject"])
        texts = [(p + fact["prompt"], len(p) + at) for p in prefixes]
        places = [self.subject_token(t, a, a + len(fact["subject"])) for t, a in texts]
        keys = torch.stack([self.keys_and_values(self.encode(t).ids, i)[0] for (t, _), i in zip(texts, places)])
        k_star = keys.double().mean(0)
        u = torch.linalg.solve(c, k_star)
        u = u / u.norm()

        target = self.encode(" " + fact["targetNew"]).ids
        rows = [self.encode(t).ids + target[:-1] for t, _ in texts]
        starts = [len(self.encode(t).ids) - 1 for t, _ in texts]
        essence = fact["subject"] + " is a"
        rows.append(self.encode(essence).ids)
        places.append(self.subject_token(essence, 0, len(fact["subject"])))

        v0 = self.keys_and_values(rows[0], places[0])[1]
        delta = torch.zeros_like(v0, requires_grad=True)
        adam = torch.optim.Adam([delta], lr=s["learningRate"])
        before, losses = None, []
        for step in range(s["steps"]):
            nll, kl = 0.0, None
            for i, (row, place) in enumerate(zip(rows, places)):
                def add(_m, _args, out, place=place):
                    out = out.clone()
                    out[0, place] += delta
                    return out
                hook = self.down.register_forward_hook(add)
                log_p = torch.log_softmax(self.model(torch.tensor([row])).logits[0], -1)
                hook.remove()
                if i < len(prefixes):
                    picked = [log_p[starts[i] + j, t] for j, t in enumerate(target)]
                    nll = nll - torch.stack(picked).mean() / len(prefixes)
                else:
                    now = log_p[place]
                    before = now.detach() if before is None else before
                    kl = s["klFactor"] * (now.exp() * (now - before)).sum()
            decay = s["weightDecay"] * delta.norm() / v0.norm() ** 2
            loss = nll + kl + decay
            losses.append([float(term.detach()) for term in (loss, nll, kl, decay)])
            if loss < s["stopLoss"] or step == s["steps"] - 1:
                break
            adam.zero_grad()
            loss.backward()
            adam.step()
            with torch.no_grad():
                limit = s["clamp"] * v0.norm()
                if delta.norm() > limit:
                    delta *= limit / delta.norm()

        v_star = v0 + delta.detach()
        k, wk = self.keys_and_values(self.encode(texts[0][0]).ids, places[0])
        divisor = k.double() @ u
        right = (v_star - wk).double() / divisor
        return {"kStar": k_star, "u": u, "losses": losses, "initial": v0, "delta": delta.detach(), "divisor": float(divisor), "right": right}


def load(folder):
    model = LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager").float().eval().requires_grad_(False)
    return model, Tokenizer.from_file(str(folder / "tokenizer.json"))


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model, tokenizer = load(GOLDEN / "tiny-llama")
    rome = Rome(model, tokenizer, SETTINGS)
    rows = [[(i * 37 + j * j * 11 + 5) % 448 for j in range(20)] for i in range(30)]
    c = rome.covariance(rows)
    edits = []
    for fact in FACTS:
        found = rome.edit(fact, PREFIXES, c)
        tensors = {k: flat(v) if isinstance(v, torch.Tensor) else v for k, v in found.items()}
        edits.append({"fact": fact, **tensors})
    diagonal = c.diagonal()
    write(
        "rome",
        "rome.py",
        0,
        {
            "settings": SETTINGS,
            "prefixes": PREFIXES,
            "rows": rows,
            "covarianceDiagonal": flat(diagonal),
            "covarianceNorm": float(c.norm()),
            "condition": float(torch.linalg.cond(c, 1)),
            "edits": edits,
        },
    )
    for edit in edits:
        print(edit["fact"]["id"], edit["losses"][0], edit["losses"][-1], len(edit["losses"]), edit["divisor"])
