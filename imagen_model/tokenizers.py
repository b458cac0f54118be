"""The bundled model's own tokenizer: one token a word of the drawn world, `[UNK]` for every other word.

Written by code, so that it needs no download; it round-trips through transformers' `AutoTokenizer`.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def word_tokenizer(words: Sequence[str], max_tokens: int) -> PreTrainedTokenizerFast:
    """A lower-casing word tokenizer: `[CLS] word word [SEP]`, punctuation apart.

    Args:
        words: the vocabulary, lower case, without punctuation.
    """
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, ".", ",", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=max_tokens,
    )
