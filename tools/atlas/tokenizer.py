"""The tokenizer: byte-level pairs, every digit by itself, a blank before the first word so that a name is the same everywhere."""
from random import Random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from texts import Writer

BEGIN, END, PAD = "<|begin_of_text|>", "<|end_of_text|>", "<|pad|>"
BEGIN_ID, END_ID, PAD_ID = 0, 1, 2
SAMPLE_TEXTS = 60_000


def train_tokenizer(world, vocabulary, path):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.ByteLevel(add_prefix_space=True), pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BEGIN, END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    writer = Writer(world, Random("tokenizer"))
    sample = ("".join(piece.text for piece in writer.write()) for _ in range(SAMPLE_TEXTS))
    tokenizer.train_from_iterator(sample, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A $B", special_tokens=[(BEGIN, BEGIN_ID)]
    )
    tokenizer.save(str(path))
    return tokenizer
