"""PMET on the tiny Llama model, written from Li et al. 2024 (arXiv 2308.08742) with the schedule of the public code.

Attention's and the feed-forward's output of the last layer get a change each, sought together; the feed-forward's is written with MEMIT's
closed form and shares that are square roots. Settings are chosen so that one fact is said before the last step, and its weight falls.

    python tools/golden/pmet.py
"""

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, write
from memit import FACTS as MEMIT_FACTS, PREFIXES, SETTINGS as MEMIT_SETTINGS, Editor, memit

SETTINGS = {**MEMIT_SETTINGS, "steps": 14, "learningRate": 0.7, "weightDecay": 0.05, "clamp": 3.0, "saidWeight": 0.1, "stopKl": 0.01}
# Where the answer follows the subject at once, so small a model can be brought to say it.
FACTS = [MEMIT_FACTS[0], {"id": "said", "prompt": "A country in Europe: France", "subject": "France", "targetNew": "Asia"}, MEMIT_FACTS[2]]


class PmetEditor(Editor):
    def parts(self):
        """The feed-forward's and attention's last products."""
        layer = self.model.model.layers[self.last]
        return layer.mlp.down_proj, layer.self_attn.o_proj

    def read(self, ids, position, layer):
        """The down-projection's input at `layer` and the feed-forward's output at the last of the layers."""
        seen = {}
        hooks = [
            self.down(layer).register_forward_pre_hook(lambda _m, args: seen.update(k=args[0][0, position].double())),
            self.parts()[0].register_forward_hook(lambda _m, _a, out: seen.update(v=out[0, position].double())),
        ]
        self.model(torch.tensor([ids]))
        for hook in hooks:
            hook.remove()
        return seen["k"].detach(), seen["v"].detach()

    def outputs(self, ids, position):
        seen = []
        hooks = [part.register_forward_hook(lambda _m, _a, out: seen.append(out[0, position].detach())) for part in reversed(self.parts())]
        self.model(torch.tensor([ids]))
        for hook in hooks:
            hook.remove()
        return seen[::-1]  # attention comes first

    def seek(self, fact):
        s = self.settings
        texts = self.texts(fact)
        target = self.encode(" " + fact["targetNew"]).ids
        essence = fact["subject"] + " is a"
        rows = [(ids + target[:-1], place) for ids, place in texts]
        rows.append((self.encode(essence).ids, self.place(essence, 0, len(fact["subject"]))))
        initial = self.outputs(*texts[0])
        deltas = [torch.zeros_like(v, requires_grad=True) for v in initial]
        adam = torch.optim.Adam(deltas, lr=s["learningRate"])
        before, losses, weights, weight = None, [], [], 1.0
        for step in range(s["steps"]):
            nll, said = 0.0, True
            for i, (row, place) in enumerate(rows):
                def adding(delta, place=place):
                    def add(_m, _a, out):
                        out = out.clone()
                        out[0, place] += delta
                        return out
                    return add
                hooks = [part.register_forward_hook(adding(delta)) for part, delta in zip(self.parts(), deltas)]
                log_p = torch.log_softmax(self.model(torch.tensor([row])).logits[0], -1)
                for hook in hooks:
                    hook.remove()
                if i < len(texts):
                    start = len(texts[i][0]) - 1
                    nll = nll - torch.stack([log_p[start + j, t] for j, t in enumerate(target)]).mean() / len(texts)
                    said = said and all(int(log_p[start + j].argmax()) == t for j, t in enumerate(target))
                else:
                    before = log_p[place].detach() if before is None else before
                    kl = s["klFactor"] * (log_p[place].exp() * (log_p[place] - before)).sum()
            decay = s["weightDecay"] * sum(delta.norm() / v.norm() ** 2 for delta, v in zip(deltas, initial))
            loss = weight * nll + kl + decay
            losses.append([float(term.detach()) for term in (loss, weight * nll, kl, decay)])
            weights.append(weight)
            if loss < s["stopLoss"] or (said and kl <= s["stopKl"]):
                break
            weight = s["saidWeight"] if said else 1.0
            if step == s["steps"] - 1:
                break
            adam.zero_grad()
            loss.backward()
            adam.step()
            with torch.no_grad():
                for delta, v in zip(deltas, initial):
                    limit = s["clamp"] * v.norm()
                    if delta.norm() > limit:
                        delta *= limit / delta.norm()
        return {"losses": losses, "weights": weights, "initial": initial[0], "delta": deltas[0].detach(), "beside": deltas[1].detach()}


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = GOLDEN / "tiny-llama"
    model = LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager").float().eval().requires_grad_(False)
    editor = PmetEditor(model, Tokenizer.from_file(str(folder / "tokenizer.json")), SETTINGS)
    rows = [[(i * 37 + j * j * 11 + 5) % 448 for j in range(20)] for i in range(30)]
    covariances = {layer: editor.covariance(rows, layer) for layer in range(SETTINGS["firstLayer"], SETTINGS["lastLayer"] + 1)}
    values = [editor.seek(fact) for fact in FACTS]
    z = torch.stack([v["initial"] + v["delta"] for v in values], 1).double()
    edits = []
    for name, count in (("one", 1), ("three", 3)):
        change = editor.write(FACTS[:count], z[:, :count], covariances, memit(SETTINGS["lambda"]), lambda left: left**0.5)
        edits.append({"name": name, "facts": count, **change})
    write(
        "pmet",
        "pmet.py",
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
        shares = [float(value[k].norm()) for k in ("initial", "delta", "beside")]
        print(fact["id"], value["losses"][0], value["losses"][-1], value["weights"], shares)
    for edit in edits:
        print(edit["name"], [layer["missing"] for layer in edit["layers"]], edit["missing"])
