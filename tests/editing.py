"""A user who edits a document and accepts the next edits that follow."""

from __future__ import annotations

from dg_lsp.document.following import Kind
from dg_lsp.document.next_edits import next_edits
from dg_lsp.document.recent_edits import RecentEdit, moved, noted

MOST = 50


def replaced(text: str, old: str, new: str, nth: int = 0) -> tuple[str, int]:
    """The text with its `nth` `old` replaced, and where the new one ends."""
    at = -1
    for _ in range(nth + 1):
        at = text.index(old, at + 1)
    return text[:at] + new + text[at + len(old) :], at + len(new)


def after(
    text: str,
    old: str,
    new: str,
    nth: int = 0,
    language: str = "python",
    kinds: frozenset[Kind] = frozenset(Kind),
) -> str:
    """The document after an edit and everything that follows from it."""
    edited, cursor = replaced(text, old, new, nth)
    recent: tuple[RecentEdit, ...] = noted((), text, edited)
    for _ in range(MOST):
        found = next_edits(edited, language, recent, cursor, kinds)
        if not found:
            return edited
        one = found[0]
        assert edited[one.start : one.end] == one.old
        then = edited[: one.start] + one.text + edited[one.end :]
        recent, edited = moved(recent, edited, then), then
    raise AssertionError(f"{MOST} edits follow from {old!r} -> {new!r}")
