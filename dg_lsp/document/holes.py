"""Holes: several places of a document that are filled together.

A hole is a mark, by default `…`, or any other range, possibly an empty one. A mark is a mark
wherever it stands, in strings and comments as well; whoever has others in the document selects
the part with the marks that are meant. Marks with nothing between them are one hole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from dg_lsp.document.position import line_column_at
from dg_lsp.job import MAX_PINNED, Span
from dg_lsp.reason import CodedError, ReasonCode

MARK = "…"
MAX_HOLES = MAX_PINNED + 1


class HolesError(CodedError, ValueError):
    """These places cannot be filled together; the message names them."""

    code = ReasonCode.NO_HOLES


def find_marks(text: str, mark: str, start: int = 0, end: int | None = None) -> list[Span]:
    """The holes that marks stand for in `[start, end)` of a text, at most one too many."""
    end = len(text) if end is None else end
    found: list[Span] = []
    at = text.find(mark, start, end)
    while at >= 0 and len(found) <= MAX_HOLES:
        next_at = at + len(mark)
        if found and found[-1].end == at:
            found[-1] = Span(found[-1].start, next_at)
        else:
            found.append(Span(at, next_at))
        at = text.find(mark, next_at, end)
    return found


def checked(text: str, holes: Iterable[Span]) -> tuple[Span, ...]:
    """The holes of a text in their order; raises `HolesError` if they cannot be filled."""
    ordered = tuple(sorted(holes, key=lambda hole: (hole.start, hole.end)))
    if not ordered:
        raise HolesError("there is no hole to fill")
    if len(ordered) > MAX_HOLES:
        raise HolesError(
            f"there are more than {MAX_HOLES} holes, the most that are filled together; select "
            "the part of the text with those to fill",
            ReasonCode.TOO_MANY_HOLES,
        )
    for one, other in pairwise(ordered):
        if other.start <= one.end:
            line, column = line_column_at(text, other.start)
            how = "overlaps" if other.start < one.end else "begins at the end of"
            raise HolesError(
                f"the hole at {line}:{column} {how} the one before it; leave text between them",
                ReasonCode.OVERLAPPING_HOLES,
            )
    return ordered


def within(holes: Sequence[Span]) -> tuple[Span, ...]:
    """The holes by their offsets in the text from the first one's start to the last one's
    end."""
    start = holes[0].start
    return tuple(Span(hole.start - start, hole.end - start) for hole in holes)


def between(text: str, holes: Sequence[Span]) -> list[str]:
    """The texts between holes."""
    return [text[one.end : other.start] for one, other in pairwise(holes)]


def joined(segments: Sequence[str], pinned: Sequence[str]) -> str:
    """Segments with the texts between them."""
    return "".join(a + b for a, b in zip(segments, [*pinned, ""], strict=True))


def held_by(text: str, holes: Sequence[Span]) -> tuple[str, ...]:
    """What is in the holes of a text: their marks, for example."""
    return tuple(text[hole.start : hole.end] for hole in holes)


def filled_or_held(segments: Sequence[str], held: Sequence[str]) -> tuple[str, ...]:
    """What the holes of a site contain in the end: one into which nothing is written keeps what
    it held. `held` is empty if none does so."""
    if not held:
        return tuple(segments)
    return tuple(
        text if text.strip() else before for text, before in zip(segments, held, strict=True)
    )


def how_many_filled(segments: Sequence[str]) -> str | None:
    """Says, as one clause, how many holes were filled; `None` if all were."""
    filled = sum(bool(text.strip()) for text in segments)
    if filled == len(segments):
        return None
    were = "was" if filled == 1 else "were"
    return f"{filled} of {len(segments)} holes {were} filled; the others stay as they are"


def doubles_a_word(segments: Sequence[str], pinned: Sequence[str]) -> bool:
    """Whether a segment says the word again that is pinned beside it: `keykey`, `items.items`,
    `return return`.

    Small models do that when they have not noticed that the word is there already.
    """
    for before, word, after in zip(segments, pinned, segments[1:], strict=False):
        if not word.isidentifier():
            continue
        if re.search(rf"(?<!\w){word}[. ]?\Z", before) or re.match(
            rf"[. ]?{word}(?!\w)", after
        ):
            return True
    return False
