"""Cuts what matters around a place out of a long document: cut first, then work.

Nothing that is done for a suggestion looks further than the excerpt, and everything that costs
time for each character works on the excerpt, so that a document of ten megabytes costs a
keystroke hardly more than a short one.
"""

from __future__ import annotations

REACH_CHARS = 160 * 1024
"""What is kept on either side at least: more than any window or mask covers."""
GRID_CHARS = 32 * 1024
"""The ends are multiples of it from either end of the document, moved to a line's start: while
one types they stand still, and what is remembered of the text around stays true."""

_DOCSTRINGS = ("python", "toml")
_TRIPLE_QUOTES = ('"""', "'''")


def excerpt(text: str, start: int, end: int, language: str) -> tuple[int, int]:
    """What of the text is worth looking at for `[start, end)`, as a range around it.

    Where triple quotes make strings of many lines, it begins outside of any.
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
    """The triple quotes that the text before the offset opens and does not close."""
    global _counted
    head, quotes = _counted
    if len(head) != offset or not text.startswith(head):
        head = text[:offset]
        quotes = tuple(quote for quote in _TRIPLE_QUOTES if head.count(quote) % 2)
        _counted = head, quotes
    return quotes


_counted: tuple[str, tuple[str, ...]] = "", ()
"""The beginning that was looked at last: while one types further down it stays as it is, and
comparing is far faster than counting."""


def _behind(what: str, text: str, at: int, stop: int) -> int:
    """Behind the next occurrence, unless that is too far."""
    found = text.find(what, at, min(stop, at + GRID_CHARS))
    return at if found < 0 else found + len(what)
