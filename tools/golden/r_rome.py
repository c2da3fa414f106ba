"""R-ROME on the tiny Llama model: ROME's value and direction, and the constraint at the key averaged over prefixes (Gupta et al. 2024).

    python tools/golden/r_rome.py
"""

import torch

from golden_file import GOLDEN, flat, write
from rome import FACTS, PREFIXES, SETTINGS, Rome, load


def averaged(rome, fact):
    """Means over prefixes of the down-projection's input and output at the subject's last token, in float64."""
    at = fact["prompt"].index(fact["subject"])
    found = []
    for prefix in PREFIXES:
        start = len(prefix) + at
        place = rome.subject_token(prefix + fact["prompt"], start, start + len(fact["subject"]))
        found.append(rome.keys_and_values(rome.encode(prefix + fact["prompt"]).ids, place))
    return [torch.stack(rows).double().mean(0) for rows in zip(*found)]


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    rome = Rome(*load(GOLDEN / "tiny-llama"), SETTINGS)
    rows = [[(i * 37 + j * j * 11 + 5) % 448 for j in range(20)] for i in range(30)]
    c = rome.covariance(rows)
    edits = []
    for fact in FACTS:
        found = rome.edit(fact, PREFIXES, c)
        key, value = averaged(rome, fact)
        divisor = key @ found["u"]
        right = ((found["initial"] + found["delta"]).double() - value) / divisor
        edits.append({"fact": fact, "losses": [row[0] for row in found["losses"]], "left": flat(found["u"]), "divisor": float(divisor), "right": flat(right)})
        print(fact["id"], float(divisor), found["divisor"], float(right.norm()), float(found["right"].norm()))
    write("r-rome", "r_rome.py", 0, {"settings": SETTINGS, "prefixes": PREFIXES, "rows": rows, "edits": edits})
