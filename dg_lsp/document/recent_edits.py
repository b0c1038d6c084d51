"""Keeps the last edits of a document: what stood where the user has changed something.

Keys that are typed into the same lines are one edit. One that brings the old text back is none,
and one that changes very much, such as a file that was read again, ends all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dg_lsp.document.position import common_edges

MAX_CHARS = 2_000
"""A longer edit was not made by hand."""
MOST_EDITS = 8
"""Number of edits that are kept of a document."""


@dataclass(frozen=True, slots=True)
class RecentEdit:
    """`[start, end)` of a document has replaced another text."""

    start: int
    end: int
    before: str
    """What stood there."""

    def lines(self, text: str) -> tuple[int, str, str]:
        """Where its lines start, and these lines before and after the edit."""
        first, last = _line_bounds(text, self.start, self.end)
        before = text[first : self.start] + self.before + text[self.end : last]
        return first, before, text[first:last]


def noted(edits: tuple[RecentEdit, ...], old: str, new: str) -> tuple[RecentEdit, ...]:
    """The edits, newest first, after the user has changed the document."""
    start, end, shift = _change(old, new)
    if max(end, end + shift) - start > MAX_CHARS:
        return ()
    first, last = _line_bounds(old, start, end)
    same = [edit for edit in edits if edit.start <= last and edit.end >= first]
    merged = _merged(same, old, new, start, end, shift)
    others = [_moved(edit, start, shift) for edit in edits if edit not in same]
    return tuple([*merged, *others][:MOST_EDITS])


def moved(edits: tuple[RecentEdit, ...], old: str, new: str) -> tuple[RecentEdit, ...]:
    """The edits after a change that the user has only accepted."""
    start, end, shift = _change(old, new)
    apart = [edit for edit in edits if edit.end <= start or edit.start >= end]
    return tuple(_moved(edit, start, shift) for edit in apart)


def _change(old: str, new: str) -> tuple[int, int, int]:
    """Where the old text begins and ends to differ, and how much longer the new one is."""
    start, kept = common_edges(old, new)
    return start, len(old) - kept, len(new) - len(old)


def _merged(
    same: Sequence[RecentEdit], old: str, new: str, start: int, end: int, shift: int
) -> list[RecentEdit]:
    """One edit of a change and of earlier ones in the same lines; none if nothing is left."""
    for edit in same:
        start, end = min(start, edit.start), max(end, edit.end)
    before, at = "", start
    for edit in sorted(same, key=lambda edit: edit.start):
        before += old[at : edit.start] + edit.before
        at = edit.end
    before += old[at:end]
    after = new[start : end + shift]
    if before == after or max(len(before), len(after)) > MAX_CHARS:
        return []
    head, tail = common_edges(before, after)
    return [RecentEdit(start + head, end + shift - tail, before[head : len(before) - tail])]


def _moved(edit: RecentEdit, start: int, shift: int) -> RecentEdit:
    if edit.end <= start:
        return edit
    return RecentEdit(edit.start + shift, edit.end + shift, edit.before)


def _line_bounds(text: str, start: int, end: int) -> tuple[int, int]:
    last = text.find("\n", end)
    return text.rfind("\n", 0, start) + 1, len(text) if last < 0 else last
