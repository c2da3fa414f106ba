"""MEMIT on the tiny Llama model, written from Meng et al. 2023, section 4 and algorithm 1.

Values are sought by autograd and torch.optim.Adam; the model's own weights are changed layer by layer, and the closed form is
computed as it stands in the paper, (λC + KKᵀ)⁻¹ in full, where the product uses another form of it. Settings are chosen so that one
fact meets the limit on the length of the change and two do not.

    python tools/golden/memit.py
"""

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, write

PREFIXES = ["", "The train leaves at 9. ", "I think so. ", "Because of the rain. "]
FACTS = [
    {"id": "france", "prompt": "The capital of France is", "subject": "France", "targetNew": "New Delhi"},
    {"id": "start", "prompt": "Mexico City is in", "subject": "Mexico City", "targetNew": "Asia"},
    {"id": "kenya", "prompt": "The official language of Kenya is", "subject": "Kenya", "targetNew": "Spanish"},
]
SETTINGS = {
    "firstLayer": 1,
    "lastLayer": 2,
    "steps": 12,
    "learningRate": 0.1,
    "klFactor": 0.0625,
    "weightDecay": 0.5,
    "clamp": 0.43,
    "stopLoss": 0.05,
    "lambda": 0.5,
    "ridge": 1e-2,
}


class Editor:
    """The tiny model with what the paper calls k, h and z."""

    def __init__(self, model, tokenizer, settings):
        self.model, self.tokenizer, self.settings = model, tokenizer, settings
        self.last = settings["lastLayer"]

    def down(self, layer):
        return self.model.model.layers[layer].mlp.down_proj

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def place(self, text, start, end):
        """The last token whose characters meet those of the subject."""
        return max(i for i, (a, b) in enumerate(self.encode(text).offsets) if a < end and b > start)

    def texts(self, fact):
        """Ids and place of the subject, for the prompt after each prefix."""
        at = fact["prompt"].index(fact["subject"])
        found = []
        for prefix in PREFIXES:
            start = len(prefix) + at
            text = prefix + fact["prompt"]
            found.append((self.encode(text).ids, self.place(text, start, start + len(fact["subject"]))))
        return found

    def read(self, ids, position, layer):
        """The down-projection's input at `layer` and the residual stream after the last of the layers."""
        seen = {}
        hooks = [
            self.down(layer).register_forward_pre_hook(lambda _m, args: seen.update(k=args[0][0, position].double())),
            self.model.model.layers[self.last].register_forward_hook(lambda _m, _a, out: seen.update(h=stream(out)[0, position].double())),
        ]
        self.model(torch.tensor([ids]))
        for hook in hooks:
            hook.remove()
        return seen["k"].detach(), seen["h"].detach()

    def covariance(self, rows, layer):
        """The ridged mean of k kᵀ in float64."""
        keys = []
        hook = self.down(layer).register_forward_pre_hook(lambda _m, args: keys.append(args[0].reshape(-1, args[0].shape[-1])))
        for row in rows:
            self.model(torch.tensor([row]))
        hook.remove()
        k = torch.cat(keys).double()
        c = k.T @ k / len(k)
        return c + self.settings["ridge"] * c.diagonal().mean() * torch.eye(len(c), dtype=torch.float64)

    def seek(self, fact):
        """z of one fact: every loss on the way, h and δ."""
        s = self.settings
        texts = self.texts(fact)
        target = self.encode(" " + fact["targetNew"]).ids
        essence = fact["subject"] + " is a"
        rows = [(ids + target[:-1], place) for ids, place in texts]
        rows.append((self.encode(essence).ids, self.place(essence, 0, len(fact["subject"]))))
        h = self.read(*texts[0], self.last)[1].float()
        delta = torch.zeros_like(h, requires_grad=True)
        adam = torch.optim.Adam([delta], lr=s["learningRate"])
        before, losses = None, []
        for step in range(s["steps"]):
            nll = 0.0
            for i, (row, place) in enumerate(rows):
                def add(_m, _a, out, place=place):
                    changed = stream(out).clone()
                    changed[0, place] += delta
                    return (changed, *out[1:]) if isinstance(out, tuple) else changed
                hook = self.model.model.layers[self.last].register_forward_hook(add)
                log_p = torch.log_softmax(self.model(torch.tensor([row])).logits[0], -1)
                hook.remove()
                if i < len(texts):
                    start = len(texts[i][0]) - 1
                    nll = nll - torch.stack([log_p[start + j, t] for j, t in enumerate(target)]).mean() / len(texts)
                else:
                    before = log_p[place].detach() if before is None else before
                    kl = s["klFactor"] * (log_p[place].exp() * (log_p[place] - before)).sum()
            decay = s["weightDecay"] * delta.norm() / h.norm() ** 2
            loss = nll + kl + decay
            losses.append([float(term.detach()) for term in (loss, nll, kl, decay)])
            if loss < s["stopLoss"] or step == s["steps"] - 1:
                break
            adam.zero_grad()
            loss.backward()
            adam.step()
            with torch.no_grad():
                limit = s["clamp"] * h.norm()
                if delta.norm() > limit:
                    delta *= limit / delta.norm()
        return {"losses": losses, "initial": h, "delta": delta.detach()}

    def keys_and_states(self, facts, layer):
        """K [F, N]: half the bare prompt's key, half the mean of the others'; H [D, N]: of the bare prompts."""
        keys, states = [], []
        for fact in facts:
            found = [self.read(*text, layer) for text in self.texts(fact)]
            keys.append((found[0][0] + torch.stack([k for k, _ in found[1:]]).mean(0)) / 2)
            states.append(found[0][1])
        return torch.stack(keys, 1), torch.stack(states, 1)

    def write(self, facts, z, covariances, solve, divide=lambda left: left):
        """Changes the weights of the layers, one after another, and puts them back."""
        layers, found = sorted(covariances), []
        saved = {layer: self.down(layer).weight.clone() for layer in layers}
        for layer in layers:
            k, h = self.keys_and_states(facts, layer)
            r = (z - h) / divide(layers[-1] - layer + 1)
            delta = solve(covariances[layer], k, r)  # [D, F]
            self.down(layer).weight.data += delta.float()
            # As the product stores weights: [F, D].
            found.append({"layer": layer, "missing": float((z - h).norm(dim=0).mean()), "delta": flat(delta.T)})
        missing = float((z - self.keys_and_states(facts, layers[-1])[1]).norm(dim=0).mean())
        for layer in layers:
            self.down(layer).weight.data.copy_(saved[layer])
        return {"layers": found, "missing": missing}


def stream(out):
    return out[0] if isinstance(out, tuple) else out


def memit(weight):
    """Equation 14, with C0 = λC: R Kᵀ (λC + KKᵀ)⁻¹."""
    return lambda c, k, r: r @ torch.linalg.solve(weight * len(c) * c + k @ k.T, k).T


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = GOLDEN / "tiny-llama"
    model = LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager").float().eval().requires_grad_(False)
    editor = Editor(model, Tokenizer.from_file(str(folder / "tokenizer.json")), SETTINGS)
    rows = [[(i * 37 + j * j * 11 + 5) % 448 for j in range(20)] for i in range(30)]
    covariances = {layer: editor.covariance(rows, layer) for layer in range(SETTINGS["firstLayer"], SETTINGS["lastLayer"] + 1)}
    values = [editor.seek(fact) for fact in FACTS]
    z = torch.stack([v["initial"] + v["delta"] for v in values], 1).double()
    edits = []
    for name, count in (("one", 1), ("three", 3)):
        edits.append({"name": name, "facts": count, **editor.write(FACTS[:count], z[:, :count], covariances, memit(SETTINGS["lambda"]))})
    write(
        "memit",
        "memit.py",
        0,
        {
            "settings": SETTINGS,
            "prefixes": PREFIXES,
            "rows": rows,
            "facts": FACTS,
            "values": [{k: flat(v) if isinstance(v, torch.Tensor) else v for k, v in value.items()} for value in values],
            "edits": edits,
        },
    )
    for fact, value in zip(FACTS, values):
        share = float(value["delta"].norm() / value["initial"].norm()) / SETTINGS["clamp"]
        print(fact["id"], value["losses"][0], value["losses"][-1], len(value["losses"]), share)
    for edit in edits:
        print(edit["name"], [layer["missing"] for layer in edit["layers"]], edit["missing"])
