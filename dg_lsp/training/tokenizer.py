"""Trains the small code tokenizer of the bundled model.

Byte-level BPE. A line break and the indentation after it form one piece, because code uses
few different indentations; identifiers are split at underscores and digits, so that their
parts are shared.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from dg_lsp.models.tokenizer import BOS, EOS, PAD, TURN_END, TURN_START
from dg_lsp.models.tokenizer_file import CODE_PIECES

CONTROL = (PAD, EOS, BOS, TURN_START, TURN_END)


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE tokenizer whose ids 0 to 4 are the control tokens of Gemma."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CODE_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[AddedToken(token, special=True) for token in CONTROL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
