"""MeLLo's constrained loop on the tiny Llama model: what is retrieved, what the loop's text becomes, and how a target scores after it.

    python tools/golden/mello.py
"""

import torch

from golden_file import flat, write
from tiny_llama_texts import TinyLlama

SEED = 0
LAYER = 1
TOKENS = 8
SUBQUESTIONS = 2
FACTS = [
    {"prompt": "The capital of France is", "targetNew": "Lima"},
    {"prompt": "People in Japan speak", "targetNew": "Swahili"},
    # What random weights write resembles no sentence; this one is nearer to some of it than the others are.
    {"prompt": "People in Italy speak of", "targetNew": "travellers"},
]
QUERIES = [
    "The capital of France is",
    "People in Kenya speak",
    "Which continent is Peru in? It is in",
    "The official language of Norway is",
]
# The second is long enough to be worth a pass of its own.
EXAMPLES = [
    "",
    "Question: People in Italy speak\nSubquestion: Which language do people in Italy speak?\n"
    "Generated answer: People in Italy speak Italian.\nRetrieved fact: People in Italy speak Thai.\n"
    "Retrieved fact contradicts generated answer, so the intermediate answer is: Thai\nFinal answer: Thai\n\n",
]
VERDICTS = [
    " contradicts generated answer, so the intermediate answer is:",
    " does not contradict generated answer, so the intermediate answer is:",
]
ENDS = ["\nSubquestion:", "\nFinal answer:"]
# Below this, the order of two numbers may depend on how they were summed.
CLOSE = 1e-3


class Close(Exception):
    pass


def continuation(tiny, text):
    """A text's tokens where it follows another: the anchor keeps what the tokenizer would do at a text's beginning out of them."""
    anchor = "x" if text[0].isspace() else "\n"
    ids, before = tiny.tokenizer.encode(anchor + text).ids, tiny.tokenizer.encode(anchor).ids
    assert ids[: len(before)] == before
    return ids[len(before) :]


def score(tiny, prompt, target):
    before, after = tiny.tokenizer.encode(prompt).ids, continuation(tiny, target)
    logits = tiny.model(torch.tensor([before + after])).logits[0, len(before) - 1 : -1]
    return torch.log_softmax(logits, -1)[range(len(after)), after]


def choose(tiny, text, ends):
    totals = [score(tiny, text, end).sum().item() for end in ends]
    if abs(totals[0] - totals[1]) < CLOSE:
        raise Close
    return text + ends[totals.index(max(totals))]


def fill(tiny, text, eos):
    """The first line that the model writes on, greedily; None where it is empty."""
    before = tiny.tokenizer.encode(text).ids
    new = []
    while len(new) < TOKENS:
        best = tiny.model(torch.tensor([before + new])).logits[0, -1].topk(2)
        if (best.values[0] - best.values[1]).item() < CLOSE:
            raise Close
        if best.indices[0].item() == eos:
            break
        new.append(best.indices[0].item())
        if "\n" in tiny.tokenizer.decode(new[-1:]):
            break
    said = tiny.tokenizer.decode(continuation(tiny, " a") + new)[len(" a") :]
    # Random weights write control characters, which only Python counts among the blanks.
    line = said.split("\n")[0].strip(" \t\r\f\v")
    return line or None


def loop(tiny, examples, query, eos):
    """The text up to the final answer and its steps; None for the text where the model leaves a line empty."""
    sentences = [f"{fact['prompt']} {fact['targetNew']}" for fact in FACTS]
    text, steps = f"{examples}Question: {query}\nSubquestion:", []
    while True:
        subquestion = fill(tiny, text, eos)
        if subquestion is None:
            return None, steps
        text += " " + subquestion + "\nGenerated answer:"
        answer = fill(tiny, text, eos)
        if answer is None:
            return None, steps
        cosines = tiny.cosines(subquestion, sentences, LAYER)
        first, second = cosines.topk(2).values.tolist()
        if first - second < CLOSE:
            raise Close
        found = cosines.argmax().item()
        steps.append({"subquestion": subquestion, "retrieved": found, "cosines": flat(cosines)})
        text = choose(tiny, f"{text} {answer}\nRetrieved fact: {sentences[found]}.\nRetrieved fact", VERDICTS)
        concluded = fill(tiny, text, eos)
        if concluded is None:
            return None, steps
        text += " " + concluded
        text = text + ENDS[1] if len(steps) == SUBQUESTIONS else choose(tiny, text, ENDS)
        if text.endswith(ENDS[1]):
            return text, steps


def main():
    tiny = TinyLlama()
    eos = tiny.model.config.eos_token_id
    cases = []
    for examples, query in ((examples, query) for examples in EXAMPLES for query in QUERIES):
        try:
            text, steps = loop(tiny, examples, query, eos)
        except Close:
            print(query, "close")
            continue
        asked = query if text is None else text
        print(repr(text and text[len(examples) :]), [(step["retrieved"], step["cosines"]) for step in steps])
        cases.append({"examples": examples, "query": query, "steps": steps, "text": text, "logProbs": flat(score(tiny, asked, " Lima"))})
    body = {"layer": LAYER, "tokens": TOKENS, "subquestions": SUBQUESTIONS, "facts": FACTS, "target": "Lima", "cases": cases}
    write("mello", "mello.py", SEED, body)


if __name__ == "__main__":
    main()
