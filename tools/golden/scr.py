"""SCR on the tiny Llama model: which sentences a prompt is held against, which of them the model confirms, and what follows.

    python tools/golden/scr.py
"""

from golden_file import flat, write
from tiny_llama_texts import TinyLlama

SEED = 0
LAYER = 1
CANDIDATES = 2
FACTS = [
    {"prompt": "The capital of France is", "targetNew": "Lima"},
    {"prompt": "People in Japan speak", "targetNew": "Swahili"},
    {"prompt": "The official language of Chile is", "targetNew": "Thai"},
]
QUERIES = [
    "The capital of France is",
    "The capital city of France is",
    "The capital of Ghana is",
    "People in Kenya speak",
    "Which continent is Peru in? It is in",
    "The official language of Norway is",
]
FRAMES = {"prompt": "New fact: {fact}\n{query}", "question": "Fact: {fact}\nQuestion: {query}\nAnswer:"}
# Random weights never find "yes" likelier; the first of the other two words is the likelier one.
WORDS = [["yes", "no"], ["Rome", "Lima"]]


def main():
    tiny = TinyLlama()
    sentences = [f"{fact['prompt']} {fact['targetNew']}." for fact in FACTS]
    cases = []
    for query in QUERIES:
        cosines = tiny.cosines(query, sentences, LAYER)
        shown = cosines.argsort(descending=True)[:CANDIDATES].tolist()
        judged = []
        for yes, no in WORDS:
            odds = []
            for i in shown:
                asked = f"Fact: {sentences[i]}\nQuestion: {query}\nDoes the fact answer the question? Answer yes or no.\nAnswer:"
                odds.append((tiny.log_probs(asked, yes).sum() - tiny.log_probs(asked, no).sum()).item())
            assert all(abs(value) > 1e-3 for value in odds) and abs(odds[0] - odds[1]) > 1e-3, "a close decision"
            found = shown[odds.index(max(odds))] if max(odds) > 0 else None
            log_probs = {}
            for form, frame in FRAMES.items():
                asked = query if found is None else frame.format(fact=sentences[found], query=query)
                log_probs[form] = flat(tiny.log_probs(asked, "Lima"))
            judged.append({"yes": yes, "no": no, "odds": odds, "found": found, "logProbs": log_probs})
            print(query, [round(value, 3) for value in cosines.tolist()], shown, [round(value, 3) for value in odds], found)
        cases.append({"query": query, "cosines": flat(cosines), "shown": shown, "judged": judged})
    write("scr", "scr.py", SEED, {"layer": LAYER, "candidates": CANDIDATES, "facts": FACTS, "target": "Lima", "cases": cases})


if __name__ == "__main__":
    main()
