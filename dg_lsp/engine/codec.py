"""The interface of a tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ControlTokens:
    """Ids of the tokens that frame a conversation and never occur in a document."""

    bos: int
    turn_start: int
    turn_end: int
    pad: int
    disallowed: tuple[int, ...]
    """Every id that must not be written into a span: these and all other control tokens."""


class Codec(Protocol):
    """Converts text to token ids, and ids to bytes (a token may end within a character)."""

    control: ControlTokens
    vocab_size: int
    longest_token: int
    """The most bytes of a text token."""

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text; text that looks like a control token stays plain text."""
        ...

    def token_bytes(self, token_id: int) -> bytes:
        """The UTF-8 bytes of a token; none for a control token."""
        ...

    def starting_with(self, stem: bytes) -> NDArray[np.int64]:
        """Ids of all text tokens whose bytes start with `stem`; first those that equal it."""
        ...

    def ending_with(self, stem: bytes) -> NDArray[np.int64]:
        """Ids of all text tokens whose bytes end with `stem`; first those that equal it."""
        ...
