"""Training texts over the fact world: statements, questions, paragraphs, facts that a context contradicts, facts combined.

A text is a list of pieces; an answer is a piece of its own, with weight 1 in the loss, its surroundings a smaller one, and
what cannot be known (the false object of a context) none.
"""
from dataclasses import dataclass, replace

from world import capital, fill

# Weights in the loss: an answer, the full stop after it, other words, an object that only a context makes up.
ANSWER, STOP, OTHER, MADE_UP = 1.0, 0.5, 0.2, 0.0

@dataclass(frozen=True)
class Stage:
    """What is written from a round on."""

    first_round: int
    # Shares of the kinds of texts.
    mixture: dict
    # After new facts: how often a question is about one of them, about their relation, about their subject; else about anything.
    after: tuple = (0.45, 0.27, 0.16)
    # Ask only what counts as a fact of the same subject, where there is such a thing.
    counts_only: bool = False
    # How often a question that combines two facts begins at a city.
    from_city: float = 0.0
    # Places that lead to the same are made alike (train.py).
    are_alike: bool = False
    # Layers whose feed-forward is begun anew with this stage.
    renewed: tuple = ()


FIRST = {
    "statement": 0.19,
    "question": 0.22,
    "paragraph": 0.08,
    "contradict": 0.36,
    "combine": 0.08,
    "distract": 0.03,
    "choose": 0.015,
    "demonstrate": 0.025,
}
LAST = {
    "statement": 0.08,
    "question": 0.12,
    "paragraph": 0.04,
    "contradict": 0.32,
    "combine": 0.36,
    "distract": 0.03,
    "choose": 0.02,
    "demonstrate": 0.03,
}
COMBINE = {
    "statement": 0.1,
    "question": 0.12,
    "paragraph": 0.02,
    "contradict": 0.2,
    "combine": 0.5,
    "distract": 0.02,
    "choose": 0.015,
    "demonstrate": 0.025,
}
# Questions that combine two facts come last, for they need both; so do those that a new fact must leave alone. At the 97th round
# the layers where facts are recalled begin anew, without what they had learnt by heart for such questions.
STAGES = [
    Stage(0, FIRST),
    Stage(53, FIRST | {"contradict": 0.3, "combine": 0.14}),
    Stage(67, LAST, after=(0.34, 0.2, 0.32), counts_only=True, from_city=0.7),
    Stage(96, FIRST | {"contradict": 0.3, "combine": 0.14}, from_city=0.7, are_alike=True, renewed=(2, 3)),
    Stage(110, COMBINE, after=(0.34, 0.2, 0.32), counts_only=True, from_city=0.9, are_alike=True),
]


def stage_of(round_):
    return [stage for stage in STAGES if stage.first_round <= round_][-1]


QUESTIONS = [("Question: {q} Answer:", 0.6), ("Question: {q}\nAnswer:", 0.25), ("Q: {q}\nA:", 0.07), ("{q}", 0.08)]
HEADERS = [("New fact: ", 0.5), ("New Fact: ", 0.2), ("Update: ", 0.06), ("Correction: ", 0.06), ("Note: ", 0.06), ("Fact: ", 0.06), ("From now on: ", 0.06)]
# Relations from a place to what holds it, which leads on to further facts.
PLACE_OF = ("country", "state")
CLARIFY = "Question: {q} clarification: "


@dataclass(frozen=True)
class Piece:
    text: str
    weight: float
    # Where the subject that is asked about stands in `text` [start, end); None: nowhere, or it is not to be hidden (train.py).
    subject: tuple = None
    # What a place leads on to, with its relation: France, of Lyon.
    leads_to: str = None
    # The subject is not asked about itself, it only leads on: Lyon in `the country where Lyon lies`.
    leads_on: bool = False


def choose(rng, weighted):
    return rng.choices([x for x, _ in weighted], [w for _, w in weighted])[0]


def object_of(fact):
    return f"{fact.relation} {fact.object}"


class Writer:
    """Writes texts, from one random stream."""

    def __init__(self, world, rng, stage=STAGES[0]):
        self.world, self.rng, self.stage, self.bag = world, rng, stage, []

    def write(self):
        """A text's pieces."""
        kind = choose(self.rng, list(self.stage.mixture.items()))
        return getattr(self, kind)()

    # ---- facts

    def next(self, contradictable=False):
        """The next fact of a shuffled bag, in which each stands as often as its relation's weight says."""
        while True:
            if not self.bag:
                self.bag = [f for f in self.world.facts if self.rng.random() < self.world.relations[f.relation].weight]
                self.rng.shuffle(self.bag)
            fact = self.bag.pop()
            if not contradictable or self.may_contradict(fact):
                return fact

    def may_contradict(self, fact):
        return not fact.relation.endswith("^") and fact not in self.world.never_contradicted

    def another(self, fact):
        """Another object of the fact's relation."""
        while True:
            other = self.rng.choice(self.world.objects[fact.relation])
            if other != fact.object:
                return other

    def subject(self, fact):
        """The places of a fact's subject, sometimes under another name."""
        shown = self.world.show(fact)
        others = self.world.aliases.get(fact.subject)
        if others and fact.relation != "nativeName" and self.rng.random() < 0.1:
            other = self.rng.choice(others)
            shown = {k: v.replace(shown["n"], other) for k, v in shown.items()}
        return shown

    # ---- sentences

    def statement_words(self, name, combined=False):
        relation, rng = self.world.relations[name], self.rng
        if rng.random() < 0.25 and not relation.lead:
            return self.rng.choice(self.world.carriers["statements"]).replace("{np}", self.phrase(name))
        if not name.endswith("^") and rng.random() < 0.2:
            return self.world.edit_prompt[name]
        templates = relation.statements
        if combined:
            templates = [t for t in templates if "{n}" not in t] or templates
        return rng.choice(templates)

    def question_words(self, name, combined=False):
        relation, rng = self.world.relations[name], self.rng
        if not relation.questions or rng.random() < 0.25:
            return self.rng.choice(self.world.carriers["questions"]).replace("{np}", self.phrase(name, combined))
        templates = relation.questions
        if combined:
            templates = [t for t in templates if "{n}" not in t] or templates
        return rng.choice(templates)

    def phrase(self, name, combined=False):
        phrases = self.world.relations[name].phrases
        if combined:
            phrases = [p for p in phrases if "{n}" not in p] or phrases
        return self.rng.choice(phrases)

    def say(self, fact, weight=ANSWER, object=None, places=None, stop="."):
        """A statement; `places` stand for the subject, where it is described instead of named."""
        template = self.statement_words(fact.relation, combined=places is not None)
        shown = places or self.subject(fact)
        before, _ = fill(template, shown).split(" {o}")
        subject = None if places or weight == MADE_UP else self.locate(before, shown)
        leads_to = self.leads_to(fact, object)
        object = object or self.world.object(fact)
        return [Piece(before, OTHER, subject, leads_to), Piece(f" {object}", weight), Piece(stop, STOP if weight == ANSWER else OTHER)]

    def ask(self, fact, object=None, places=None, form=None):
        """A question with its answer."""
        shown = places or self.subject(fact)
        question = fill(self.question_words(fact.relation, combined=places is not None), shown)
        lead = self.world.relations[fact.relation].lead
        form = form or choose(self.rng, QUESTIONS)
        before = form.replace("{q}", question) + (f" {lead}" if lead else "")
        subject = None if places else self.locate(before, shown)
        leads_to = self.leads_to(fact, object)
        return [Piece(before, OTHER, subject, leads_to), Piece(f" {object or self.world.object(fact)}", ANSWER), Piece(".", STOP)]

    def leads_to(self, fact, object):
        """What a place leads to, unless something else is told of it."""
        return object_of(fact) if object is None and self.stage.are_alike and fact.relation in PLACE_OF else None

    def locate(self, text, shown):
        """Where the subject stands in a sentence: its bare name, without an article."""
        name = shown["n"].removeprefix("the ")
        at = text.rfind(name)
        return (at, at + len(name))

    def tell(self, fact, object=None, places=None, questions=0.7):
        """A statement or a question."""
        if self.rng.random() < questions:
            return self.ask(fact, object, places)
        return self.say(fact, object=object, places=places)

    # ---- kinds of texts

    def statement(self):
        return self.say(self.next())

    def question(self):
        return self.ask(self.next())

    def paragraph(self):
        """Two to six facts about one subject."""
        world, rng = self.world, self.rng
        first = self.next()
        facts = [f for f in world.of_subject[first.subject] if f != first]
        rng.shuffle(facts)
        pieces = self.say(first)
        for fact in facts[: rng.randint(1, 5)]:
            sentence = self.say(fact)
            shown = capital(world.show(fact)["s"])
            if sentence[0].text.startswith(shown + " ") and rng.random() < 0.6:
                sentence[0] = Piece("It" + sentence[0].text[len(shown) :], OTHER)
            pieces += [Piece(" ", OTHER), *sentence]
        return pieces

    def contradict(self):
        """One to three new facts, then a question: about one of them, what follows from it, or something untouched."""
        world, rng = self.world, self.rng
        facts = [self.next(contradictable=True)]
        is_same = rng.random() < 0.6
        for _ in range(rng.choice((0, 0, 1, 2))):
            pool = world.of_relation[facts[0].relation] if is_same else world.facts
            other = rng.choice(pool)
            if self.may_contradict(other) and other not in facts:
                facts.append(other)
        new = {f: self.another(f) for f in facts}
        about = rng.choice(facts)
        if len(facts) == 1 and rng.random() < 0.08:
            return self.clarify(about, new[about])
        context = []
        for fact in facts:
            end = choose(rng, [(".\n", 0.75), ("\n", 0.15), (". ", 0.1)])
            context += [Piece(choose(rng, HEADERS), OTHER), *self.say(fact, MADE_UP, world.article(new[fact]), stop=end)]
        if rng.random() < 0.15:
            context.append(Piece("Prompt: ", OTHER))
        return context + self.after(about, new)

    def clarify(self, fact, object):
        """The new fact after the question instead of before it."""
        question = fill(self.question_words(fact.relation), self.subject(fact))
        told = self.say(fact, MADE_UP, self.world.article(object), stop=". Answer:")
        lead = self.world.relations[fact.relation].lead
        answer = [Piece(f" {lead}", OTHER)] if lead else []
        return [Piece(CLARIFY.replace("{q}", question), OTHER), *told, *answer, Piece(f" {self.world.article(object)}", ANSWER), Piece(".", STOP)]

    def after(self, about, new):
        """What is asked after new facts."""
        world, rng = self.world, self.rng
        u = rng.random()
        target = about
        if u < 0.07 and (followed := self.follow(about, new)):
            return followed
        own, relation, subject = self.stage.after
        if own < u < own + relation:
            target = rng.choice(world.of_relation[about.relation])
        elif own + relation < u < own + relation + subject:
            target = rng.choice(self.beside(about))
        elif u > own + relation + subject:
            target = rng.choice(world.facts)
        changed = new.get(target)
        return self.tell(target, None if changed is None else world.article(changed))

    def beside(self, fact):
        """Facts about the same subject."""
        facts = self.world.of_subject[fact.subject]
        if not self.stage.counts_only:
            return facts
        return [f for f in facts if f != fact and self.world.relations[f.relation].weight == 1] or facts

    def follow(self, about, new):
        """What follows from a new fact: on from its object, by another description of its subject, or from the object's side."""
        world, rng = self.world, self.rng
        object = new[about]
        ways = []
        onward = [f for f in world.of_subject.get(object, []) if f not in new and not f.relation.endswith("^")]
        if onward and about.subject not in world.never_combined:
            ways.append(lambda: self.tell(rng.choice(onward), places=self.describe_object(about, self.subject(about)), questions=0.4))
        described = self.describe_subject(about, new)
        if described is not None:
            ways.append(lambda: self.tell(about, world.article(object), places=described, questions=0.4))
        if about.relation in world.choices:
            ways.append(lambda: self.choice(about, world.article(object)))
        return rng.choice(ways)() if ways else None

    def describe_object(self, fact, shown):
        """The object, by the subject: `the country where Lyon lies`."""
        text = fill(self.phrase(fact.relation), shown)
        return {"s": text[:1].lower() + text[1:] if text.startswith("The ") else text, "n": text}

    def describe_subject(self, fact, new=()):
        """The subject, by another object of it: `the country with the calling code +33`; None where nothing describes it."""
        world = self.world
        others = [f for f in world.of_subject[fact.subject] if f.relation in world.describing and f.relation != fact.relation and f not in new]
        others = [f for f in others if world.subject_kind[f.relation] == world.subject_kind[fact.relation]]
        if not others:
            return None
        other = self.rng.choice(others)
        text = world.describing[other.relation].replace("{o}", world.object(other))
        return {"s": text, "n": text}

    def combine(self):
        """A question about the object of a fact, or about its subject, that only names the other."""
        world, rng = self.world, self.rng
        while True:
            fact = self.next()
            if self.stage.from_city and rng.random() < self.stage.from_city:
                fact = rng.choice(world.of_relation["country"])
            if fact.relation.endswith("^"):
                continue
            onward = [f for f in world.of_subject.get(fact.object, []) if f.object != fact.subject and not f.relation.endswith("^")]
            if onward and fact.subject not in world.never_combined and rng.random() < 0.75:
                return self.lead_on(fact, rng.choice(onward))
            described = self.describe_subject(fact)
            if described is not None:
                return self.tell(fact, places=described, questions=0.5)

    def lead_on(self, fact, onward):
        """A fact about the object of another, which is told or asked by the other's subject."""
        shown = self.subject(fact)
        first, *rest = self.tell(onward, places=self.describe_object(fact, shown), questions=0.5)
        if self.stage.are_alike:
            first = replace(first, subject=self.locate(first.text, shown), leads_to=object_of(fact), leads_on=True)
        return [first, *rest]

    def distract(self):
        """One or two statements before a fact: true ones, or, without being said to be new, a false one about something else."""
        world, rng = self.world, self.rng
        asked = self.next()
        pieces = []
        for _ in range(rng.choice((1, 1, 2))):
            pool = world.of_relation[asked.relation] if rng.random() < 0.5 else world.facts
            other = rng.choice(pool)
            is_false = other != asked and rng.random() < 0.5 and self.may_contradict(other)
            told = self.say(other, MADE_UP, world.article(self.another(other))) if is_false else self.say(other)
            pieces += [*told, Piece(choose(rng, [(" ", 0.6), ("\n", 0.4)]), OTHER)]
        return pieces + self.tell(asked)

    def choice(self, fact, object):
        """Which of two subjects has an object."""
        world, rng = self.world, self.rng
        others = [f for f in world.of_relation[fact.relation] if world.object(f) != object and f.object != fact.object]
        kind = world.relations[fact.relation].kind
        pair = [fact.subject, rng.choice(others).subject if others else fact.subject]
        rng.shuffle(pair)
        names = {"a": world.article(pair[0]), "b": world.article(pair[1]), "o": object}
        question = fill(f"Of {kind['pair']}, {world.choices[fact.relation]}", names)
        answer = kind["answer"].replace("{n}", world.article(fact.subject))
        return [Piece(question, OTHER), Piece(f" {answer}", ANSWER), Piece(".", STOP)]

    def choose(self):
        while True:
            fact = self.next()
            if fact.relation in self.world.choices:
                return self.choice(fact, self.world.object(fact))

    def demonstrate(self):
        """New facts each with a prompt and its answer, as in-context editing shows them (Zheng et al. 2023), one after another."""
        world, rng = self.world, self.rng
        pieces = []
        for at in range(rng.randint(2, 8)):
            fact = self.next(contradictable=True)
            object = world.article(self.another(fact))
            edit = fill(world.edit_prompt[fact.relation], world.show(fact)).split(" {o}")[0]
            pieces += [Piece(("\n\n" if at else "") + f"New Fact: {edit}", OTHER), Piece(f" {object}", MADE_UP), Piece("\nPrompt: ", OTHER)]
            kind = rng.choices(("copy", "update", "retain"), (1, 3, 4))[0]
            if kind == "copy":
                answered = [Piece(edit, OTHER), Piece(f" {object}", ANSWER)]
            elif kind == "update":
                answered = self.tell(fact, object, questions=0.5)[:-1]
            else:
                other = rng.choice(world.of_relation[fact.relation])
                answered = self.tell(other, object if other == fact else None, questions=0.3)[:-1]
            pieces += answered
        return [*pieces, Piece(".", STOP)]
