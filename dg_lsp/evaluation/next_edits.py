"""Measures next edits: what is offered after synthetic edits, and where it stays quiet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from dg_lsp.document.following import Kind, NextEdit
from dg_lsp.document.next_edits import next_edits
from dg_lsp.document.recent_edits import RecentEdit, moved, noted
from dg_lsp.evaluation.edit_cases import FOLLOWED, QUIET, EditCase, Span, applied

ALL_QUIET = "all of these"
MOST_ACCEPTED = 60
"""Number of edits that are accepted one after the other."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What was offered after one edit, accepted one by one until one is wrong."""

    case: EditCase
    right: int
    """Number of right edits that were offered, one after the other."""
    wrong: NextEdit | None
    """The first one that should not follow."""
    reverts: bool
    """Whether that one would take back what the user did."""

    @property
    def is_exact(self) -> bool:
        """Whether all that should follow was offered, and nothing else."""
        return self.wrong is None and self.right == len(self.case.following)


def follow(case: EditCase, kinds: Collection[Kind]) -> Followed:
    """Accept what is offered after an edit, until nothing is, or something wrong."""
    text, recent = case.text, noted((), case.before, case.text)
    cursor = case.edit.start + len(case.edit.text)
    left = [*case.following]
    for right in range(MOST_ACCEPTED):
        found = next_edits(text, "python", recent, cursor, frozenset(kinds))
        if not found:
            return Followed(case, right, None, reverts=False)
        offered = Span(found[0].start, found[0].end, found[0].text)
        then = applied(text, [offered])
        match = next((one for one in left if _same(applied(text, [one]), then)), None)
        if match is None:
            return Followed(case, right, found[0], _reverts(found[0], recent, text))
        left.remove(match)
        shift = len(then) - len(text)
        left = [
            Span(one.start + shift, one.end + shift, one.text)
            if one.start >= match.end
            else one
            for one in left
        ]
        recent, text = moved(recent, text, then), then
        cursor = offered.start + len(offered.text)
    return Followed(case, MOST_ACCEPTED, None, reverts=False)


def _same(one: str, other: str) -> bool:
    """Whether two texts are the same, white space aside."""
    return "".join(one.split()) == "".join(other.split())


def _reverts(one: NextEdit, recent: Sequence[RecentEdit], text: str) -> bool:
    return any(
        (one.start <= edit.end and one.end >= edit.start)
        or (one.old, one.text) == (text[edit.start : edit.end], edit.before)
        for edit in recent
    )


Figures = dict[str, dict[str, float]]


def figures(results: Sequence[Followed]) -> Figures:
    """Shares by kind of edit, and how many edits there were.

    After an edit from which nothing should follow, only `quiet` says something.
    """
    found: Figures = {}
    for kind in (*FOLLOWED, *QUIET, ALL_QUIET):
        kinds = QUIET if kind == ALL_QUIET else (kind,)
        own = [one for one in results if one.case.kind in kinds]
        if not own:
            continue
        row: dict[str, float] = {"edits": len(own)}
        if kind in FOLLOWED:
            places = sum(len(one.case.following) for one in own)
            row["found"] = sum(one.right > 0 for one in own) / len(own)
            row["exact"] = sum(one.is_exact for one in own) / len(own)
            row["places"] = sum(one.right for one in own) / places
            row["wrong"] = sum(one.wrong is not None for one in own) / len(own)
            row["silent"] = sum(one.wrong is None and not one.right for one in own) / len(own)
            row["reverting"] = sum(one.reverts for one in own) / len(own)
        else:
            row["quiet"] = sum(one.wrong is None for one in own) / len(own)
        found[kind] = row
    return found


def table(results: Sequence[Followed]) -> str:
    """What is found after the edits from which something should follow, in Markdown."""
    return _table(figures(results), FOLLOWED)


def quiet_table(results: Sequence[Followed]) -> str:
    """Where nothing is offered after edits from which nothing should follow."""
    return _table(figures(results), (*QUIET, ALL_QUIET))


def _table(rows: Figures, kinds: Iterable[str]) -> str:
    own = {kind: rows[kind] for kind in kinds if kind in rows}
    names = list(next(iter(own.values()), {}))
    lines = [f"| edit | {' | '.join(names)} |", "| --- " * (len(names) + 1) + "|"]
    for kind, row in own.items():
        shares = [f"{row[name]:.1%}" for name in names[1:]]
        lines.append(f"| {kind} | {row['edits']:.0f} | {' | '.join(shares)} |")
    return "\n".join(lines)
