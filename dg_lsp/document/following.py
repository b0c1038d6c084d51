"""An edit that follows from one the user has just made, and what all kinds of them share."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from dg_lsp.document.code_tokens import is_word, token_ends
from dg_lsp.document.recent_edits import RecentEdit
from dg_lsp.document.trees import ParsedSite, encoded


class Kind(enum.Enum):
    """What an edit follows from."""

    RENAME = "rename"
    """A name was changed where it is defined."""
    REMOVED = "removed"
    """A parameter was removed."""
    ADDED = "added"
    """A parameter was added."""
    PARALLEL = "parallel"
    """A line was changed, and another one is like it."""


CERTAIN = frozenset({Kind.RENAME, Kind.REMOVED})
"""What hardly ever follows wrongly (docs/quality.md)."""


@dataclass(frozen=True, slots=True)
class NextEdit:
    """`[start, end)` of the document would become another text."""

    start: int
    end: int
    old: str
    """What stands there now."""
    text: str
    """What would stand there."""
    kind: Kind


@dataclass(frozen=True, slots=True)
class Change:
    """A run of tokens that the user has replaced; `[start, end)` is where the new ones are."""

    old: tuple[str, ...]
    new: tuple[str, ...]
    start: int
    end: int


class Offsets:
    """Converts between offsets in a text and in its bytes."""

    def __init__(self, text: str, source: bytes) -> None:
        self._text, self._source = text, source
        self._is_same = len(text) == len(source)

    def byte(self, at: int) -> int:
        return at if self._is_same else len(encoded(self._text[:at]))

    def char(self, at: int) -> int:
        return at if self._is_same else len(self._source[:at].decode())


@dataclass(frozen=True, slots=True)
class Edited:
    """A document after an edit."""

    text: str
    site: ParsedSite
    offsets: Offsets
    edit: RecentEdit

    def changes(self) -> Iterator[Change]:
        """The tokens that the edit has replaced, in the order of the document."""
        first, before, after = self.edit.lines(self.text)
        _, old = token_ends(before, 0, len(before))
        ends, new = token_ends(after, 0, len(after))
        matcher = SequenceMatcher(None, old, new, autojunk=False)
        for tag, low, high, start, end in matcher.get_opcodes():
            if tag == "equal":
                continue
            begins = ends[start - 1] if start else 0
            stops = begins
            if start < end:
                begins, stops = ends[start] - len(new[start]), ends[end - 1]
            yield Change(
                tuple(old[low:high]), tuple(new[start:end]), first + begins, first + stops
            )


def is_name(token: str) -> bool:
    return is_word(token) and not token[0].isdigit()
