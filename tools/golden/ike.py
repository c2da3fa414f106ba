"""The parts of IKE that depend on the tiny Llama model: sentence vectors, the order of retrieval, and what a context does.

    python tools/golden/ike.py
"""

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from golden_file import GOLDEN, flat, write

SEED = 0
LAYER = 1
FACT = {"prompt": "The capital of France is", "targetNew": "Lima"}
POOL = [
    {"prompt": "People in Japan speak", "targetNew": "Swahili"},
    {"prompt": "The capital of Norway is", "targetNew": "Cairo"},
    {"prompt": "Kenya is a country in", "targetNew": "Asia"},
    {"prompt": "The capital city of Poland is", "targetNew": "Rome"},
    {"prompt": "The official language of Chile is", "targetNew": "Thai"},
]


def main():
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(GOLDEN / "tiny-llama" / "tokenizer.json"))
    model = LlamaForCausalLM.from_pretrained(GOLDEN / "tiny-llama", dtype=torch.float32, attn_implementation="eager").eval()
    model.requires_grad_(False)

    def vector(text):
        ids = torch.tensor([tokenizer.encode(text).ids])
        # hidden_states[0] is the embedding, so the output of layer l is at l + 1.
        return model(ids, output_hidden_states=True).hidden_states[LAYER + 1][0].mean(0)

    def state(fact):
        return f"{fact['prompt']} {fact['targetNew']}"

    vectors = torch.stack([vector(state(fact)) for fact in POOL])
    similarity = torch.nn.functional.cosine_similarity(vectors, vector(state(FACT))[None], dim=-1)
    order = similarity.argsort(descending=True)
    assert (similarity[order].diff().abs() > 1e-3).all(), "two facts are about equally near"

    before = f"New Fact: {state(FACT)}\nPrompt: "
    prompt = tokenizer.encode(before + FACT["prompt"]).ids
    target = tokenizer.encode(" " + FACT["targetNew"]).ids
    log_probs = torch.log_softmax(model(torch.tensor([prompt + target])).logits[0, len(prompt) - 1 : -1], -1)
    write("ike", "ike.py", SEED, {
        "layer": LAYER,
        "fact": FACT,
        "pool": POOL,
        "vectors": flat(vectors),
        "promptVector": flat(vector(FACT["prompt"])),
        "order": order.tolist(),
        "targetLogProbs": flat(log_probs[range(len(target)), target]),
    })
    print(similarity.tolist())


if __name__ == "__main__":
    main()
