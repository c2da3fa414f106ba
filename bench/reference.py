"""The PyTorch side of `npm run bench`: the same work as bench/ours.mjs, written the way the public editing code does it.

Speaks JSON lines: reads a task a line from standard input, answers with its milliseconds and with what it computed, so
that the driver can check that both sides did the same. Tokens, positions and settings all come from the driver.
`full` tasks do what the public code does (all logits, the whole model, no caching between steps); `lean` ones ask for no
more logits than the loss needs, which a careful user of PyTorch would do.
"""

import json
import pathlib
import sys
import time

try:
    import torch
    import transformers
except ImportError as missing:
    print(json.dumps({"error": f"{missing}; install it with: python3 -m pip install -r bench/requirements.txt"}), flush=True)
    sys.exit(0)

class Reference:
    """The model, and one method a task."""

    def __init__(self, path, threads):
        torch.set_num_threads(threads)
        self.path = pathlib.Path(path)
        self.model = self.load()
        self.factors = {}

    def load(self):
        file = {"gguf_file": self.path.name} if self.path.suffix == ".gguf" else {}
        folder = self.path.parent if file else self.path
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **file)
        return model.eval().requires_grad_(False)

    def mlp(self, layer):
        return self.model.model.layers[layer].mlp

    # ------------------------------------------------------------------------------------------------ plain forward

    def forward(self, task):
        """Logits of a batch of rows of one length, of all positions or of the last one."""
        ids = torch.tensor(task["rows"])
        keep = {"logits_to_keep": 1} if task["positions"] == "last" else {}
        with torch.no_grad():
            start = time.perf_counter()
            logits = self.model(ids, use_cache=False, **keep).logits
            best = logits[:, -1].argmax(-1)
            return spent(start), {"argmax": best.tolist()}

    def generate(self, task):
        """Greedy text of several prompts at once."""
        ids, mask = pad([torch.tensor(row) for row in task["rows"]], left=True)
        with torch.no_grad():
            start = time.perf_counter()
            out = self.model.generate(
                ids, attention_mask=mask, do_sample=False, max_new_tokens=task["newTokens"], pad_token_id=0,
                eos_token_id=task["endsOfText"],
            )
            return spent(start), {"ids": out[:, ids.shape[1]:].tolist()}

    # --------------------------------------------------------------------------------------------------------- ROME

    def v_step(self, task):
        """Loss and gradient of one step of ROME's search for the value, without the optimiser."""
        step = ValueStep(self, task)
        step.record()
        start = time.perf_counter()
        loss = step.loss_of()
        loss.backward()
        return spent(start), {"loss": float(loss.detach()), "gradientNorm": float(step.delta.grad.norm())}

    def rome(self, task):
        """A whole edit: key, value, rank-one update; the weight is put back afterwards."""
        weight = self.mlp(task["layer"]).down_proj.weight
        factor = self.covariance_factor(task["covariance"])
        before = weight.clone()
        start = time.perf_counter()
        keys, _ = self.read(task["layer"], task["keyRows"], task["keyAt"])
        k_star = keys.mean(0)
        u = torch.cholesky_solve(k_star.double()[:, None], factor)[:, 0]
        u = (u / u.norm()).float()
        target = self.target_value(task)
        key, value = self.read(task["layer"], task["keyRows"][:1], task["keyAt"][:1])
        right = (target - value[0]) / (key[0] @ u)
        with torch.no_grad():
            weight += torch.outer(right, u)
        took = spent(start)
        probability = self.probability(task["promptRow"], task["targets"])
        with torch.no_grad():
            weight.copy_(before)
        return took, {"probability": probability, "steps": self.steps}

    def target_value(self, task):
        step = ValueStep(self, task)
        optimiser = torch.optim.Adam([step.delta], lr=task["learningRate"])
        self.steps = 0
        for index in range(task["steps"]):
            optimiser.zero_grad()
            loss = step.loss_of()
            if float(loss.detach()) < task["stopLoss"] or index == task["steps"] - 1:
                break
            loss.backward()
            optimiser.step()
            self.steps += 1
            largest = task["clamp"] * step.initial.norm()
            with torch.no_grad():
                if step.delta.norm() > largest:
                    step.delta.mul_(largest / step.delta.norm())
        return step.initial + step.delta.detach()

    def read(self, layer, rows, at):
        """Input and output of a layer's down-projection at one position of each row."""
        seen = {}
        hook = self.mlp(layer).down_proj.register_forward_hook(lambda _, given, out: seen.update(key=given[0], value=out))
        ids, mask = pad([torch.tensor(row) for row in rows])
        with torch.no_grad():
            self.model(ids, attention_mask=mask, use_cache=False)
        hook.remove()
        where = (torch.arange(len(rows)), torch.tensor(at))
        return seen["key"][where], seen["value"][where]

    def covariance_factor(self, file):
        """The factor of C, made once and kept, as the public code keeps its inverse."""
        if file not in self.factors:
            numbers = torch.frombuffer(bytearray(pathlib.Path(file).read_bytes()), dtype=torch.float64)
            size = round(len(numbers) ** 0.5)
            self.factors[file] = torch.linalg.cholesky(numbers.view(size, size))
        return self.factors[file]

    # ---------------------------------------------------------------------------------------------------------- FT-M

    def ft_m(self, task):
        """Adam on one down-projection until the target follows the prompt; the weight is put back afterwards."""
        weight = self.mlp(task["layer"]).down_proj.weight
        before = weight.clone()
        ids, targets = torch.tensor([task["row"]]), torch.tensor(task["targets"])
        start = time.perf_counter()
        weight.requires_grad_(True)
        optimiser = torch.optim.Adam([weight], lr=task["learningRate"])
        steps = 0
        for _ in range(task["steps"]):
            optimiser.zero_grad()
            logits = self.model(ids, use_cache=False).logits[0, -len(targets):]
            loss = torch.nn.functional.cross_entropy(logits, targets)
            if float(loss.detach()) < task["stopLoss"]:
                break
            loss.backward()
            optimiser.step()
            steps += 1
        took = spent(start)
        weight.requires_grad_(False)
        probability = self.probability(task["promptRow"], task["targets"])
        with torch.no_grad():
            weight.copy_(before)
        weight.grad = None
        return took, {"probability": probability, "steps": steps}

    # -------------------------------------------------------------------------------------------------------- others

    def probability(self, prompt, targets):
        """The probability of the target's tokens after the prompt, teacher-forced."""
        with torch.no_grad():
            logits = self.model(torch.tensor([prompt + targets[:-1]]), use_cache=False).logits[0, len(prompt) - 1 :]
            chosen = torch.log_softmax(logits, -1).gather(1, torch.tensor(targets)[:, None])
            return float(chosen.sum().exp())

    def second(self, _):
        """A second model on the same weights, as another user of the same process would get one."""
        start = time.perf_counter()
        self.other = self.load()
        with torch.no_grad():
            self.other(torch.tensor([[1, 2, 3]]), use_cache=False)
        return spent(start), {}


class ValueStep:
    """ROME's loss as a function of the vector added at the subject's last token of every row."""

    def __init__(self, reference, task):
        self.model, self.task = reference.model, task
        self.layer = reference.mlp(task["layer"])
        rows = [torch.tensor(row) for row in task["valueRows"]]
        self.ids, self.mask = pad(rows)
        self.rows, self.at = torch.arange(len(rows)), torch.tensor(task["valueAt"])
        count = len(task["targets"])
        self.ends = [(index, len(row) - count) for index, row in enumerate(rows[:-1])]
        self.targets = torch.tensor(task["targets"])
        self.delta = torch.tensor(task.get("delta") or [0.0] * self.layer.down_proj.out_features, requires_grad=True)
        self.initial = self.unedited = None

    def record(self):
        """The distribution of the unedited model, which the first pass records: with nothing added yet."""
        with torch.no_grad():
            delta = self.delta.clone()
            self.delta.zero_()
            self.loss_of()
            self.delta.copy_(delta)

    def loss_of(self):
        hook = self.layer.register_forward_hook(self.add)
        lean = self.task.get("lean", False)
        if lean:
            hidden = self.model.model(self.ids, attention_mask=self.mask, use_cache=False).last_hidden_state
        else:
            logits = self.model(self.ids, attention_mask=self.mask, use_cache=False).logits
        hook.remove()
        count = len(self.targets)
        at_targets = [(hidden if lean else logits)[row, first : first + count] for row, first in self.ends]
        essence = (hidden if lean else logits)[-1, self.task["valueAt"][-1]]
        head = self.model.lm_head if lean else (lambda values: values)
        # The public code takes the softmax of every position; so does the full task.
        if lean:
            chosen = torch.log_softmax(head(torch.stack(at_targets)), -1).gather(2, self.targets.expand(len(self.ends), -1)[..., None])
            nll = -chosen.mean()
        else:
            logProbs = torch.log_softmax(logits, -1)
            picked = [logProbs[row, first + index, token] for row, first in self.ends for index, token in enumerate(self.targets)]
            nll = -torch.stack(picked).mean()
        p = torch.log_softmax(head(essence), -1)
        if self.unedited is None:
            self.unedited = p.detach()
        kl = self.task["klFactor"] * torch.nn.functional.kl_div(self.unedited, p, log_target=True, reduction="sum")
        decay = self.task["weightDecay"] * self.delta.norm() / self.initial.norm() ** 2
        return nll + kl + decay

    def add(self, _, __, out):
        if self.initial is None:
            self.initial = out[0, self.at[0]].detach().clone()
        out = out.clone()
        out[self.rows, self.at] = out[self.rows, self.at] + self.delta
        return out


def pad(rows, left=False):
    """Rows of unequal length as one batch with its mask."""
    length = max(len(row) for row in rows)
    ids, mask = torch.zeros(len(rows), length, dtype=torch.int64), torch.zeros(len(rows), length, dtype=torch.int64)
    for index, row in enumerate(rows):
        place = slice(length - len(row), length) if left else slice(0, len(row))
        ids[index, place], mask[index, place] = row, 1
    return ids, mask


def spent(start):
    return (time.perf_counter() - start) * 1000


def main():
    path, threads = sys.argv[1], int(sys.argv[2])
    reference = Reference(path, threads)
    versions = {"python": sys.version.split()[0], "torch": torch.__version__, "transformers": transformers.__version__}
    print(json.dumps({"ready": True, "versions": versions}), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        took, result = getattr(reference, task["do"])(task)
        print(json.dumps({"ms": took, **result}), flush=True)


if __name__ == "__main__":
    main()
