"""What the engine needs of a tokenizer. Knows nothing of any tokenizer library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ControlTokens:
    """Ids of the tokens that frame a conversation and never stand in a document."""

    bos: int
    turn_start: int
    turn_end: int
    pad: int
    disallowed: tuple[int, ...]
    """Every id that must not be written into a span: the above and all other control tokens."""


class Codec(Protocol):
    """Text to token ids and back, in bytes where a token may hold part of a character."""

    control: ControlTokens
    vocab_size: int

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text; what looks like a control token stays plain text."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """The UTF-8 bytes that a token writes; control tokens write none."""
        ...

    def starting_with(self, stem: bytes) -> list[int]:
        """Ids of all text tokens whose bytes start with `stem`."""
        ...

    def ending_with(self, stem: bytes) -> list[int]:
        """Ids of all text tokens whose bytes end with `stem`."""
        ...
