"""Pinning: the user keeps some words of a text, and all else of it is written anew.

What is written anew are holes (`holes.py`) that start from the text that they have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from dg_lsp.document.holes import MAX_HOLES, HolesError
from dg_lsp.job import Span
from dg_lsp.reason import ReasonCode

# Blanks with a line end.
_START = re.compile(r"[^\S\r\n]*[\r\n]\s*")
_END = re.compile(r"[^\S\r\n]*[\r\n]\s*\Z")


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


def lengthens_a_word(
    segments: Sequence[str], pinned: Sequence[str], earlier: Sequence[str]
) -> bool:
    """Whether a segment goes on with a word or sign that is pinned beside it, as in `ordersers`
    for `orders` or `++` for `+`, although what was there earlier did not."""
    joints = zip(segments, earlier, pinned, segments[1:], earlier[1:], strict=False)
    return any(
        (_is_one_word(before, word) and not _is_one_word(was_before, word))
        or (_is_one_word(word, after) and not _is_one_word(word, was_after))
        for before, was_before, word, after, was_after in joints
    )


def _is_one_word(left: str, right: str) -> bool:
    """Whether a word or sign reaches from one text into the next."""
    return re.match(r"\w\w|[-+*/%=<>!&|^~@]{2}", left[-1:] + right[:1]) is not None


def with_edges(segments: Sequence[str], earlier: Sequence[str]) -> tuple[str, ...]:
    """The segments without line ends before the first and after the last, unless there were
    some earlier."""
    texts = list(segments)
    first, last = earlier[0], earlier[-1]
    blanks = _START.match(texts[0])
    if blanks:
        texts[0] = first[: len(first) - len(first.lstrip())] + texts[0][blanks.end() :]
    blanks = _END.search(texts[-1])
    if blanks:
        texts[-1] = texts[-1][: blanks.start()] + last[len(last.rstrip()) :]
    return tuple(texts)
