"""What the tiny Llama model says of texts: for methods that work by text alone."""

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from golden_file import GOLDEN


class TinyLlama:
    def __init__(self):
        torch.set_num_threads(1)
        folder = GOLDEN / "tiny-llama"
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        self.model.requires_grad_(False)

    def vector(self, text, layer):
        """The mean of a text's hidden states after a layer."""
        ids = torch.tensor([self.tokenizer.encode(text).ids])
        # hidden_states[0] is the embedding, so the output of layer l is at l + 1.
        return self.model(ids, output_hidden_states=True).hidden_states[layer + 1][0].mean(0)

    def cosines(self, text, others, layer):
        vectors = torch.stack([self.vector(other, layer) for other in others])
        return torch.nn.functional.cosine_similarity(vectors, self.vector(text, layer)[None], dim=-1)

    def log_probs(self, prompt, target):
        """The log-probability of each of the target's tokens after a prompt."""
        before = self.tokenizer.encode(prompt).ids
        after = self.tokenizer.encode(" " + target).ids
        logits = self.model(torch.tensor([before + after])).logits[0, len(before) - 1 : -1]
        return torch.log_softmax(logits, -1)[range(len(after)), after]
