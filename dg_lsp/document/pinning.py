"""Pinning: the user keeps some words of a text, and all else of it is written anew.

What is written anew are holes (`holes.py`) that start from the text that they have.
"""

from __future__ import annotations

from collections.abc import Iterable

from dg_lsp.document.holes import MAX_HOLES, HolesError
from dg_lsp.job import Span
from dg_lsp.reason import ReasonCode


def free_parts(text: str, span: Span, pinned: Iterable[Span]) -> tuple[Span, ...]:
    """The parts of a span of a text around what is pinned, without those that are blank; raises
    `HolesError` if the model cannot be asked."""
    free: list[Span] = []
    at = span.start
    ordered = sorted(pinned, key=lambda pin: (pin.start, pin.end))
    for one in [*ordered, Span(span.end, span.end)]:
        if not span.start <= one.start <= one.end <= span.end:
            raise HolesError("a pinned range is outside the range", ReasonCode.INVALID_REQUEST)
        # An empty range pins nothing; only the last one ends a part.
        if one.start == one.end < span.end:
            continue
        if text[at : one.start].strip():
            free.append(Span(at, one.start))
        at = max(at, one.end)
    if not free:
        raise HolesError("everything is pinned, so that nothing is left to write")
    if len(free) > MAX_HOLES:
        raise HolesError(
            f"the pinned ranges leave more than {MAX_HOLES} parts to write; pin fewer",
            ReasonCode.TOO_MANY_HOLES,
        )
    return tuple(free)
