"""Small vocabularies of each kind that GGUF files hold besides byte-level BPE: metadata as llama.cpp's converter writes it (conversion/base.py,
t5.py, bert.py), and the ids that SentencePiece and transformers' BERT tokenizer give.

    python tools/golden/gguf_tokenizers.py
"""

import importlib.metadata
import pathlib
import tempfile

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import BertWordPieceTokenizer

from golden_file import write
from smollm2 import MORE_STRINGS
from tiny_llama import STRINGS

EXTRA = [
    "", " ", "   ", " leading", "trailing ", "two  spaces", "a   b    c", "line\n\nbreaks\n", "\ttab", "tab\tand  spaces",
    "▁marked▁ text▁▁", "<s> </s> <unk> [CLS] are text here", "<0x41> too", "ﬁne ﬂow ﬁ", "no\u00a0break", "ＦＵＬＬ width",
    "Ünïcödé Äpfel", "e\u0301 a\u0308", "中文分词 和 日本語", "한국어 문장", "العربية", "हिन्दी", "🙂👩‍👩‍👧", "𝔘𝔫𝔦", "x\x01y", "don't we'll", "3.14, 1,000",
]  # fmt: skip
TEXTS = list(dict.fromkeys([*STRINGS, *MORE_STRINGS, *EXTRA]))
# What T5's rules do, on a few characters: the rules themselves take 240 kB.
RULES = {"\u00a0": " ", "\t": " ", "\n": " ", "\ufb01": "fi", "\ufb02": "fl", "\x01": ""}
TYPES = {"normal": 1, "unknown": 2, "control": 3, "user_defined": 4, "unused": 5, "byte": 6}


def train(folder, **options):
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(line for text in TEXTS for line in text.split("\n") if line.strip()), encoding="utf-8")
    spm.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(folder / "m"), minloglevel=2, num_threads=1,
        character_coverage=0.98, hard_vocab_limit=False, **options,
    )  # fmt: skip
    return spm.SentencePieceProcessor(model_file=str(folder / "m.model"))


def vocabulary(sp):
    """base.py, _create_vocab_sentencepiece; ordinary tokens of spaces are written with spaces."""
    tokens, scores, types = [], [], []
    pieces = proto.ModelProto.FromString(sp.serialized_model_proto()).pieces
    for piece in pieces:
        user = piece.type == TYPES["user_defined"]
        tokens.append(piece.piece.replace("▁", " ") if user else piece.piece)
        scores.append(-1000.0 if user else piece.score)
        types.append(piece.type)
    return {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.scores": scores, "tokenizer.ggml.token_type": types}


def ids(kind, **names):
    return {f"tokenizer.ggml.{key}_token_id": value for key, value in names.items()} | {"tokenizer.ggml.model": kind}


def llama(folder):
    sp = train(folder, model_type="bpe", vocab_size=420, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False)
    return sp, {**vocabulary(sp), **ids("llama", bos=1, eos=2, unknown=0)}, [1], []


def gemma(folder):
    sp = train(
        folder, model_type="bpe", vocab_size=420, byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, add_dummy_prefix=False, user_defined_symbols=["▁▁", "▁▁▁", "\n", "\n\n", "\t", "<user>"],
        pad_id=0, eos_id=1, bos_id=2, unk_id=3,
    )  # fmt: skip
    flags = {"tokenizer.ggml.add_space_prefix": False, "tokenizer.ggml.add_bos_token": True}
    return sp, {**vocabulary(sp), **ids("llama", bos=2, eos=1, unknown=3), **flags}, [2], []


def t5(folder):
    rules = folder / "rules.tsv"
    code = lambda text: " ".join(f"{ord(character):X}" for character in text)  # noqa: E731
    rules.write_text("".join(f"{code(key)}\t{code(value)}\n" for key, value in RULES.items()))
    sp = train(folder, model_type="unigram", vocab_size=300, normalization_rule_tsv=str(rules), pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    charsmap = proto.ModelProto.FromString(sp.serialized_model_proto()).normalizer_spec.precompiled_charsmap
    flags = {
        "tokenizer.ggml.add_space_prefix": True,
        "tokenizer.ggml.remove_extra_whitespaces": True,
        "tokenizer.ggml.precompiled_charsmap": list(charsmap),
    }
    return sp, {**vocabulary(sp), **ids("t5", eos=1, unknown=2, padding=0), **flags}, [], [1]


def bert(_):
    tokenizer = BertWordPieceTokenizer(lowercase=True)
    tokenizer.train_from_iterator(TEXTS, vocab_size=400, min_frequency=1, limit_alphabet=200, show_progress=False)
    vocab = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    spelled = [token if token in special else token[2:] if token.startswith("##") else "▁" + token for token in vocab]
    types = [TYPES["control"] if token in special else TYPES["normal"] for token in vocab]
    place = vocab.index
    metadata = {
        "tokenizer.ggml.tokens": spelled,
        "tokenizer.ggml.token_type": types,
        **ids("bert", bos=place("[CLS]"), seperator=place("[SEP]"), unknown=place("[UNK]"), padding=place("[PAD]")),
    }
    return tokenizer, metadata, [place("[CLS]")], [place("[SEP]")]


def skips(kind, text):
    """T5's and BERT's tokenizer.json cannot tell ▁ in a text from a space, or the files ▁ from the beginning of a word."""
    return "▁" in text and kind in (t5, bert)


def encode(tokenizer, text):
    if isinstance(tokenizer, spm.SentencePieceProcessor):
        return tokenizer.encode(text)
    # A special token's name in a text is text: its brackets come apart.
    for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"):
        text = text.replace(name, f"[ {name[1:-1]} ]")
    return tokenizer.encode(text, add_special_tokens=False).ids


def main():
    kinds = []
    for kind in (llama, gemma, t5, bert):
        with tempfile.TemporaryDirectory() as folder:
            tokenizer, metadata, before, after = kind(pathlib.Path(folder))
        encodings = [None if skips(kind, text) else [*before, *encode(tokenizer, text), *after] for text in TEXTS]
        kinds.append({"kind": kind.__name__, "metadata": metadata, "ids": encodings})
    versions = {name: importlib.metadata.version(name) for name in ("sentencepiece", "tokenizers")}
    write("gguf-tokenizers", "gguf_tokenizers.py", None, {**versions, "texts": TEXTS, "kinds": kinds})


if __name__ == "__main__":
    main()
