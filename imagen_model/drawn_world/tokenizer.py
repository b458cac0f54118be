"""A word tokenizer for captions in English and Chinese: one token a word, a Chinese character or a mark.

It differs from `tokenizers.word_tokenizer` in setting Chinese characters apart before words are split.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from ..tokenizers import SPECIAL


def bilingual_tokenizer(words: Sequence[str], max_tokens: int) -> PreTrainedTokenizerFast:
    """Lower-casing, `[CLS] word word [SEP]`; a word or character that is not among `words` becomes `[UNK]`.

    Args:
        words: as `captions.vocabulary` gives them.
    """
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys([*SPECIAL, ".", ",", *words]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.BertNormalizer(handle_chinese_chars=True, strip_accents=False, lowercase=True)]
    )
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
