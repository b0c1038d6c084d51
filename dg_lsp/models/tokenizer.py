"""Reads a `tokenizer.json` as the engine's codec.

Two kinds are supported: byte-level BPE (the bundled model, Qwen2) and BPE with byte fallback,
where a space is written as U+2581 (Gemma).
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, models

from dg_lsp.engine.codec import ControlTokens, TurnTokens
from dg_lsp.models.tokenizer_file import SPACE, TokenizerError, read_tokenizer_file

BOS, EOS, PAD = "<bos>", "<eos>", "<pad>"
TURN_START, TURN_END = "<|turn>", "<turn|>"
CONTROL_LIKE = re.compile(r"<unused\d+>|<(mask|pad|unk|[bes]os)>|\[[A-Za-z_]+\]|<\|.+>|<.+\|>")
"""Added tokens that no document contains, though files may declare them as text. The others are
line breaks, runs of spaces and HTML tags."""


@dataclass(frozen=True, slots=True)
class ControlIds:
    """Ids that a checkpoint's own files give its control tokens."""

    bos: int
    pad: int
    others: tuple[int, ...] = ()
    """Further ids that no text contains."""


class FileCodec:
    """The engine's `Codec` over a `tokenizers.Tokenizer`."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        vocab_size: int | None = None,
        control: ControlIds | None = None,
    ) -> None:
        """`vocab_size` is the model's, by default the tokenizer's; added tokens beyond it are
        ignored. Without `control`, the control tokens must have Gemma's names."""
        tokenizer.no_padding()
        tokenizer.no_truncation()
        named = _declare_control(tokenizer, vocab_size, control)
        # Document text may contain strings like "<turn|>", which must not become control
        # tokens.
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._bytes = _vocabulary_bytes(tokenizer, {*named.values()}, vocab_size)
        self.vocab_size = len(self._bytes)
        self.longest_token = max(map(len, self._bytes))
        disallowed = tuple(i for i, piece in enumerate(self._bytes) if not piece)
        if control is None:
            self.control = self._conversation(named, disallowed)
        else:
            self.control = ControlTokens(control.bos, control.pad, disallowed)
        self._forward = _Sorted(self._bytes)
        self._backward = _Sorted([piece[::-1] for piece in self._bytes])

    def _conversation(
        self, named: Mapping[str, int], disallowed: tuple[int, ...]
    ) -> ControlTokens:
        """The control tokens by Gemma's names."""
        missing = [
            name
            for name in (BOS, PAD, TURN_START, TURN_END)
            if named.get(name, self.vocab_size) >= self.vocab_size
        ]
        if missing:
            raise TokenizerError(f"the tokenizer has no control token {', '.join(missing)}")
        turns = TurnTokens(named[TURN_START], named[TURN_END])
        return ControlTokens(named[BOS], named[PAD], disallowed, turns)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def token_bytes(self, token_id: int) -> bytes:
        return self._bytes[token_id]

    def starting_with(self, stem: bytes) -> NDArray[np.int64]:
        return self._forward.starting_with(stem)

    def ending_with(self, stem: bytes) -> NDArray[np.int64]:
        return self._backward.starting_with(stem[::-1])


class _Sorted:
    """The texts of a vocabulary in order, so that two bisections find all that share a
    stem."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
        # numpy ignores zero bytes at the end of a text; the length decides between those.
        order = np.lexsort((lengths, np.array(pieces)))
        self._order = order[np.count_nonzero(lengths == 0) :]

    def starting_with(self, stem: bytes) -> NDArray[np.int64]:
        def shortened(token_id: int) -> bytes:
            return self._pieces[token_id][: len(stem)]

        start = bisect.bisect_left(self._order, stem, key=shortened)
        end = bisect.bisect_right(self._order, stem, lo=start, key=shortened)
        return self._order[start:end]


def read_codec(
    directory: Path, vocab_size: int | None = None, control: ControlIds | None = None
) -> FileCodec:
    """The codec of a checkpoint directory; raises `TokenizerError`.

    `vocab_size` is the model's; added tokens beyond it are ignored. See `FileCodec` for
    `control`.
    """
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise TokenizerError(f"{directory} has no tokenizer.json")
    try:
        tokenizer = Tokenizer.from_str(read_tokenizer_file(path))
    except TokenizerError:
        raise
    except Exception as error:  # The library raises a bare Exception for bad files.
        raise TokenizerError(f"{path} is not a tokenizer file: {error}") from error
    try:
        return FileCodec(tokenizer, vocab_size, control)
    except TokenizerError as error:
        raise TokenizerError(f"{path}: {error}") from error


def _declare_control(
    tokenizer: Tokenizer, vocab_size: int | None, known: ControlIds | None
) -> dict[str, int]:
    """The ids of all control tokens, after those that only look like it became special.

    The library reads special tokens in a text as plain text; all other added tokens are found
    in every text that contains them.
    """
    added = tokenizer.get_added_tokens_decoder()
    declared = () if known is None else (known.bos, known.pad, *known.others)
    control = {
        token.content: token_id
        for token_id, token in added.items()
        if token.special
        or token_id in declared
        or CONTROL_LIKE.fullmatch(token.content)
        or (vocab_size is not None and token_id >= vocab_size)
    }
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in control])
    return control


def _vocabulary_bytes(
    tokenizer: Tokenizer, control: Collection[int], vocab_size: int | None
) -> list[bytes]:
    """The bytes of each token: none for control tokens, plain text for other added tokens."""
    if not isinstance(tokenizer.model, models.BPE):
        kind = type(tokenizer.model).__name__
        raise TokenizerError(f"the tokenizer is of type {kind}, not BPE")
    byte_fallback = bool(tokenizer.model.byte_fallback)
    added = tokenizer.get_added_tokens_decoder()
    byte_of = _byte_level_alphabet()
    pieces = []
    size = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    for token_id in range(size):
        piece = tokenizer.id_to_token(token_id)
        if piece is None or token_id in control:
            pieces.append(b"")
        elif token_id in added:
            pieces.append(piece.replace(SPACE, " ").encode())
        elif byte_fallback and len(piece) == 6 and piece.startswith("<0x"):
            pieces.append(bytes([int(piece[3:5], 16)]))
        elif byte_fallback:
            pieces.append(piece.replace(SPACE, " ").encode())
        elif set(piece) <= byte_of.keys():
            pieces.append(bytes(byte_of[character] for character in piece))
        else:
            raise TokenizerError(f"its token {piece!r} is neither bytes nor text")
    while vocab_size is not None and len(pieces) > vocab_size and not pieces[-1]:
        pieces.pop()
    return pieces


def _byte_level_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in set(printable)]
    alphabet.update({chr(256 + rank): byte for rank, byte in enumerate(others)})
    return alphabet
