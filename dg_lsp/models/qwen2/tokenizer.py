"""Reads the tokenizer of a checkpoint: `tokenizer.json`, or `vocab.json` with `merges.txt`."""

from __future__ import annotations

from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE

from dg_lsp.models.checkpoint import check_size, read_json
from dg_lsp.models.qwen2.config import MaskedQwen2Config, added_tokens
from dg_lsp.models.tokenizer import FileCodec, read_codec
from dg_lsp.models.tokenizer_file import (
    MOST_BYTES,
    QWEN2_PIECES,
    TokenizerError,
    check_vocabulary,
)


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
    check_size(merges, MOST_BYTES)
    check_vocabulary(vocabulary, read_json(vocabulary, MOST_BYTES))
    try:
        tokenizer = Tokenizer(BPE.from_file(str(vocabulary), str(merges)))
    except Exception as error:  # The library raises a bare Exception for bad files.
        raise TokenizerError(f"{vocabulary} and {merges} do not fit: {error}") from error
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_PIECES), behavior="isolated"),
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
