"""KE on the tiny Llama model, written from De Cao et al. 2021 (arXiv 2104.08164), section 4, with what the paper leaves open as its code
has it: the words of the condition, the sizes and order of what is said of a weight, normed weights, the sign of the multiplier's slope.

One step of training on two facts: the loss and its gradients, by automatic differentiation through the edited model, for every array of
the network and the multiplier. Then an edit with the network as it was. Then five steps of Adam: the loss of each, and the
multiplier after them.

    python tools/golden/ke.py
"""

import torch
from tokenizers import Tokenizer
from torch.func import functional_call
from torch.nn.utils.parametrizations import weight_norm
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, write

SETTINGS = {
    "blocks": 1,
    "hidden": 4,
    "condition": 6,
    "mostScale": 3,
    "margin": 0.002,
    "learningRate": 0.01,
    "multiplierLearningRate": 0.1,
    "batchSize": 2,
    "mostSteps": 5,
}
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
WIDTH = 32


def force(prompt, target):
    prompt = tokenizer.encode(prompt, add_special_tokens=False).ids
    return prompt, tokenizer.encode(" " + target, add_special_tokens=False).ids


def nll(logits, prompt, target):
    """The mean over the target of −log p."""
    log_p = torch.log_softmax(logits[0], -1)[len(prompt) - 1 :]
    return -torch.stack([log_p[i, token] for i, token in enumerate(target)]).mean()


def condition_of(asked, wanted):
    """prediction >> alternative || question, the prediction as long as the alternative."""
    prompt, target = force(asked, wanted)
    written = []
    for _ in target:
        token = int(model(torch.tensor([prompt + written])).logits[0, -1].argmax())
        if token == model.config.eos_token_id:
            break
        written.append(token)
    prediction = tokenizer.decode(written).strip()
    return tokenizer.encode(f"{prediction} >> {wanted} || {asked}", add_special_tokens=False).ids


class Editor(torch.nn.Module):
    def __init__(self, shapes):
        super().__init__()
        hidden, condition = SETTINGS["hidden"], SETTINGS["condition"]
        self.lstm = torch.nn.LSTM(WIDTH, hidden, bidirectional=True, batch_first=True)
        self.condition = torch.nn.Linear(2 * hidden, condition)
        self.inner = torch.nn.ModuleList(weight_norm(torch.nn.Linear(condition, hidden)) for _ in shapes)
        self.outer = torch.nn.ModuleList(
            weight_norm(torch.nn.Linear(hidden, 2 * sum(shape) + 1)) for shape in shapes
        )
        for name, values in self.named_parameters():
            # Away from the start, so that lengths are not those of the rows; one bias of the LSTM is enough.
            with torch.no_grad():
                values.zero_() if "bias_hh" in name else values.add_(0.3 * torch.randn(values.shape))
            values.requires_grad_("bias_hh" not in name)

    def forward(self, ids):
        _, (last, _) = self.lstm(model.get_input_embeddings()(torch.tensor([ids])).detach())
        read = torch.tanh(self.condition(torch.cat([last[0, 0], last[1, 0]])))
        return [outer(torch.tanh(inner(read))) for inner, outer in zip(self.inner, self.outer)]

    def arrays(self):
        """By our names."""
        found = {}
        for way, suffix in (("forward", "l0"), ("backward", "l0_reverse")):
            found[f"{way} input"] = getattr(self.lstm, f"weight_ih_{suffix}")
            found[f"{way} state"] = getattr(self.lstm, f"weight_hh_{suffix}")
            found[f"{way} bias"] = getattr(self.lstm, f"bias_ih_{suffix}")
        found["condition weight"], found["condition bias"] = self.condition.weight, self.condition.bias
        for kind, layers in (("inner", self.inner), ("outer", self.outer)):
            for i, layer in enumerate(layers):
                found[f"{kind} {i} weight"] = layer.parametrizations.weight.original1
                found[f"{kind} {i} length"] = layer.parametrizations.weight.original0
                found[f"{kind} {i} bias"] = layer.bias
        return found


def gradients_of(asked, wanted):
    """The gradient of the edit for each weight [out, in]."""
    prompt, target = force(asked, wanted)
    weights = {f"{name}.weight": model.get_submodule(name).weight.detach().requires_grad_(True) for name in MODULES}
    loss = nll(functional_call(model, weights, (torch.tensor([prompt + target[:-1]]),)).logits, prompt, target)
    return float(loss.detach()), torch.autograd.grad(loss, list(weights.values()))


def changes_of(editor, asked, wanted):
    """ΔW [out, in] of each weight, as PyTorch keeps them, with L_e and what the network says."""
    loss, gradients = gradients_of(asked, wanted)
    said = editor(condition_of(asked, wanted))
    changes = []
    for gates, slope in zip(said, gradients):
        out, into = slope.shape
        a, rho, b, pi, eta = gates.split([into, out, into, out, 1])
        scale = torch.outer(torch.softmax(rho, -1), a)
        shift = torch.outer(torch.softmax(pi, -1), b)
        changes.append(SETTINGS["mostScale"] * torch.sigmoid(eta) * (slope * scale + shift))
    return loss, said, changes


def edited(changes, row):
    weights = {f"{name}.weight": model.get_submodule(name).weight.detach() + change for name, change in zip(MODULES, changes)}
    return functional_call(model, weights, (torch.tensor([row]),)).logits


def loss_of(editor, multiplier):
    losses = []
    for example in TRAINING:
        _, _, changes = changes_of(editor, *example["edit"])
        prompt, target = force(*example["follower"])
        correct = nll(edited(changes, prompt + target[:-1]), prompt, target)
        prompt, target = force(*example["bystander"])
        row = prompt + target[:-1]
        before = torch.log_softmax(model(torch.tensor([row])).logits[0], -1).detach()
        after = torch.log_softmax(edited(changes, row)[0], -1)
        moved = (before.exp() * (before - after)).sum(-1).mean()
        losses.append(correct + multiplier * (moved - SETTINGS["margin"]))
        print("  correct", float(correct.detach()), "moved", float(moved.detach()))
    return torch.stack(losses).mean()


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = GOLDEN / "tiny-llama"
    model = LlamaForCausalLM.from_pretrained(folder, attn_implementation="eager").float().eval().requires_grad_(False)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    editor = Editor([model.get_submodule(name).weight.shape for name in MODULES])
    multiplier = torch.ones((), requires_grad=True)
    arrays = editor.arrays()
    start = {name: flat(values) for name, values in arrays.items()}
    edit_loss, said, changes = changes_of(editor, *EDIT)

    optimiser = torch.optim.Adam(
        [
            {"params": list(arrays.values()), "lr": SETTINGS["learningRate"]},
            {"params": [multiplier], "lr": SETTINGS["multiplierLearningRate"]},
        ]
    )
    losses, first = [], {}
    for step in range(SETTINGS["mostSteps"]):
        optimiser.zero_grad()
        loss = loss_of(editor, multiplier)
        loss.backward()
        # Descent for the network, ascent for the multiplier.
        multiplier.grad.neg_()
        first = first or {name: flat(values.grad) for name, values in {**arrays, "multiplier": multiplier}.items()}
        optimiser.step()
        losses.append(float(loss.detach()))
    body = {
        "settings": SETTINGS,
        "training": TRAINING,
        "conditions": [condition_of(*example["edit"]) for example in TRAINING],
        "arrays": start,
        "gradients": first,
        "losses": losses,
        "multiplier": float(multiplier.detach()),
        "edit": EDIT,
        "editLoss": edit_loss,
        "said": [flat(gates) for gates in said],
        "deltas": [flat(change.T) for change in changes],
    }
    write("ke", "ke.py", 0, body)
    print(losses, body["multiplier"], [float(change.norm()) for change in changes])
