"""MemPrompt on the tiny Llama model: which feedback a prompt finds, by letters and by sentence vectors, and what it changes.

    python tools/golden/memprompt.py
"""

import re

from golden_file import flat, write
from tiny_llama_texts import TinyLlama

SEED = 0
LAYER = 1
LETTERS = 6
SIMILARITY = 0.8
FACTS = [
    {"prompt": "The capital of France is", "targetNew": "Lima"},
    {"prompt": "People in Japan speak", "targetNew": "Swahili"},
    {"prompt": "The official language of Chile is", "targetNew": "Thai"},
]
QUERIES = [
    "The capital of France is",
    "the  capital of France is:",
    "The capital city of France is",
    "The capital of Ghana is",
    "People in Kenya speak",
    "Which continent is Peru in? It is in",
    "The official language of Chile is",
]


def plain(text):
    text = re.sub(" +", " ", text.lower().strip())
    return re.sub("[^a-z0-9 ]", "", text).strip()


def levenshtein(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def main():
    tiny = TinyLlama()
    keys = [fact["prompt"] for fact in FACTS]
    cases = []
    for query in QUERIES:
        letters = [levenshtein(plain(query), plain(key)) for key in keys]
        cosines = tiny.cosines(query, keys, LAYER).tolist()
        assert all(abs(cosine - SIMILARITY) > 1e-3 for cosine in cosines), "a cosine is about the bound"
        by_letters = letters.index(min(letters)) if min(letters) < LETTERS else None
        by_cosine = cosines.index(max(cosines)) if max(cosines) > SIMILARITY else None
        case = {"query": query, "letters": letters, "closest": by_letters, "cosines": cosines, "semantic": by_cosine, "logProbs": {}}
        for mode, found in (("closest", by_letters), ("semantic", by_cosine)):
            fact = None if found is None else FACTS[found]
            asked = query if fact is None else f"Question: {query} clarification: {fact['prompt']} {fact['targetNew']}. Answer:"
            case["logProbs"][mode] = flat(tiny.log_probs(asked, "Lima"))
        cases.append(case)
        print(query, letters, by_letters, [round(cosine, 3) for cosine in cosines], by_cosine)
    write("memprompt", "memprompt.py", SEED, {"layer": LAYER, "letters": LETTERS, "similarity": SIMILARITY, "facts": FACTS, "target": "Lima", "cases": cases})


if __name__ == "__main__":
    main()
