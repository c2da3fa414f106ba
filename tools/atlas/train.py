"""Trains atlas, the small model that ships: `python tools/atlas/train.py OUT`. Seeded; begun again, it goes on where it was.

Writes OUT/tokenizer.json, OUT/checkpoint.pt every few minutes and OUT/log.jsonl. tools/atlas/export.py makes the model's
folder of it. Needs the packages of requirements.txt; takes about four hours on one core of a current server processor.
"""
import argparse
import json
import math
import os
import time
from dataclasses import asdict
from pathlib import Path
from random import Random

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import torch
import torch.nn.functional as F
from check import check
from model import Config, Model
from texts import Writer, stage_of
from tokenizer import BEGIN_ID, END_ID, PAD_ID, train_tokenizer
from tokenizers import Tokenizer
from world import World

# Texts made at once and dealt into steps by length.
TEXTS_A_ROUND = 8192
TOKENS_A_STEP = 640
WARM_UP_STEPS = 100
LEARNING_RATE, LAST_SHARE = 1.5e-3, 0.02
WEIGHT_DECAY, BETAS, MOST_NORM = 0.05, (0.9, 0.98), 1.0
SAVE_EVERY_S = 240
# Share of the texts in which subjects are hidden from what follows, after the first rounds.
HIDDEN, FIRST_HIDDEN_ROUND = 0.85, 26
# How fast the mean of the states that lead to the same follows them; how much the likeness counts, and how sharply it is told.
MEAN_RATE, LIKENESS, SHARPNESS = 0.1, 0.1, 12.0


def encode(tokenizer, texts):
    """Ids and loss weights of texts given in pieces, with the tokens that begin and end a text."""
    rows = []
    for encoded, pieces in zip(tokenizer.encode_batch(["".join(p.text for p in text) for text in texts]), texts):
        ends, at = [], 0
        for piece in pieces:
            at += len(piece.text)
            ends.append((at, piece.weight))
        weights, piece = [], 0
        for _, end in encoded.offsets:
            while piece < len(ends) - 1 and end > ends[piece][0]:
                piece += 1
            weights.append(ends[piece][1])
        weights[0] = 0.0
        rows.append((encoded.ids + [END_ID], weights + [1.0], subjects(encoded.offsets, pieces)))
    return rows


def subjects(offsets, text):
    """The tokens [first, last] of each marked subject of a text, what it leads to, and whether it is there to lead on only."""
    found, at = [], 0
    for piece in text:
        if piece.subject is not None:
            start, end = at + piece.subject[0], at + piece.subject[1]
            inside = [i for i, (a, b) in enumerate(offsets) if i > 0 and a < end and b > start]
            found.append((inside[0], inside[-1], piece.leads_to, piece.leads_on))
        at += len(piece.text)
    return found


def hide(rows, longest, rng):
    """
    What may be attended to [2, B, T, T]: below the layer of extraction nobody after a subject sees it, from there on its last
    token only. So what is known of a subject must be gathered at its last token, in the layers between, where editing methods
    look for it; left alone, a model this small lets the last token of the text fetch the name at once and looks the fact up there.
    """
    allowed = torch.ones(longest, longest, dtype=torch.bool).tril().repeat(2, len(rows), 1, 1)
    for row, (_, _, spans) in enumerate(rows):
        is_hidden = rng.random() < HIDDEN
        for first, last, _, leads_on in spans:
            if is_hidden or leads_on:
                allowed[0, row, last + 1 :, first : last + 1] = False
                allowed[1, row, last + (not leads_on) :, first:last] = False
    return allowed


class Likeness:
    """
    Makes places that lead to the same look alike at the layer of extraction. Lyon is to say that it lies in France, and the layers
    above what is paid in France. Left alone, a model learns by heart what is paid where Lyon lies: all such questions come out
    right, and one in seven about a city that stood in none does not. So where a place leads on, its state is not trained by what
    is asked, and is blended with the mean of all that lead to the same; and wherever a place is asked about itself, its state is
    to be told by the means, as in prototypical networks (Snell et al. 2017).
    """

    def __init__(self, rows, means, rng):
        self.rows, self.means, self.rng = rows, means, rng
        self.states, self.places = [], []

    def __call__(self, x):
        """The states [B, T, D], blended where a place leads on."""
        blended = x.clone()
        for row, (_, _, spans) in enumerate(self.rows):
            for _, last, leads_to, leads_on in spans:
                if leads_on:
                    own = x[row, last].detach()
                    mean = self.means.setdefault(leads_to, own)
                    self.means[leads_to] = mean = mean + MEAN_RATE * (own - mean)
                    blended[row, last] = own + self.rng.random() * (mean - own)
                elif leads_to in self.means:
                    self.states.append(x[row, last])
                    self.places.append(leads_to)
        return blended

    def loss(self):
        """Cross-entropy of the mean that each place's state points to, seen from the middle of all."""
        if not self.states:
            return 0.0
        names = list(self.means)
        means = torch.stack([self.means[name] for name in names])  # [N, D]
        middle = means.mean(0)
        states = F.normalize(torch.stack(self.states) - middle, dim=-1)
        logits = SHARPNESS * states @ F.normalize(means - middle, dim=-1).T  # [P, N]
        return LIKENESS * F.cross_entropy(logits, torch.tensor([names.index(place) for place in self.places]))


def batches(world, tokenizer, means, seed, round_):
    """
    The steps of a round: ids and weights [B, T] of rows of about one length, what may be attended to [2, B, T, T], and the
    likeness of their places.
    """
    rng = Random(f"{seed} {round_}")
    writer = Writer(world, rng, stage_of(round_))
    rows = encode(tokenizer, [writer.write() for _ in range(TEXTS_A_ROUND)])
    rows.sort(key=lambda row: len(row[0]) + rng.random() * 3)
    groups, group = [], []
    for row in rows:
        if group and len(row[0]) * (len(group) + 1) > TOKENS_A_STEP:
            groups.append(group)
            group = []
        group.append(row)
    groups.append(group)
    rng.shuffle(groups)
    for group in groups:
        longest = max(len(ids) for ids, *_ in group)
        yield (
            torch.tensor([ids + [PAD_ID] * (longest - len(ids)) for ids, *_ in group]),
            torch.tensor([weights + [0.0] * (longest - len(weights)) for _, weights, _ in group]),
            hide(group, longest - 1, rng) if round_ >= FIRST_HIDDEN_ROUND else None,
            Likeness(group, means, rng),
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=110, help=f"of {TEXTS_A_ROUND} texts each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=1.0, help="share of the world's subjects, for smaller trials")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE)
    parser.add_argument("--checks", type=int, default=10, help="how often the abilities are checked")
    parser.add_argument("--without-mlp", type=int, default=Config.layers_without_mlp, help="first layers without a feed-forward")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)

    world = World(args.limit)
    config = Config(layers_without_mlp=args.without_mlp)
    file = args.out / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file)) if file.exists() else train_tokenizer(world, config.vocabulary, file)
    model = Model(config)
    decayed = [p for p in model.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() != 2]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.learning_rate, betas=BETAS, fused=True)

    state, means = {"round": 0, "step": 0, "tokens": 0, "seconds": 0.0}, {}
    checkpoint = args.out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        state, means = saved["state"], saved["means"]

    def save():
        saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "state": state, "means": means}
        torch.save({**saved, "config": asdict(config), "arguments": {k: v for k, v in vars(args).items() if k != "out"}}, f"{checkpoint}.part")
        os.replace(f"{checkpoint}.part", checkpoint)

    def log(entry):
        with open(args.out / "log.jsonl", "a") as file:
            file.write(json.dumps(entry) + "\n")
        print(json.dumps(entry), flush=True)

    parameters = sum(p.numel() for p in model.parameters())
    log({"parameters": parameters, "facts": len(world.facts), "named": sum(len(world.of_relation[n]) for n in world.named)})
    mean_loss, saved_at = None, time.monotonic()
    while state["round"] < args.rounds:
        began = time.monotonic()
        stage = stage_of(state["round"])
        if stage.first_round == state["round"]:
            for weight in model.renew_mlp(stage.renewed):
                optimizer.state.pop(weight, None)
        model.train()
        for ids, weights, allowed, likeness in batches(world, tokenizer, means, args.seed, state["round"]):
            # A round's share of the steps is not known beforehand: the rate follows the rounds.
            progress = state["round"] / args.rounds
            share = LAST_SHARE + (1 - LAST_SHARE) * (0.5 + 0.5 * math.cos(math.pi * progress))
            for group in optimizer.param_groups:
                group["lr"] = args.learning_rate * share * min(1, (state["step"] + 1) / WARM_UP_STEPS)
            losses = F.cross_entropy(model(ids[:, :-1], allowed, likeness).flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
            weight = weights[:, 1:].flatten()
            loss = (losses * weight).sum() / weight.sum()
            (loss + likeness.loss()).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), MOST_NORM)
            optimizer.step()
            optimizer.zero_grad()
            value = loss.item()
            if not math.isfinite(value):
                raise SystemExit(f"the loss is {value} at step {state['step']}: lower --learning-rate")
            mean_loss = value if mean_loss is None else 0.98 * mean_loss + 0.02 * value
            state["tokens"] += int((ids != PAD_ID).sum())
            state["step"] += 1
        state["round"] += 1
        state["seconds"] += time.monotonic() - began
        is_last = state["round"] == args.rounds
        if is_last or state["round"] % math.ceil(args.rounds / args.checks) == 0:
            log({**state, "loss": round(mean_loss, 4), **check(model, tokenizer, world, Random("check"))})
        else:
            log({**state, "loss": round(mean_loss, 4), "tokens_a_second": round(state["tokens"] / state["seconds"])})
        if is_last or time.monotonic() - saved_at > SAVE_EVERY_S:
            save()
            saved_at = time.monotonic()


if __name__ == "__main__":
    main()
