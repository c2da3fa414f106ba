"""Writing golden files: JSON with provenance, float32 numbers in their shortest exact form."""

import json
import pathlib
import platform

import numpy as np
import torch
import transformers

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test" / "golden"


def numbers(values):
    """A nested list of the float32 numbers of a tensor or array, each in the shortest decimal form that gives it back."""
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_:
        return array.tolist()
    if not np.isfinite(array).all():
        raise ValueError("a golden number is not finite")
    return _shorten(array.astype(np.float32))


def flat(values):
    """As `numbers`, but one flat row-major list."""
    return numbers(values.reshape(-1))


def tensor(values):
    """A tensor as {shape, data}."""
    return {"shape": list(values.shape), "data": flat(values)}


def write(name, script, seed, body):
    """Writes test/golden/<name>.json: where it comes from, then `body`, one top-level entry a line or list item a line."""
    head = {
        "script": f"tools/golden/{script}",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "numpy": np.__version__,
        },
        "seed": seed,
    }
    entries = []
    for key, value in {**head, **body}.items():
        if isinstance(value, list) and value:
            rows = ",\n  ".join(_json(item) for item in value)
            entries.append(f' {json.dumps(key)}: [\n  {rows}\n ]')
        else:
            entries.append(f" {json.dumps(key)}: {_json(value)}")
    path = GOLDEN / f"{name}.json"
    path.write_text("{\n" + ",\n".join(entries) + "\n}\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def _json(value):
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _shorten(array):
    if array.ndim == 0:
        return float(str(array[()]))
    return [_shorten(item) for item in array]
