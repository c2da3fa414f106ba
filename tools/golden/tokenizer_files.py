"""Folders without `tokenizer.json`, and the ids that transformers reads out of them.

    python tools/golden/tokenizer_files.py

Makes `test/golden/tokenizer-files/<name>/` in the forms that models were published in: SentencePiece BPE as Llama's and as Gemma's,
SentencePiece Unigram with rules of normalization as T5's, vocabulary and merges as GPT-2's and as OPT's, a list of words as
BERT's. Training breaks ties by chance: a folder that is there is kept. Texts without names of special tokens: to the product such
a name is text.
"""

import io
import json

import sentencepiece
from transformers import BertTokenizer, GemmaTokenizer, GPT2Tokenizer, LlamaTokenizer, T5Tokenizer

from golden_file import GOLDEN, write
from tokenizer_types import CONTROLS, CORPUS, EMOJI, MARKS, OTHERS, SCRIPTS, SPACES, byte_level, word_piece

SEED = 0
FOLDER = GOLDEN / "tokenizer-files"
TEXTS = [*sum(SCRIPTS.values(), []), *SPACES, *CONTROLS, *EMOJI, *MARKS, *OTHERS, "ｆｉｌｅ ﬁle a\u00a0b", "▁ a▁b"]
# Full-width letters, a ligature, kinds of blanks: as few rules as show that they are carried out.
RULES = ["FB01\t66 69", "A0\t20", "3000\t20", "2003\t20", *(f"{0xFF41 + i:X}\t{0x61 + i:X}" for i in range(26))]


def token(content):
    return {"__type": "AddedToken", "content": content, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}


def train(kind, **settings):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=model, model_type=kind, character_coverage=0.98, hard_vocab_limit=False,
        minloglevel=2, num_threads=1, **settings)
    return model.getvalue()


def put(name, files):
    folder = FOLDER / name
    if folder.exists():
        return
    made = files()
    folder.mkdir(parents=True)
    for file, content in made.items():
        if isinstance(content, bytes):
            (folder / file).write_bytes(content)
        else:
            (folder / file).write_text(content if isinstance(content, str) else json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def llama():
    return {
        "tokenizer.model": train("bpe", vocab_size=720, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False),
        "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False, "legacy": False,
                                  "bos_token": token("<s>"), "eos_token": token("</s>"), "unk_token": token("<unk>")},
        "added_tokens.json": {"<pad>": 720},
    }


def gemma():
    return {
        "tokenizer.model": train("bpe", vocab_size=720, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
                                 add_dummy_prefix=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>",
                                 user_defined_symbols=["<mask>", "<start_of_turn>", "<end_of_turn>", "▁▁", "▁▁▁", "\n\n"]),
        "tokenizer_config.json": {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True, "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>",
                                  "pad_token": "<pad>", "additional_special_tokens": ["<start_of_turn>", "<end_of_turn>"]},
    }


def t5():
    rules = FOLDER / "rules.tsv"
    FOLDER.mkdir(exist_ok=True)
    rules.write_text("".join(f"{rule}\n" for rule in RULES))
    try:
        model = train("unigram", vocab_size=450, normalization_rule_tsv=str(rules), pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    finally:
        rules.unlink()
    return {
        "spiece.model": model,
        "tokenizer_config.json": {"tokenizer_class": "T5Tokenizer", "extra_ids": 5, "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>",
                                  "additional_special_tokens": [f"<extra_id_{i}>" for i in range(5)]},
        "special_tokens_map.json": {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
    }


def merges(special, config):
    def files():
        content = json.loads(byte_level().to_str())["model"]
        named = dict(zip(["<|endoftext|>", "<A>", "<B>"], special))
        vocab = {named.get(name, name): index for name, index in content["vocab"].items()}
        lines = [merge if isinstance(merge, str) else " ".join(merge) for merge in content["merges"]]
        return {"vocab.json": vocab, "merges.txt": "#version: 0.2\n" + "\n".join(lines) + "\n", **config}
    return files


def bert(config):
    def files():
        vocab = json.loads(word_piece().to_str())["model"]["vocab"]
        return {"vocab.txt": "".join(f"{word}\n" for word in sorted(vocab, key=vocab.get)), "tokenizer_config.json": config}
    return files


OPT = {
    "tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False, "add_bos_token": True, "errors": "replace",
                              "bos_token": token("</s>"), "eos_token": token("</s>"), "unk_token": token("</s>"), "pad_token": "<pad>"},
    "special_tokens_map.json": {"bos_token": token("</s>"), "eos_token": token("</s>")},
}
FOLDERS = {
    "llama": (llama, LlamaTokenizer),
    "gemma": (gemma, GemmaTokenizer),
    "t5": (t5, T5Tokenizer),
    "gpt2": (merges(["<|endoftext|>", "<A>", "<B>"], {}), GPT2Tokenizer),
    "opt": (merges(["<s>", "<pad>", "</s>"], OPT), GPT2Tokenizer),
    "bert": (bert({"do_lower_case": True, "tokenize_chinese_chars": True}), BertTokenizer),
    "bert-cased": (bert({"do_lower_case": False, "tokenize_chinese_chars": False, "strip_accents": False}), BertTokenizer),
}


def main():
    body = {"texts": TEXTS}
    for name, (files, kind) in FOLDERS.items():
        put(name, files)
        tokenizer = kind.from_pretrained(str(FOLDER / name))
        body[name] = [tokenizer(text)["input_ids"] for text in TEXTS]
        print(name, len(tokenizer))
    write("tokenizer-files/ids", "tokenizer_files.py", SEED, body)


if __name__ == "__main__":
    main()
