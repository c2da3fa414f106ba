"""What PyTorch says about encoders of sentences: two tiny BERTs with random weights, and MiniLM where its folder is given.

A sentence's vector is the mean of its tokens' last hidden states, scaled to length one.

    python tools/golden/encoders.py [path/to/all-MiniLM-L6-v2]
"""

import json
import sys

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, AutoTokenizer

from golden_file import GOLDEN, flat, write
from tiny_llama import COUNTRIES, SENTENCES, TEXT, save_safetensors

SEED = 3
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MODELS = {
    "tiny-bert": ({"hidden_act": "gelu", "num_hidden_layers": 2, "num_attention_heads": 4}, "bert."),
    "tiny-bert-bare": ({"hidden_act": "relu", "num_hidden_layers": 3, "num_attention_heads": 3, "type_vocab_size": 1}, ""),
}
OTHERS = [
    "A man is playing the guitar.", "Someone plays an instrument.", "The cat sleeps on the sofa.", "Stock prices fell sharply.",
    "Shares lost much of their value today.", "Une femme mange une pomme.", "Eine Frau isst einen Apfel.", "東京は日本の首都です。",
    "서울은 대한민국의 수도이다.", "Москва — столица России.", "I ❤️ emoji 👩‍🚀!", "e\u0301 and é",
    "How do I reset my password?", "I forgot my login and cannot get in.", "What is the boiling point of water?",
    "Water boils at 100 degrees Celsius.", "", "   ", "word " * 400, "The mother tongue of Danielle Darrieux is French.",
]


def sentences():
    """A hundred pairs: wordings of one fact, facts of one wording, and things that have nothing to do with each other."""
    filled = [[sentence.format(*country) for sentence in SENTENCES] for country in COUNTRIES]
    same = [(filled[i][i % 5], filled[i][5 + i % 6]) for i in range(22)]
    near = [(filled[i][i % 11], filled[(i + 7) % 22][i % 11]) for i in range(22)]
    far = [(filled[i][(i * 3) % 11], OTHERS[i % len(OTHERS)]) for i in range(22)]
    mixed = [(OTHERS[i % len(OTHERS)], OTHERS[(i * 7 + 1) % len(OTHERS)]) for i in range(34)]
    return same + near + far + mixed


def embed(model, tokenizer, text, limit):
    ids = tokenizer(text)
    if len(ids) > limit:
        ids = [*ids[: limit - 1], ids[-1]]
    hidden = model(torch.tensor([ids])).last_hidden_state[0]
    return torch.nn.functional.normalize(hidden.mean(0), dim=0)


def golden(name, model, tokenizer, limit):
    pairs = sentences()
    cosines = [float(embed(model, tokenizer, a, limit) @ embed(model, tokenizer, b, limit)) for a, b in pairs]
    assert max(cosines) - min(cosines) > 0.3
    first = [{"text": text, "ids": tokenizer(text), "vector": flat(embed(model, tokenizer, text, limit))} for text, _ in pairs[::25]]
    write(name, "encoders.py", SEED, {
        "pairs": [{"texts": pair, "cosine": float(f"{cosine:.7g}")} for pair, cosine in zip(pairs, cosines)],
        "vectors": first,
    })
    print(f"{name}: cosines {min(cosines):.2f} to {max(cosines):.2f}")


def train_tokenizer():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(TEXT, trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def tiny(name):
    torch.manual_seed(SEED)
    settings, left_out = MODELS[name]
    tokenizer = train_tokenizer()
    raw = {"model_type": "bert", "vocab_size": tokenizer.get_vocab_size(), "hidden_size": 24, "intermediate_size": 40,
           "max_position_embeddings": 64, "layer_norm_eps": 1e-12, "pad_token_id": 0, **settings}
    model = AutoModel.from_config(AutoConfig.for_model(**raw)).float().eval().requires_grad_(False)
    stored = {}
    for parameter_name, parameter in model.named_parameters():
        if "LayerNorm.weight" in parameter_name:
            values = torch.empty_like(parameter).uniform_(0.6, 1.4)
        elif parameter.dim() == 1:
            values = torch.randn_like(parameter) * 0.3
        else:
            values = torch.randn_like(parameter) * (0.6 if "embeddings" in parameter_name else 1.3 / parameter.shape[1] ** 0.5)
        parameter.copy_(values)
        if "pooler" not in parameter_name:
            stored[left_out + parameter_name] = values
    folder = GOLDEN / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**raw, "architectures": ["BertModel"]}, indent=1) + "\n")
    save_safetensors(folder / "model.safetensors", stored)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    golden(name, model, lambda text: tokenizer.encode(text).ids, 64)


def main():
    torch.set_num_threads(1)
    for name in MODELS:
        tiny(name)
    for path in sys.argv[1:]:
        model = AutoModel.from_pretrained(path).float().eval().requires_grad_(False)
        tokenizer = AutoTokenizer.from_pretrained(path)
        golden("minilm", model, lambda text: tokenizer(text)["input_ids"], 256)


if __name__ == "__main__":
    main()
