"""Reads a `tokenizer.json` as the engine's codec.

Two kinds are supported: byte-level BPE (the bundled model) and BPE with byte fallback, where
a space is written as U+2581 (Gemma).
"""

from __future__ import annotations

import bisect
import json
from pathlib import Path

from tokenizers import Tokenizer

from dg_lsp.engine.codec import ControlTokens
from dg_lsp.reason import CodedError, ReasonCode

BOS, EOS, PAD = "<bos>", "<eos>", "<pad>"
TURN_START, TURN_END = "<|turn>", "<turn|>"
SPACE = "\u2581"
"""How a space is written in a vocabulary with byte fallback."""


class TokenizerError(CodedError, ValueError):
    """A tokenizer file that cannot serve a DiffusionGemma checkpoint."""

    code = ReasonCode.BAD_CHECKPOINT


class FileCodec:
    """The engine's `Codec` over a `tokenizers.Tokenizer`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        # Document text may contain strings like "<turn|>", which must not become control
        # tokens.
        tokenizer.encode_special_tokens = True
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        self.vocab_size = tokenizer.get_vocab_size(with_added_tokens=True)
        added = tokenizer.get_added_tokens_decoder()
        special = {token.content: i for i, token in added.items() if token.special}
        missing = [name for name in (BOS, PAD, TURN_START, TURN_END) if name not in special]
        if missing:
            raise TokenizerError(f"the tokenizer has no control token {', '.join(missing)}")
        self._bytes = _vocabulary_bytes(tokenizer)
        self.control = ControlTokens(
            bos=special[BOS],
            turn_start=special[TURN_START],
            turn_end=special[TURN_END],
            pad=special[PAD],
            disallowed=tuple(sorted(i for i, piece in enumerate(self._bytes) if not piece)),
        )
        written = [(piece, i) for i, piece in enumerate(self._bytes) if piece]
        self._forward = sorted(written)
        self._backward = sorted((piece[::-1], i) for piece, i in written)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def token_bytes(self, token_id: int) -> bytes:
        return self._bytes[token_id]

    def starting_with(self, stem: bytes) -> list[int]:
        return _with_stem(self._forward, stem)

    def ending_with(self, stem: bytes) -> list[int]:
        return _with_stem(self._backward, stem[::-1])


def read_codec(directory: Path) -> FileCodec:
    """The codec of a checkpoint directory; raises `TokenizerError`."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise TokenizerError(f"{directory} has no tokenizer.json")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # The library raises a bare Exception for bad files.
        raise TokenizerError(f"{path} is not a tokenizer file: {error}") from error
    try:
        return FileCodec(tokenizer)
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from error


def _with_stem(pieces: list[tuple[bytes, int]], stem: bytes) -> list[int]:
    start = bisect.bisect_left(pieces, (stem, -1))
    found = []
    for piece, token_id in pieces[start:]:
        if not piece.startswith(stem):
            break
        found.append(token_id)
    return found


def _vocabulary_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes of each token: none for control tokens, plain text for other added tokens."""
    model = json.loads(tokenizer.to_str())["model"]
    if model.get("type") != "BPE":
        raise TokenizerError(f"the tokenizer is of type {model.get('type')}, not BPE")
    byte_of = _byte_level_alphabet()
    byte_fallback = bool(model.get("byte_fallback"))
    pieces = [b""] * tokenizer.get_vocab_size(with_added_tokens=True)
    added = tokenizer.get_added_tokens_decoder()
    for token_id, token in added.items():
        if not token.special:
            pieces[token_id] = token.content.replace(SPACE, " ").encode()
    for piece, token_id in tokenizer.get_vocab(with_added_tokens=False).items():
        if token_id in added:
            continue
        if byte_fallback and len(piece) == 6 and piece.startswith("<0x"):
            pieces[token_id] = bytes([int(piece[3:5], 16)])
        elif byte_fallback:
            pieces[token_id] = piece.replace(SPACE, " ").encode()
        elif set(piece) <= byte_of.keys():
            pieces[token_id] = bytes(byte_of[character] for character in piece)
        else:
            raise TokenizerError(f"its token {piece!r} is neither bytes nor text")
    return pieces


def _byte_level_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in set(printable)]
    alphabet.update({chr(256 + rank): byte for rank, byte in enumerate(others)})
    return alphabet
