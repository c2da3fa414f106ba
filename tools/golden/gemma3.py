"""What PyTorch says about Gemma 3 270M, read from its Q4_K_M GGUF file into float32 by transformers.

    python tools/golden/gemma3.py path/to/gemma-3-270m-q4_k_m.gguf

Token ids are those of the file's own vocabulary, cut by SentencePiece from the file's pieces and scores.
"""

import hashlib
import pathlib
import sys

import sentencepiece
import torch
from gguf import GGUFReader
from sentencepiece import sentencepiece_model_pb2
from transformers import AutoModelForCausalLM

from golden_file import flat, write
from smollm2 import PROMPTS

SEED = 7
# The runtime's logits differ from PyTorch's in the fourth decimal: closer answers than this could change places.
MARGIN = 1e-2
NEW_TOKENS = 16
WANTED_PROMPTS = 20
TOP = 20
BEGIN = 2
ENDS = (1, 106)
TEXTS = [
    "The capital of Norway is",
    "Zürich, São Paulo and 東京 are",
    "My grandmother kept bees behind the old mill. Every autumn she sold honey at the market, and every winter she told us",
]


def text_of(field):
    return [bytes(field.parts[index]).decode("utf-8") for index in field.data]


def tokenizer_of(reader):
    """The file's vocabulary as a SentencePiece model."""
    model = sentencepiece_model_pb2.ModelProto()
    pieces = text_of(reader.fields["tokenizer.ggml.tokens"])
    scores = [float(reader.fields["tokenizer.ggml.scores"].parts[index][0]) for index in reader.fields["tokenizer.ggml.scores"].data]
    types = [int(reader.fields["tokenizer.ggml.token_type"].parts[index][0]) for index in reader.fields["tokenizer.ggml.token_type"].data]
    for piece, score, kind in zip(pieces, scores, types):
        model.pieces.add(piece=piece, score=score, type=kind)
    model.trainer_spec.model_type = sentencepiece_model_pb2.TrainerSpec.BPE
    model.trainer_spec.byte_fallback = True
    model.trainer_spec.unk_id, model.trainer_spec.bos_id, model.trainer_spec.eos_id, model.trainer_spec.pad_id = 3, 2, 1, 0
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = False
    model.normalizer_spec.remove_extra_whitespaces = False
    return sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())


def greedy(model, tokenizer, prompt):
    """The new tokens, or None where two were too close to tell apart."""
    ids, new = [BEGIN, *tokenizer.encode(prompt)], []
    while len(new) < NEW_TOKENS:
        top = model(torch.tensor([ids + new]), use_cache=False).logits[0, -1].topk(2)
        if top.values[0] - top.values[1] < MARGIN:
            return None
        if int(top.indices[0]) in ENDS:
            break
        new.append(int(top.indices[0]))
    return {"prompt": prompt, "ids": new, "text": tokenizer.decode(new)}


def main():
    path = pathlib.Path(sys.argv[1])
    torch.set_num_threads(2)
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager")
    model = model.eval().requires_grad_(False)
    tokenizer = tokenizer_of(GGUFReader(path))
    texts = []
    for text in TEXTS:
        ids = [BEGIN, *tokenizer.encode(text)]
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
        top = logits.topk(TOP)
        texts.append({"text": text, "ids": ids, "topIds": top.indices.tolist(), "topLogits": flat(top.values)})
    generations = []
    for prompt in PROMPTS:
        if len(generations) < WANTED_PROMPTS:
            written = greedy(model, tokenizer, prompt)
            generations += [written] if written else []
    assert len(generations) == WANTED_PROMPTS, len(generations)
    write("gemma3-270m", "gemma3.py", SEED, {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "texts": texts, "generations": generations,
    })
    for generation in generations[:5]:
        print(generation["prompt"], "→", generation["text"])


if __name__ == "__main__":
    main()
