"""The interface of a tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TurnTokens:
    """Ids of the tokens that frame a turn of a conversation."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ControlTokens:
    """Ids of tokens that never occur in a document."""

    bos: int
    pad: int
    disallowed: tuple[int, ...]
    """Every id that must not be written into a span: these and all other control tokens."""
    turns: TurnTokens | None = None
    """`None` for a model whose tokenizer has no turns."""

    @property
    def turn_start(self) -> int:
        return self._turns.start

    @property
    def turn_end(self) -> int:
        return self._turns.end

    @property
    def _turns(self) -> TurnTokens:
        if self.turns is None:
            raise ValueError("the tokenizer has no tokens for turns")
        return self.turns


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
