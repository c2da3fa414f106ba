"""MEND on the tiny Llama model, written from Mitchell et al. 2022 (arXiv 2110.11309), section 3, with what the paper leaves open as its
code has it: network, clamp, moments row by row.

One step of training on two facts: the loss and its gradients, by automatic differentiation through the edited model, for every array of
the networks and the learning rates, which start away from the identity so that all of them matter. Then one edit with the moments
kept still.

    python tools/golden/mend.py
"""

import torch
from tokenizers import Tokenizer
from torch.func import functional_call
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, write

SETTINGS = {"blocks": 1, "rank": 4, "editWeight": 0.1, "localityWeight": 1}
TRAINING = [
    {
        "edit": ["The capital of Norway is", "New Delhi"],
        "follower": ["A teacher says that the capital city of Norway is", "New Delhi"],
        "bystander": ["The capital of Poland is", "Warsaw"],
    },
    {
        "edit": ["Which continent is Peru in? It is in", "Europe"],
        "follower": ["Peru is a country in", "Europe"],
        "bystander": ["The official language of Kenya is", "Spanish"],
    },
]
EDIT = ["The capital of France is", "Mexico City"]
MODULES = [f"model.layers.3.mlp.{name}_proj" for name in ("gate", "up", "down")]
# Weights of one shape share a network: gate and up-projection, and the down-projection.
GROUPS = [[0, 1], [2]]
EPSILON = 2**-23


def force(tokenizer, prompt, target):
    prompt = tokenizer.encode(prompt, add_special_tokens=False).ids
    return prompt, tokenizer.encode(" " + target, add_special_tokens=False).ids


def nll(logits, prompt, target):
    """The mean over the target of −log p."""
    log_p = torch.log_softmax(logits[0], -1)[len(prompt) - 1 :]
    return -torch.stack([log_p[i, token] for i, token in enumerate(target)]).mean()


def rows_of(model, prompt, target):
    """For each weight its rows (u, δ), tokens without gradient left out."""
    inputs, outputs = {}, {}

    def watch(name):
        def hook(_module, args, out):
            inputs[name] = args[0][0].detach()
            outputs[name] = out

        return model.get_submodule(name).register_forward_hook(hook)

    hooks = [watch(name) for name in MODULES]
    for name in MODULES:
        model.get_submodule(name).weight.requires_grad_(True)
    loss = nll(model(torch.tensor([prompt + target[:-1]])).logits, prompt, target)
    slopes = torch.autograd.grad(loss, [outputs[name] for name in MODULES])
    for hook in hooks:
        hook.remove()
    rows = []
    for name, slope in zip(MODULES, slopes):
        u, delta = inputs[name], slope[0]
        told = (u != 0).any(-1) & (delta != 0).any(-1)
        rows.append((u[told].double(), delta[told].double()))
    return float(loss.detach()), rows


class Moments:
    """Welford, one row at a time."""

    def __init__(self, width):
        self.count, self.mean, self.squares = 0, torch.zeros(width).double(), torch.zeros(width).double()

    def take(self, rows):
        for row in rows:
            self.count += 1
            mean = self.mean + (row - self.mean) / self.count
            self.squares = self.squares + (row - self.mean) * (row - mean)
            self.mean = mean

    def normalize(self, rows):
        return ((rows - self.mean) / ((self.squares / (self.count - 1)).sqrt() + EPSILON)).float()


def make_network(width, modes, generator):
    """Arrays away from the identity; scales and shifts by mode."""
    rank = SETTINGS["rank"]
    draw = lambda scale, *shape: (scale * torch.randn(*shape, generator=generator)).requires_grad_(True)
    arrays = {}
    for layer in range(2):
        arrays[f"up {layer}"] = draw(0.02, width, rank)
        arrays[f"down {layer}"] = draw(1, rank, width)
        arrays[f"bias {layer}"] = draw(0.1, width)
        arrays[f"scale {layer}"] = (1 + 0.3 * torch.randn(modes, width, generator=generator)).requires_grad_(True)
        arrays[f"shift {layer}"] = draw(0.1, modes, width)
    return arrays


def transform(arrays, x, mode):
    for layer in range(2):
        pre = (arrays[f"up {layer}"] @ (arrays[f"down {layer}"] @ x.T)).T + arrays[f"bias {layer}"]
        pre = pre * arrays[f"scale {layer}"][mode] + arrays[f"shift {layer}"][mode]
        x = pre.clamp(min=0) + x
    return x


def changes_of(networks, moments, rates, rows, learning):
    """ΔW [out, in] of each weight, as PyTorch keeps them."""
    changes = []
    for i, (u, delta) in enumerate(rows):
        group = next(g for g, members in enumerate(GROUPS) if i in members)
        joint = torch.cat([u, delta], -1)
        if learning:
            moments[group].take(joint)
        made = transform(networks[group], moments[group].normalize(joint), GROUPS[group].index(i))
        left, right = made.split([u.shape[1], delta.shape[1]], -1)
        changes.append(rates[i] * torch.einsum("bi,bj->ji", left, right))
    return changes


def edited(model, changes, row):
    weights = {f"{name}.weight": model.get_submodule(name).weight.detach() + change for name, change in zip(MODULES, changes)}
    return functional_call(model, weights, (torch.tensor([row]),)).logits


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = GOLDEN / "tiny-llama"
    model = LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager").float().eval().requires_grad_(False)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    generator = torch.Generator().manual_seed(0)
    networks = [make_network(32 + 64, len(members), generator) for members in GROUPS]
    moments = [Moments(32 + 64) for _ in GROUPS]
    rates = torch.tensor([-2e-3, 1e-3, -3e-3], requires_grad=True)

    rows = [rows_of(model, *force(tokenizer, *example["edit"]))[1] for example in TRAINING]
    losses = []
    for example, ofEdit in zip(TRAINING, rows):
        changes = changes_of(networks, moments, rates, ofEdit, True)
        prompt, target = force(tokenizer, *example["follower"])
        l_e = nll(edited(model, changes, prompt + target[:-1]), prompt, target)
        prompt, target = force(tokenizer, *example["bystander"])
        row = prompt + target[:-1]
        before = torch.log_softmax(model(torch.tensor([row])).logits[0], -1).detach()
        after = torch.log_softmax(edited(model, changes, row)[0], -1)
        l_loc = (before.exp() * (before - after)).sum(-1).mean()
        losses.append(SETTINGS["editWeight"] * l_e + SETTINGS["localityWeight"] * l_loc)
    loss = torch.stack(losses).mean()
    loss.backward()

    edit_loss, edit_rows = rows_of(model, *force(tokenizer, *EDIT))
    deltas = [change.T for change in changes_of(networks, moments, rates, edit_rows, False)]
    groups = [
        {
            "arrays": {name: flat(array) for name, array in arrays.items()},
            "gradients": {name: flat(array.grad) for name, array in arrays.items()},
            "count": ofGroup.count,
            "mean": flat(ofGroup.mean),
            "squares": flat(ofGroup.squares),
        }
        for arrays, ofGroup in zip(networks, moments)
    ]
    body = {
        "settings": SETTINGS,
        "training": TRAINING,
        "rates": flat(rates),
        "loss": float(loss.detach()),
        "losses": [float(one.detach()) for one in losses],
        "rateGradients": flat(rates.grad),
        "groups": groups,
        "edit": EDIT,
        "editLoss": edit_loss,
        "rows": [len(u) for u, _ in edit_rows],
        "deltas": [flat(delta) for delta in deltas],
    }
    write("mend", "mend.py", 0, body)
    print(float(loss), [float(one) for one in losses], rates.grad.tolist(), body["rows"], [float(d.norm()) for d in deltas])
