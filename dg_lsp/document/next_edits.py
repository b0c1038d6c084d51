"""What the user will probably change next, after an edit: small edits, the nearest first.

Restraint comes first: what is not certain is left out, nothing that the user has just changed
is changed again, and an edit never breaks the syntax.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from dg_lsp.document.following import Edited, Kind, NextEdit, Offsets
from dg_lsp.document.next_parallels import parallels
from dg_lsp.document.next_parameters import with_added, without_removed
from dg_lsp.document.next_renames import renames
from dg_lsp.document.position import line_ends_before
from dg_lsp.document.recent_edits import RecentEdit
from dg_lsp.document.trees import load, parsed_site

MOST_FOUND = 8
"""Number of edits that are returned."""

_FINDERS: dict[Kind, Callable[[Edited], Iterator[NextEdit]]] = {
    Kind.RENAME: renames,
    Kind.REMOVED: without_removed,
    Kind.ADDED: with_added,
    Kind.PARALLEL: parallels,
}


def next_edits(
    text: str,
    language: str,
    recent: Sequence[RecentEdit],
    cursor: int,
    kinds: frozenset[Kind] = frozenset(Kind),
) -> list[NextEdit]:
    """What follows from the newest edit that anything follows from, the nearest first.

    `recent` are the edits of the document, newest first.
    """
    if not recent or not load(language):
        return []
    site = parsed_site(text, "", language)
    if site is None:
        return []
    offsets = Offsets(text, site.source)
    edits = [Edited(text, site, offsets, edit) for edit in recent]
    for number, edited in enumerate(edits):
        found = [
            one
            for kind, find in _FINDERS.items()
            if kind in kinds
            for one in find(edited)
            if not _touches(one, recent) and not _reverts(one, edits[:number])
        ]
        nearest = sorted(found, key=lambda one: _distance(text, one.start, cursor))
        sound = [one for one in nearest[:MOST_FOUND] if _is_sound(one, edited)]
        if sound:
            return sound
    return []


def _touches(one: NextEdit, recent: Sequence[RecentEdit]) -> bool:
    """Whether an edit would change what the user has just changed."""
    return any(one.start <= other.end and one.end >= other.start for other in recent)


def _reverts(one: NextEdit, newer: Sequence[Edited]) -> bool:
    """Whether the user has since done the opposite elsewhere."""
    return any(
        one.text == "".join(change.old) and one.old == "".join(change.new)
        for edited in newer
        for change in edited.changes()
    )


def _distance(text: str, at: int, cursor: int) -> tuple[int, bool]:
    """How many lines away a place is; of two, the one below comes first."""
    lines = line_ends_before(text[min(at, cursor) : max(at, cursor)], abs(at - cursor))
    return lines, at < cursor


def _is_sound(one: NextEdit, edited: Edited) -> bool:
    """Whether the syntax is whole around a place, and stays so."""
    site, offsets = edited.site, edited.offsets
    first = offsets.byte(edited.text.rfind("\n", 0, one.start) + 1)
    start, end = offsets.byte(one.start), offsets.byte(one.end)
    faults = site.faults()
    if any(fault_end >= first and fault_start <= end for fault_start, fault_end in faults):
        return False
    return len(site.with_replaced(start, end, one.text).faults()) <= len(faults)
