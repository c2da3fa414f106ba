"""Measures the public implementation, zjunlp/EasyEdit, on what tools/eval/editors.mjs has measured ours on: the same facts, the same
model, the same settings and as many facts in one edit, so that seconds and quality of both stand beside each other.

    node tools/eval/editors.mjs --facts FACTS.json --methods rome,memit --cases 10 --out ours.json
    python tools/eval/reference.py ours.json --easyedit DIR --model DIR/model.gguf --text FILE --out reference.json
      --methods rome,ft-m     of those in the report (default: all)
      --cases N               of those in the report (default: all)

DIR is a checkout of https://github.com/zjunlp/EasyEdit; nothing of it is changed, and only its `apply_…_to_model` functions edit.
Settings are those of its yaml for Llama, then ours as far as they mean the same (`METHODS`); results list them. Needs, besides
what tools/golden/requirements.txt lists: peft, einops. Float32 on the processor, as many threads as torch takes.

What is not in "s an edit" is what is done once, `prepareS`: prefixes, and second moments, which come from the first tokens of
--text, as many as ours. Readings are those of editors.mjs: teacher-forced accuracy of the new target after the prompt and its
paraphrases, ES and PS, and whether the next token after neighbours' prompts is the unedited model's.

Around the algorithms, not in them:
- its packages import everything for everyone; only those of a method are loaded, and what it imports in vain (`datasets`,
  `matplotlib`, `hydra`, `omegaconf`) is left empty;
- `layer_stats`, which loads Wikipedia, answers with the second moments above; ridge as in ours;
- the head of a model with tied embeddings is the embeddings;
- each edit is made on a fresh copy of the model, so nothing is left of the one before, and AlphaEdit's memory of keys is emptied;
- PMET, which puts a space before a target in GPT alone, is given the target with a space; and padding on the right, as in its
  authors' code: EasyEdit's editor pads on the left, where the positions that it counts from the left are others;
- GRACE is told where a prompt ends before it is asked, LoRA's dropout is off when it is asked.
"""

import argparse
import contextlib
import datetime
import functools
import importlib
import json
import math
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time
import types
from copy import deepcopy
from importlib.metadata import version

import torch
from gguf import GGUFReader
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "golden"))
from smollm2 import build_tokenizer  # noqa: E402

SEED = 1
PROGRAMS = ["torch", "transformers", "peft", "numpy"]
WINDOW = 256
# What their code goes by: it looks for "llama" in names.
MODEL_NAME = "smollm2-llama"
PACKAGES = ["", ".models", ".util", ".trainer", ".trainer.algs", ".trainer.algs.malmen"]
NOT_THERE = "EasyEdit has no code of it"
UNTRAINED = "EasyEdit applies only what its trainer has trained, up to 100,000 steps; nothing trained is published for this model"
LEFT = {
    "none": "nothing to measure",
    "mend": UNTRAINED,
    "serac": UNTRAINED,
    "ike": "changes no weights and has no edit to time: its prompts need an encoder and a file of demonstrations",
}


def place(layer):
    return f"model.layers.{layer}.mlp.down_proj"


def value_settings(ours, size):
    return {
        "v_num_grad_steps": ours["steps"],
        "v_lr": ours["learningRate"],
        "v_weight_decay": ours["weightDecay"],
        "v_loss_layer": size["layers"] - 1,
        "clamp_norm_factor": ours["clamp"],
        "kl_factor": ours["klFactor"],
        "lm_head_module": "model.embed_tokens",
    }


def rank_one(ours, size):
    lengths = [[5, ours["shortPrefixes"]], [10, ours["longPrefixes"]]]
    mine = {"layers": [ours["layer"]], "mom2_adjustment": True, "context_template_length_params": lengths}
    return {**value_settings(ours, size), **mine}


def mass(ours, size):
    layers = list(range(ours["firstLayer"], ours["lastLayer"] + 1))
    return {**value_settings(ours, size), "layers": layers, "mom2_update_weight": ours["lambda"] * size["feedForward"]}


def alphaedit(ours, size):
    share = size["meanSquare"] if ours["relative"] else 1
    layers = list(range(ours["firstLayer"], ours["lastLayer"] + 1))
    # The mean eigenvalue of C, and the mean square length of a key, are the same trace, of F parts and of one.
    threshold = ours["threshold"] * (share / size["feedForward"] if ours["relative"] else 1)
    return {**value_settings(ours, size), "layers": layers, "nullspace_threshold": threshold, "L2": ours["lambda"] * share}


def emmet(ours, size):
    slack = ours["slack"] * size["feedForward"]
    return {**value_settings(ours, size), "layers": [ours["layer"]], "mom2_update_weight": 1, "emmet_lambda": slack}


def fine_tuning(objective):
    def settings(ours, _size):
        return {
            "layers": [ours["layer"]],
            "lr": ours["learningRate"],
            "num_steps": ours["steps"],
            "batch_size": ours["batchSize"],
            "norm_constraint": ours["normLimit"] or False,
            "objective_optimization": objective,
        }

    return settings


def lora(ours, _size):
    modules = {"attention": ["q_proj", "v_proj"], "feed-forward": ["up_proj", "down_proj"]}[ours["modules"]]
    return {
        "lora_type": "lora",
        "target_modules": modules,
        "rank": ours["rank"],
        "lora_alpha": ours["alpha"],
        "lr": ours["learningRate"],
        "num_steps": ours["steps"],
        "batch_size": ours["batchSize"],
    }


def grace(ours, _size):
    kept = {"edit_lr": ours["learningRate"], "n_iter": ours["steps"], "eps": ours["radius"]}
    return {**kept, "inner_params": [f"{place_in_brackets(ours['layer'])}.weight"]}


def wise(ours, _size):
    # Ours are in another scale (margins, rate): theirs stay as published, but for the layer and the steps.
    return {"inner_params": [f"{place_in_brackets(ours['layer'])}.weight"], "n_iter": ours["steps"]}


def place_in_brackets(layer):
    return f"model.layers[{layer}].mlp.down_proj"


def melo(ours, size):
    # Ours is in another unit (radius): theirs stays as published.
    first = ours["firstAdapted"]
    return {
        "model.grace_layer": f"model.layers.{ours['layer']}.mlp.up_proj",
        "model.target_modules": [f"model.layers.{first + i}.mlp.up_proj" for i in range(ours["adaptedLayers"])],
        "model.fan_in_fan_out": False,
        "grace.num_iter": ours["steps"],
        "grace.edit_lr": ours["learningRate"],
        "grace.num_rank_per_block": ours["rank"],
        "grace.num_block": ours["blocks"],
        "lora.cls_name": size["tokenizer"],
    }


def kn(ours, _size):
    return {"steps": ours["steps"], "batch_size": ours["steps"], "adaptive_threshold": ours["threshold"]}


def ultraedit(ours, size):
    layers = range(ours["firstLayer"], ours["lastLayer"] + 1)
    return {
        "inner_params": [place(layer) for layer in layers],
        "lr": ours["learningRate"] / size["feedForward"],
        "half": False,
        "batch_size_once": ours["passFacts"],
    }


# Ours: folder and class of theirs, its function, its yaml, and its settings from ours.
METHODS = {
    "ft-l": ("ft", "FTHyperParams", "apply_ft_to_model", "FT/llama-7b", fine_tuning("prompt_last")),
    "ft-m": ("ft", "FTHyperParams", "apply_ft_to_model", "FT/llama-7b", fine_tuning("target_new")),
    "rome": ("rome", "ROMEHyperParams", "apply_rome_to_model", "ROME/llama-7b", rank_one),
    "r-rome": ("r_rome", "R_ROMEHyperParams", "apply_r_rome_to_model", "R-ROME/llama-7b", rank_one),
    "memit": ("memit", "MEMITHyperParams", "apply_memit_to_model", "MEMIT/llama-7b", mass),
    "emmet": ("emmet", "EMMETHyperParams", "apply_emmet_to_model", "EMMET/llama-7b", emmet),
    "alphaedit": ("alphaedit", "AlphaEditHyperParams", "apply_AlphaEdit_to_model", "AlphaEdit/llama3-8b", alphaedit),
    "pmet": ("pmet", "PMETHyperParams", "apply_pmet_to_model", "PMET/llama-7b", mass),
    "kn": ("kn", "KNHyperParams", "apply_kn_to_model", "KN/llama-7b", kn),
    "grace": ("grace", "GraceHyperParams", "apply_grace_to_model", "GRACE/llama-7b", grace),
    "lora": ("lora", "LoRAHyperParams", "apply_lora_to_model", "LoRA/llama-7b", lora),
    "melo": ("melo", "MELOHyperParams", "apply_melo_to_model", "MELO/gpt2-xl", melo),
    "wise": ("wise", "WISEHyperParams", "apply_wise_to_model", "WISE/llama-7b", wise),
    "ultraedit": ("ultraedit", "UltraEditHyperParams", None, "UltraEdit/mistral-7b", ultraedit),
}
TAKES_SEVERAL = {"memit", "emmet", "alphaedit", "pmet", "ultraedit"}
# As EasyEdit's editor chooses it for tokenizers of Llama, and PMET.
PADS_RIGHT = {"rome", "r-rome", "memit", "emmet", "alphaedit", "pmet"}


class Reference:
    """EasyEdit's code, the model, and second moments of its layers."""

    def __init__(self, folder, model_file, text):
        self.folder = folder
        self.text = text
        self.ridge = 0.0
        self.moments = {}
        stub_packages(folder, self)
        core = build_tokenizer(GGUFReader(model_file))
        end = self.end_of_text(model_file)
        core.add_special_tokens([end])
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token=end, eos_token=end, pad_token=end)
        # MELO opens one more tokenizer and never uses it.
        self.folder_of_tokenizer = tempfile.mkdtemp()
        self.tokenizer.save_pretrained(self.folder_of_tokenizer)
        self.model = AutoModelForCausalLM.from_pretrained(model_file.parent, gguf_file=model_file.name, dtype=torch.float32)
        self.model.eval().config._name_or_path = MODEL_NAME
        self.model.name_or_path = MODEL_NAME

    @staticmethod
    def end_of_text(model_file):
        fields = GGUFReader(model_file).fields
        return fields["tokenizer.ggml.tokens"].contents()[fields["tokenizer.ggml.eos_token_id"].contents()]

    def gather(self, layers, tokens):
        """Second moments of the layers' keys over the first tokens of the text."""
        missing = [layer for layer in layers if layer not in self.moments]
        if not missing:
            return
        ids = self.tokenizer(self.text)["input_ids"][:tokens]
        sums = {layer: 0.0 for layer in missing}

        def add(layer):
            def hook(_module, inputs):
                keys = inputs[0][0].double()
                sums[layer] = sums[layer] + keys.T @ keys

            return hook

        hooks = [self.model.get_submodule(place(layer)).register_forward_pre_hook(add(layer)) for layer in missing]
        with torch.no_grad():
            for start in range(0, len(ids), WINDOW):
                self.model.model(torch.tensor([ids[start : start + WINDOW]]))
        for hook in hooks:
            hook.remove()
        self.moments.update({layer: total / len(ids) for layer, total in sums.items()})

    def moment(self, layer_name):
        """C with the ridge, as `layer_stats` gives it."""
        moment = self.moments[int(layer_name.split(".")[2])]
        size = moment.shape[0]
        return moment + self.ridge * moment.trace() / size * torch.eye(size, dtype=moment.dtype)


def stub_packages(folder, reference):
    """Packages without their `__init__`, modules that are imported in vain, and the statistics."""
    for name in PACKAGES:
        package = types.ModuleType(f"easyeditor{name}")
        package.__path__ = [str(folder / "easyeditor" / pathlib.Path(*name.split(".")))]
        sys.modules[package.__name__] = package

    def layer_stats(_model, _tok, layer_name, *_args, **_more):
        return types.SimpleNamespace(mom2=types.SimpleNamespace(moment=lambda: reference.moment(layer_name)))

    for name, content in {
        "datasets": {"load_dataset": None},
        "matplotlib": {},
        "matplotlib.style": {"context": None},
        "hydra": {},
        "omegaconf": {"OmegaConf": None},
        "easyeditor.models.rome.layer_stats": {"layer_stats": layer_stats},
        "easyeditor.models.r_rome.layer_stats": {"layer_stats": layer_stats},
    }.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        sys.modules[name] = module


def measure_method(reference, name, ours, report):
    folder, settings_class, function, yaml, settings_of = METHODS[name]
    several = min(report["batch"], len(report["cases"])) if name in TAKES_SEVERAL else 1
    with quiet():
        package = importlib.import_module(f"easyeditor.models.{folder}")
        main = sys.modules[f"easyeditor.models.{folder}.{package_main(folder)}"]
        started = time.perf_counter()
        layers = ours_layers(ours) if "tokensPerUnit" in ours else []
        config = reference.model.config
        size = {
            "feedForward": config.intermediate_size,
            "layers": config.num_hidden_layers,
            "tokenizer": reference.folder_of_tokenizer,
        }
        reference.gather(layers, round(ours.get("tokensPerUnit", 0) * size["feedForward"]))
        if layers:
            size["meanSquare"] = float(sum(reference.moments[layer].trace() for layer in layers)) / len(layers)
        reference.ridge = ours.get("ridge", 0.0)
        reference.tokenizer.padding_side = "right" if name in PADS_RIGHT else "left"
        hparams = getattr(package if hasattr(package, settings_class) else main, settings_class).from_hparams(
            str(reference.folder / "hparams" / f"{yaml}.yaml")
        )
        chosen = settings_of(ours, size)
        for key, value in {**chosen, "device": "cpu", "model_name": MODEL_NAME}.items():
            *path, last = key.split(".")
            setattr(functools.reduce(getattr, path, hparams), last, value)
        prepare(reference, name, main, hparams)
        prepare_s = time.perf_counter() - started
    rows = []
    for start in range(0, len(report["cases"]), several):
        cases = report["cases"][start : start + several]
        requests = [request_of(name, case, report["others"][start % len(report["others"])]) for case in cases]
        model = deepcopy(reference.model)
        with quiet():
            torch.manual_seed(SEED)
            apply = getattr(main, function) if function else main.UltraEditRewriteExecutor().apply_to_model
            more = {"reset_cache": True} if name == "alphaedit" else {}
            own = deepcopy(hparams)
            if name == "ultraedit":
                own.batch_size, own.batch_size_once = len(cases), math.gcd(len(cases), hparams.batch_size_once)
            started = time.perf_counter()
            edited, _ = apply(model, reference.tokenizer, requests, own, copy=False, **more)
            edit_s = (time.perf_counter() - started) / len(cases)
            # MELO's holds the model that answers two levels deep.
            edited = edited.model.model if name == "melo" else edited
            if isinstance(edited, torch.nn.Module):
                edited.eval()
        for case in cases:
            rows.append({"id": case["id"], "editS": edit_s, **measure_fact(reference, edited, case)})
            print(name, f"{len(rows)}/{len(report['cases'])}", case["subject"], json.dumps(rows[-1]), file=sys.stderr, flush=True)
        del edited, model
    rates = ["rewrite", "paraphrase", "agree", "es", "ps", "editS"]
    means = {rate: sum(row[rate] for row in rows) / len(rows) for rate in rates}
    return {"method": name, "settings": chosen, "cases": len(rows), "batch": several, "prepareS": prepare_s, **means, "rows": rows}


def package_main(folder):
    return {"alphaedit": "AlphaEdit_main"}.get(folder, f"{folder}_main")


def ours_layers(ours):
    return [ours["layer"]] if "layer" in ours else list(range(ours["firstLayer"], ours["lastLayer"] + 1))


def prepare(reference, name, main, hparams):
    """What their code computes at its first call and keeps: prefixes, C⁻¹, AlphaEdit's projections."""
    model, tokenizer = reference.model, reference.tokenizer
    if name in ("rome", "r-rome"):
        main.get_context_templates(model, tokenizer, hparams.context_template_length_params)
        step = sys.modules[main.compute_u.__module__]
        kept = (hparams.mom2_dataset, hparams.mom2_n_samples, hparams.mom2_dtype)
        step.get_inv_cov(model, tokenizer, hparams.rewrite_module_tmp.format(hparams.layers[0]), *kept, hparams=hparams)
    elif name in ("memit", "emmet", "alphaedit", "pmet"):
        main.get_context_templates(model, tokenizer)
    elif name == "wise":
        main.get_context_templates(model, tokenizer, length_params=[[5, 5], [10, 5]], device=torch.device("cpu"))
    if name == "alphaedit":
        hparams.P_loc = os.path.join(tempfile.mkdtemp(), "null_space_project.pt")
        torch.save(torch.stack([main.get_project(model, tokenizer, layer, hparams) for layer in hparams.layers]), hparams.P_loc)


def request_of(name, case, other):
    return {
        "case_id": case["id"],
        "prompt": case["prompt"],
        "subject": case["subject"],
        "target_new": f" {case['targetNew']}" if name == "pmet" else case["targetNew"],
        "ground_truth": case["targetOld"],
        "loc_prompt": other,
    }


def measure_fact(reference, edited, case):
    ask = lambda prompt, target: read(reference.tokenizer, edited, prompt, target)  # noqa: E731
    prompts = [case["prompt"], *case["paraphrases"]]
    of_new = [ask(prompt, case["targetNew"]) for prompt in prompts]
    of_old = [ask(prompt, case["targetOld"]) for prompt in prompts]
    prefers = [float(new["mean"] > old["mean"]) for new, old in zip(of_new, of_old)]
    before = [read(reference.tokenizer, reference.model, prompt, None)["next"] for prompt in case["neighbours"]]
    after = [ask(prompt, None)["next"] for prompt in case["neighbours"]]
    return {
        "rewrite": of_new[0]["accuracy"],
        "paraphrase": average([reading["accuracy"] for reading in of_new[1:]]),
        "agree": average([float(a == b) for a, b in zip(before, after)]),
        "es": prefers[0],
        "ps": average(prefers[1:]),
    }


@torch.no_grad()
def read(tokenizer, model, prompt, target):
    """Accuracy and mean log-probability of the target, teacher-forced; the next token."""
    before = tokenizer(prompt)["input_ids"]
    after = [] if target is None else tokenizer(f" {target}")["input_ids"]
    ids = torch.tensor([before + after])
    tell_end(model, len(before) - 1)
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, len(before) - 1 :]
    reading = {"next": int(logits[0].argmax())}
    if after:
        target_ids = torch.tensor(after)
        predicted = logits[:-1]
        reading["accuracy"] = float((predicted.argmax(-1) == target_ids).double().mean())
        reading["mean"] = float(predicted.log_softmax(-1).gather(1, target_ids[:, None]).mean())
    return reading


def tell_end(model, position):
    """GRACE looks at one token only, which its evaluation sets from outside."""
    for module in getattr(model, "model", model).modules():
        if type(module).__name__ == "GRACEAdapter":
            module.key_id = position


def average(values):
    return sum(values) / len(values)


@contextlib.contextmanager
def quiet():
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def commit_of(folder):
    found = subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("--easyedit", type=pathlib.Path, required=True)
    parser.add_argument("--commit", help="of the checkout, where it has no .git")
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--methods")
    parser.add_argument("--cases", type=int)
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    report = json.loads(options.report.read_text())
    report["cases"] = report["cases"][: options.cases]
    ours = {result["method"]: result["hparams"] for result in report["results"]}
    reference = Reference(options.easyedit, options.model, options.text.read_text())
    measured = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.system().lower()}",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PROGRAMS}},
        "easyedit": options.commit or commit_of(options.easyedit),
        "threads": torch.get_num_threads(),
        "model": report["model"],
        "facts": report["facts"],
        "about": report["about"],
        "text": options.text.name,
        "results": [],
        "left": [],
    }
    for name in options.methods.split(",") if options.methods else ours:
        if name in METHODS:
            result = measure_method(reference, name, ours[name], report)
            measured["results"].append(result)
            print({key: value for key, value in result.items() if key not in ("rows", "settings")}, flush=True)
        else:
            measured["left"].append({"method": name, "reason": LEFT.get(name, NOT_THERE)})
        # After each method: all of them take hours.
        if options.out:
            options.out.write_text(json.dumps(measured, indent=1) + "\n")


if __name__ == "__main__":
    main()
