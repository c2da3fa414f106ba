"""The fact world as training sees it: facts, how they are said and asked, and which are kept out of which kind of text.

Reads facts/world.json and facts/wordings.json, with which the product asks, and wordings.json beside this file, which has
further words for training only. The locked questions of tools/facts/locked-wordings.json are not read here.
"""
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]

# Shares of facts never contradicted in a training context, and of cities never in a question that combines two facts.
NEVER_CONTRADICTED = 0.2
NEVER_COMBINED = 0.25

# Questions of each relation that are kept for checks during training: the last of the further ones.
HELD_OUT = 3

# How often a fact is drawn, beside 1: facts asked from the object's side, and relations that follow from others.
INVERSE_WEIGHT = 0.4
ASIDE_WEIGHT = 0.12


@dataclass(frozen=True)
class Fact:
    relation: str
    subject: str
    object: str


@dataclass
class Relation:
    """Words for a relation. In templates {s} is the shown subject, {n} the bare one, {o} the object, {np} a noun phrase."""

    kind: dict
    phrases: list = field(default_factory=list)
    statements: list = field(default_factory=list)
    questions: list = field(default_factory=list)
    lead: str = ""
    weight: float = 1.0


def capital(text):
    return text[:1].upper() + text[1:]


class World:
    """Facts with the words for them. `limit` takes only the first facts of each relation, for smaller trials."""

    def __init__(self, limit=1.0):
        data = json.loads((ROOT / "facts/world.json").read_text())
        words = json.loads((ROOT / "facts/wordings.json").read_text())
        more = json.loads((Path(__file__).parent / "wordings.json").read_text())
        self.articles = set(data["articles"])
        self.aliases = data["aliases"]
        self.kinds = words["kinds"]
        self.carriers = {k: words["carriers"][k] + more["carriers"][k] for k in ("questions", "statements")}
        self.relations, self.facts, self.edit_prompt, self.held_out = {}, [], {}, {}
        for name, rows in data["facts"].items():
            own, extra = words["relations"][name], more["relations"][name]
            self.relations[name] = Relation(
                kind=self.kinds[own["subject"]],
                phrases=own["phrases"] + extra["phrases"],
                statements=own["statements"] + extra["statements"],
                questions=own["questions"] + extra["questions"][:-HELD_OUT],
                lead=own.get("answer", ""),
                weight=ASIDE_WEIGHT if "aside" in own else 1.0,
            )
            self.held_out[name] = extra["questions"][-HELD_OUT:]
            self.edit_prompt[name] = own["statements"][0]
            kept = [row for row in rows if Random(f"keep {row['s']}").random() < limit]
            self.facts += [Fact(name, row["s"], row["o"][0]) for row in kept]
            if "describes" in own:
                self._add_inverse(name, own, kept)
        self.rows = {(f.relation, f.subject): f for f in self.facts}
        self.of_relation, self.of_subject = {}, {}
        for fact in self.facts:
            self.of_relation.setdefault(fact.relation, []).append(fact)
            self.of_subject.setdefault(fact.subject, []).append(fact)
        self.objects = {r: sorted({f.object for f in facts}) for r, facts in self.of_relation.items()}
        self.named = [n for n in self.of_relation if not n.endswith("^")]
        self.describing = {n: words["relations"][n]["describes"]["as"] for n in self.named if "describes" in words["relations"][n]}
        self.choices = {n: words["relations"][n]["reversed"]["choice"] for n in self.named if "choice" in words["relations"][n].get("reversed", {})}
        self.subject_kind = {n: words["relations"][n]["subject"] for n in self.named}
        self.never_contradicted = {f for f in self.facts if Random(f"contradict {f.relation} {f.subject}").random() < NEVER_CONTRADICTED}
        places = [f.subject for n in ("country", "state") for f in self.of_relation.get(n, [])]
        self.never_combined = {s for s in places if Random(f"combine {s}").random() < NEVER_COMBINED}

    def _add_inverse(self, name, own, rows):
        """The fact from its object's side, where the object tells the subject: what hops by description need."""
        if name in ("capital", "stateCapital", "continent"):
            return
        seen = {}
        for row in rows:
            seen.setdefault(row["o"][0], []).append(row["s"])
        as_, prompt = own["describes"]["as"].replace("{o}", "{s}"), own["describes"]["prompt"].replace("{o}", "{s}")
        self.relations[name + "^"] = Relation(
            kind={"shown": "{n}"},
            phrases=[as_],
            statements=[prompt + " {o}.", capital(as_) + " is {o}."],
            weight=INVERSE_WEIGHT,
        )
        answer = self.kinds[own["subject"]]["answer"]
        self.facts += [
            Fact(name + "^", o, answer.replace("{n}", self.article(s[0]))) for o, s in seen.items() if len(s) == 1
        ]

    def article(self, name):
        return f"the {name}" if name in self.articles else name

    def show(self, fact):
        """The places of a fact's subject."""
        bare = self.article(fact.subject)
        return {"s": self.relations[fact.relation].kind["shown"].replace("{n}", bare), "n": bare}

    def object(self, fact):
        return self.article(fact.object)


def fill(template, values):
    return capital(re.sub(r"\{(\w+)\}", lambda m: values.get(m[1], m[0]), template))
