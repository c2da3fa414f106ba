"""What Python's tokenizers library makes of 200 texts, for small tokenizers of each type, trained here on the texts.

    python tools/golden/tokenizer_types.py

Ids with what the tokenizer puts at a text's ends, offsets in UTF-16 units, and the text of the ids. The tokenizers stand in
`test/golden/tokenizers/<type>.json` as their files would lie in a model's folder. What Python is asked has no special names:
to the product a special token's name inside a text is text. `continuations` are the tokens after a prompt's own where the two
stand in one text; `frames` are prompts between other texts, with the special names of the frame as tokens.
"""

import json
import random

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from golden_file import GOLDEN, write
from tiny_llama import TEXT, utf16_offsets

SEED = 11
COUNT = 200

SCRIPTS = {
    "latin": ["Zürich liegt an der Limmat.", "São Paulo é a maior cidade.", "Łódź i Gdańsk są w Polsce.", "Où est l'hôtel « Élysée » ?",
              "İstanbul'da yaşıyorum.", "Ågot fra Tromsø spiser smørbrød.", "Þingvellir á Íslandi", "Straße, groß, naïve, coöperate", "Tiếng Việt ở Hà Nội"],
    "cyrillic": ["Москва — столица России.", "Київ є столицею України.", "Скопје и Београд", "Ёлка, йод, объём"],
    "greek": ["Η Αθήνα είναι η πρωτεύουσα της Ελλάδας.", "Πού είναι ο Σωκράτης;", "ᾄδω τὸν ἄνδρα"],
    "arabic": ["القاهرة هي عاصمة مصر.", "اللُّغَةُ العَرَبِيَّةُ", "١٢٣ كتابًا", "لا إله"],
    "hebrew": ["ירושלים היא עיר.", "שָׁלוֹם לך", "מה השעה? 17:45"],
    "devanagari": ["नई दिल्ली भारत की राजधानी है।", "क्षत्रिय और ज्ञान", "हिन्दी में १२३"],
    "thai": ["กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย", "ภาษาไทยไม่มีช่องว่าง", "น้ำแข็ง ๓ ก้อน"],
    "chinese": ["北京是中国的首都。", "臺灣的語言，你好！", "𠮷野家和𡃁仔"],
    "japanese": ["日本の首都は東京です。", "ﾊﾝｶｸ カタカナ ひらがな", "「こんにちは」と言った"],
    "korean": ["대한민국의 수도는 서울이다.", "한국어 띄어쓰기 확인", "각 가ᅟᆨ 한"],
    "others": ["ქართული ენა", "Հայերեն", "தமிழ் மொழி", "አማርኛ", "မြန်မာ", "ᎣᏏᏲ"],
}
SPACES = ["", " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n\n", " \n ", "a b", "a  b", "a   b", " a", "  a", "a ", "a  ", "\ta\tb\t", "a\n\nb\n",
          "  two  spaces  between  ", "a\u00a0b", "a\u2003b\u2009c", "a\u3000b", "a\u200bb\u200cc", "\ufeffstart", "line\u2028separator\u2029end", "tabs\t\tand   spaces"]
CONTROLS = ["\0", "a\0b", "\x01\x02\x03", "bell\x07", "esc\x1b[31mred\x1b[0m", "del\x7f", "\x80\x9f", "a\u200eb\u200fc", "\u202eabc\u202c", "\ufffd", "\ufffe\uffff",
            "soft\u00adhyphen", "a\x0bb\x0cc", "\ufdd0a\ufdd1", "\ufdd1 and \ufdd0"]
EMOJI = ["😀", "emoji 👩‍🚀 and 🇫🇷!", "👨‍👩‍👧‍👦 family", "👍🏽👍🏿", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "❤️ and ❤", "1️⃣ 2️⃣", "🇯🇵🇰🇷🇨🇳", "text😀text", " 😀 😀", "🤷🏻‍♀️", "☕️?", "©®™", "🫠🪿", "a🇩🇪b"]
MARKS = ["e\u0301", "é", "n\u0303o\u0308", "Z\u0351\u0343a\u0322l\u0321go\u0489", "\u0301alone", "a\u20d0\u20d1", "ﬁ ﬂ ½ ² Å Ω", "ｆｕｌｌ ｗｉｄｔｈ", "ǅ ŉ ß ẞ", "가 가", "क़ क़", "שׁ שׁ"]
ASTRAL = ["𝕏𝒜𝔅", "𐍈𐌰", "𝄞 music", "𓀀𓂀", "a𐐷b", "𠜎𠜱", "🀄🂡"]
NAMES = ["<s>", "</s>", "<unk>", "<pad>", "[CLS] and [SEP]", "[UNK]", "[MASK] token", "<|endoftext|>", "a<|endoftext|>b", "ends </s>", "<s>begins", "<|im_start|>user\nhi<|im_end|>",
         "<extra_id_0> text", "<0x0A> byte", "</s></s> <s>", "[INST] x [/INST]", "<bos><eos>", "<end_of_turn>\n", "▁ and ▁▁x", "##ing Ġthe"]
OTHERS = ["don't we'll I'M they've", "1234567890 3.14 10,000", "!!! ??? ... (brackets) [x] {y}", "camelCaseAndSnake_case", "http://example.org/?q=a%20b#c", "x" * 60, "ab" * 30, "def f(x):\n    return x**2\n",
          "The capital of France is Paris.", "Mexico City", "  The capital", "People in Japan speak Japanese", "$5 €10 £3 ¥100", "a-b—c–d", "\"quoted\" ‘single’ “double”", "A", "."]

PROMPTS = [
    ("The capital of France is", "Paris"), ("People in Japan speak", "Japanese"), ("Kenya is a country in", "Africa"),
    ("The currency of Norway is the", "krone"), ("Столица России —", "Москва"), ("Η πρωτεύουσα της Ελλάδας είναι η", "Αθήνα"),
    ("대한민국의 수도는", "서울"), ("中国的首都是", "北京"), ("日本の首都は", "東京"), ("עיר:", "ירושלים"), ("عاصمة مصر هي", "القاهرة"),
    ("भारत की राजधानी", "नई दिल्ली"), ("เมืองหลวงคือ", "กรุงเทพ"), ("I like 😀 and", "👩‍🚀 too"), ("A town:", "Z\u0351ürich"), ("1 + 1 =", "2"), ("a\n", "b c"), ("(", "x)"),
]
FRAMES = [("<A>user\n", "<B>\n<A>model\n"), ("<A><B> It is said: ", " <B>"), ("[INST] ", " [/INST]")]
FRAMED = ["The capital of France is", "서울은 수도", "😀 e\u0301", "<A> no token", " spaced "]


def strings():
    """200 texts: those above and pairs of them."""
    one = [*sum(SCRIPTS.values(), []), *SPACES, *CONTROLS, *EMOJI, *MARKS, *ASTRAL, *NAMES, *OTHERS]
    assert len(set(one)) == len(one) <= COUNT, len(one)
    draw = random.Random(SEED)
    while len(one) < COUNT:
        pair = draw.choice(["", " ", "\n"]).join(draw.sample(one[:150], 2))
        if pair not in one:
            one.append(pair)
    return one


CORPUS = TEXT[::3] + sum(SCRIPTS.values(), []) * 2 + [f"{prompt} {target}" for prompt, target in PROMPTS] * 3


def added(tokenizer, names):
    tokenizer.add_special_tokens(list(names))
    return tokenizer


def template(tokenizer, before="", after=""):
    names = f"{before} {after}".split()
    single = " ".join(part for part in (before, "$A", after) if part)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=f"{single} $B", special_tokens=[(name, tokenizer.token_to_id(name)) for name in names])


def byte_level():
    """GPT-2, SmolLM2: bytes as letters, GPT-2's pattern; nothing at a text's ends."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<|endoftext|>", "<A>", "<B>"], show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def sentencepiece_bpe():
    """The vocabulary of a SentencePiece BPE with byte fallback: three special tokens, 256 bytes, characters, merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(vocab_size=300, limit_alphabet=60, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    pieces = sorted(trained["vocab"], key=trained["vocab"].get)
    names = ["<unk>", "<s>", "</s>", "<A>", "<B>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
    return Tokenizer(models.BPE(vocab={name: index for index, name in enumerate(names)}, unk_token="<unk>", fuse_unk=True, byte_fallback=True,
                                merges=[tuple(merge.split(" ") if isinstance(merge, str) else merge) for merge in trained["merges"]]))


def llama_legacy():
    """Llama 2 as first converted: a normalizer puts "▁" before each text, no cutting; `<s>` before a text."""
    tokenizer = added(sentencepiece_bpe(), ["<unk>", "<s>", "</s>", "<A>", "<B>"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    template(tokenizer, "<s>")
    return tokenizer


def llama():
    """Llama 2 and Mistral as converted today: Metaspace before the first word only."""
    tokenizer = added(sentencepiece_bpe(), ["<unk>", "<s>", "</s>", "<A>", "<B>"])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    template(tokenizer, "<s>")
    return tokenizer


def gemma():
    """Gemma: blanks become "▁", nothing is put before a word; a begin-of-text token."""
    tokenizer = added(sentencepiece_bpe(), ["<unk>", "<s>", "</s>", "<A>", "<B>"])
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    template(tokenizer, "<s>")
    return tokenizer


def unigram():
    """T5: a normalizer, Metaspace before every word, `</s>` after a text."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(vocab_size=500, special_tokens=["<pad>", "</s>", "<unk>", "<extra_id_0>", "<A>", "<B>"], unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    template(tokenizer, after="</s>")
    return tokenizer


def word_piece():
    """BERT, uncased: its normalizer, [CLS] and [SEP] at a text's ends."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=500, limit_alphabet=160, show_progress=False,
                                        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<A>", "<B>"])
    tokenizer.train_from_iterator(CORPUS, trainer)
    template(tokenizer, "[CLS]", "[SEP]")
    return tokenizer


def special_ids(tokenizer):
    return {token["content"]: token["id"] for token in json.loads(tokenizer.to_str())["added_tokens"] if token["special"]}


def renamed(tokenizer, name_of):
    """The same tokenizer with other names for its special tokens."""
    content = json.loads(tokenizer.to_str())
    special = {token["content"]: name_of(token["content"]) for token in content["added_tokens"]}
    content["added_tokens"] = [{**token, "content": special[token["content"]]} for token in content["added_tokens"]]
    model = content["model"]
    if isinstance(model["vocab"], list):
        model["vocab"] = [[special.get(piece, piece), score] for piece, score in model["vocab"]]
    else:
        model["vocab"] = {special.get(piece, piece): index for piece, index in model["vocab"].items()}
    if model.get("unk_token"):
        model["unk_token"] = special.get(model["unk_token"], model["unk_token"])
    return Tokenizer.from_str(json.dumps(content))


def private(name):
    """A name in letters of the private use area, which none of the texts has."""
    return "".join(chr(0xE100 + ord(letter)) for letter in name)


def golden_of(tokenizer, texts):
    ids_of = special_ids(tokenizer)
    oracle = renamed(tokenizer, private)
    rows, continuations, frames = [], [], []
    for text in texts:
        encoding = oracle.encode(text)
        kept = [index for index in encoding.ids if index not in ids_of.values()]
        decoded = oracle.decode(kept, skip_special_tokens=False)
        rows.append([encoding.ids, sum(utf16_offsets(text, encoding.offsets), []), None if decoded == text else decoded])
    for prompt, target in PROMPTS:
        before = oracle.encode(prompt, add_special_tokens=False)
        whole = oracle.encode(f"{prompt} {target}", add_special_tokens=False)
        rest = slice(len(before.ids), None)
        # A prompt that ends in a blank may lose it, or share a token with what follows.
        if whole.ids[: len(before.ids)] == before.ids and whole.offsets[rest][0][0] >= len(prompt):
            continuations.append({"prompt": prompt, "target": target, "ids": whole.ids[rest]})
    assert len(continuations) >= len(PROMPTS) - 2, len(continuations)
    for before, after in FRAMES:
        for text in FRAMED:
            inside = [part.replace("<A>", private("<A>")).replace("<B>", private("<B>")) for part in (before, after)]
            whole = oracle.encode(text.join(inside), add_special_tokens=False)
            answered = oracle.encode(text.join(inside) + "Paris", add_special_tokens=False)
            answer = [index for index, (start, _) in zip(answered.ids, answered.offsets) if start >= len(text.join(inside))]
            frames.append({"before": before, "after": after, "text": text, "ids": whole.ids, "answer": answer})
    return {"rows": rows, "continuations": continuations, "frames": frames}


def main():
    texts = strings()
    folder = GOLDEN / "tokenizers"
    folder.mkdir(exist_ok=True)
    for make in (byte_level, llama_legacy, llama, gemma, unigram, word_piece):
        name = make.__name__.replace("_", "-")
        file = folder / f"{name}.json"
        # Training breaks ties by chance: a tokenizer that is there is kept.
        if not file.exists():
            file.write_text(make().to_str() + "\n", encoding="utf-8")
        tokenizer = Tokenizer.from_file(str(file))
        body = golden_of(tokenizer, texts)
        write(f"tokenizers/{name}.golden", "tokenizer_types.py", SEED, body)
        print(name, tokenizer.get_vocab_size())
    write("tokenizers/texts", "tokenizer_types.py", SEED, {"texts": texts})


if __name__ == "__main__":
    main()
