"""Reads the tokenizer of a checkpoint: `tokenizer.json`, or `vocab.json` with `merges.txt`."""

from __future__ import annotations

from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE

from dg_lsp.models.qwen2.config import MaskedQwen2Config, added_tokens
from dg_lsp.models.tokenizer import FileCodec, TokenizerError, read_codec

PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2 splits a text: contraction | word | digit | punctuation | line breaks | spaces."""


def read_qwen2_codec(directory: Path, config: MaskedQwen2Config) -> FileCodec:
    """The codec of a checkpoint; raises `TokenizerError`."""
    vocab_size = int(config.network.vocab_size)
    if (directory / "tokenizer.json").is_file():
        return read_codec(directory, vocab_size, config.control)
    if not (directory / "vocab.json").is_file():
        raise TokenizerError(f"{directory} has neither tokenizer.json nor vocab.json")
    return FileCodec(_from_vocabulary(directory), vocab_size, config.control)


def _from_vocabulary(directory: Path) -> Tokenizer:
    """Byte-level BPE over NFC text, as Qwen2 has it."""
    vocabulary, merges = directory / "vocab.json", directory / "merges.txt"
    if not merges.is_file():
        raise TokenizerError(f"{directory} has vocab.json, but its merges.txt is missing")
    try:
        tokenizer = Tokenizer(BPE.from_file(str(vocabulary), str(merges)))
    except Exception as error:  # The library raises a bare Exception for bad files.
        raise TokenizerError(f"{vocabulary} and {merges} do not fit: {error}") from error
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    added = sorted(added_tokens(directory).items(), key=lambda item: item[1])
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name, _ in added])
    wrong = [name for name, number in added if tokenizer.token_to_id(name) != number]
    if wrong:
        raise TokenizerError(
            f"{directory}: the id of {wrong[0]} does not follow the vocabulary's; "
            "the files do not belong together"
        )
    return tokenizer
