"""Cuts the relevant text around a position out of a long document.

All work for a suggestion that takes time per character uses only the excerpt, so that a
keystroke in a document of ten megabytes costs hardly more than in a short one.
"""

from __future__ import annotations

REACH_CHARS = 160 * 1024
"""Minimum length on either side: more than any window or mask covers."""
GRID_CHARS = 32 * 1024
"""The ends are multiples of this from either end of the document, moved to a line's start, so
that they do not move while the user types and cached results remain valid."""

_DOCSTRINGS = ("python", "toml")
_TRIPLE_QUOTES = ('"""', "'''")


def excerpt(text: str, start: int, end: int, language: str) -> tuple[int, int]:
    """The relevant part of the text around `[start, end)`, as a range.

    It begins outside any triple-quoted string.
    """
    first = max(0, start - REACH_CHARS) // GRID_CHARS * GRID_CHARS
    back = max(0, len(text) - end - REACH_CHARS) // GRID_CHARS * GRID_CHARS
    last = len(text) - back
    if first:
        first = _behind("\n", text, first, start)
    if back:
        last = _behind("\n", text, last, len(text))
    if first and language in _DOCSTRINGS:
        for quote in _open_quotes(text, first):
            first = _behind(quote, text, first, start)
    return first, last


def _open_quotes(text: str, offset: int) -> tuple[str, ...]:
    """The triple quotes that the text before the offset opens but does not close."""
    global _counted
    head, quotes = _counted
    if len(head) != offset or not text.startswith(head):
        head = text[:offset]
        quotes = tuple(quote for quote in _TRIPLE_QUOTES if head.count(quote) % 2)
        _counted = head, quotes
    return quotes


_counted: tuple[str, tuple[str, ...]] = "", ()
"""The beginning that was examined last: while the user types further down it does not change,
and comparing is far faster than counting."""


def _behind(what: str, text: str, at: int, stop: int) -> int:
    """The offset after the next occurrence, unless that is too far."""
    found = text.find(what, at, min(stop, at + GRID_CHARS))
    return at if found < 0 else found + len(what)
