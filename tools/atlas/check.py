"""What the model can do so far, on a sample, for whoever watches a training: whole answers, as greedy generation gives them."""
import torch
from tokenizer import PAD_ID
from texts import OTHER, Piece, Writer
from world import fill

SAMPLE = 300
ROWS = 50


@torch.no_grad()
def share_right(model, tokenizer, items):
    """The share of prompts whose answer, followed by a full stop, is what the model would write."""
    prompts = tokenizer.encode_batch([prompt for prompt, _ in items])
    texts = tokenizer.encode_batch([prompt + answer + "." for prompt, answer in items])
    order = sorted(range(len(items)), key=lambda i: len(texts[i].ids))
    right = 0
    for at in range(0, len(order), ROWS):
        rows = order[at : at + ROWS]
        longest = max(len(texts[i].ids) for i in rows)
        ids = torch.tensor([texts[i].ids + [PAD_ID] * (longest - len(texts[i].ids)) for i in rows])
        said = model(ids).argmax(-1)
        for row, i in enumerate(rows):
            first, last = len(prompts[i].ids), len(texts[i].ids)
            right += bool((said[row, first - 1 : last - 1] == ids[row, first:last]).all())
    return round(right / max(1, len(items)), 3)


def item(pieces):
    """A text's last answer as an item."""
    return "".join(p.text for p in pieces[:-2]), pieces[-2].text


def check(model, tokenizer, world, rng):
    model.eval()
    writer = Writer(world, rng)
    named = [f for n in world.named for f in world.of_relation[n] if world.relations[n].weight == 1]
    facts = rng.sample(named, SAMPLE)
    inverse = [f for f in world.facts if f.relation.endswith("^")]
    asides = [f for f in world.facts if world.relations[f.relation].weight < 0.2]
    
    def held_out(fact, object=None):
        question = fill(rng.choice(world.held_out[fact.relation]), world.show(fact))
        lead = world.relations[fact.relation].lead
        return f"Question: {question} Answer:{' ' + lead if lead else ''}", f" {object or world.object(fact)}"

    def context(fact, new):
        return [Piece("New fact: ", OTHER), *writer.say(fact, 0, world.article(new), stop=".\n")]

    def told(fact, target, answer=None):
        new = writer.another(fact)
        pieces = context(fact, new) + writer.ask(target, answer or (world.article(new) if target == fact else None))
        return item(pieces)

    def told_held_out(fact):
        new = writer.another(fact)
        prompt, answer = held_out(fact, world.article(new))
        return "".join(p.text for p in context(fact, new)) + prompt, answer

    def other_relation(fact):
        others = [f for f in world.of_subject[fact.subject] if f != fact]
        return rng.choice(others) if others else None

    def onward(fact):
        known = world.of_subject.get(fact.object, [])
        return [f for f in known if not f.relation.endswith("^") and f.object != fact.subject]

    def hop(fact):
        return item(writer.lead_on(fact, rng.choice(onward(fact))))

    hops = [f for f in world.of_relation["country"] if f.subject in world.never_combined and onward(f)]
    never = [f for f in named if f in world.never_contradicted]
    ever = [f for f in facts if f not in world.never_contradicted]
    sets = {
        "statements": [item(writer.say(f)) for f in facts],
        "questions": [item(writer.ask(f)) for f in facts],
        "held_out": [held_out(f) for f in facts],
        "inverse": [item(writer.tell(f)) for f in rng.sample(inverse, min(SAMPLE, len(inverse)))],
        "asides": [item(writer.tell(f)) for f in rng.sample(asides, min(SAMPLE, len(asides)))],
        "context": [told(f, f) for f in ever],
        "context_held_out": [told_held_out(f) for f in ever],
        "context_never": [told(f, f) for f in rng.sample(never, min(SAMPLE, len(never)))],
        "same_relation": [told(f, g) for f in facts for g in [rng.choice(world.of_relation[f.relation])] if g != f],
        "same_subject": [told(f, g) for f in facts for g in [other_relation(f)] if g],
        "random": [told(f, rng.choice(named)) for f in facts],
        "hop": [hop(f) for f in rng.sample(hops, min(SAMPLE // 2, len(hops)))],
    }
    return {name: share_right(model, tokenizer, items) for name, items in sets.items()}
