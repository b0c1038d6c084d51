"""Chooses how much of a document the model sees around a span.

Whole lines are taken, nearest first, until a token budget is spent; budget that one side does
not use goes to the other. The caller passes `measure`, which counts tokens; it is called a
logarithmic number of times per side, on at most `MAX_CHARS_PER_TOKEN` characters per token.

The outer ends rarely move while the user types, because an engine that caches the encoded
prompt
loses the cache when one of them moves. The start of the prefix is therefore on a coarse grid of
lines (or of characters, inside one long line), and budget is handed over in coarse portions.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dg_lsp.config import MAX_CHARS_PER_TOKEN
from dg_lsp.document.position import LINE_END, line_ends_before, may_cut

GRID_LINES = 16
"""Lines that can be typed before the start of the prefix moves, at the cost of context."""

Measure = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class WindowBudget:
    """Tokens for each side of the span."""

    prefix_tokens: int
    suffix_tokens: int

    def __post_init__(self) -> None:
        for name in ("prefix_tokens", "suffix_tokens"):
            tokens = getattr(self, name)
            if tokens < 0:
                raise ValueError(f"{name} is {tokens}; must be at least 0")


@dataclass(frozen=True, slots=True)
class Window:
    """What the model sees of a document around a span."""

    prefix: str
    suffix: str
    prefix_cut: bool
    """Whether the document starts before the prefix."""
    suffix_cut: bool
    """Whether the document continues after the suffix."""


def split_window(
    text: str, span_start: int, span_end: int, budget: WindowBudget, measure: Measure
) -> Window:
    """The text around `[span_start, span_end)` that the budget allows.

    1. Take the suffix; if all of it fits, the prefix gets what it left.
    2. Take the prefix; if all of it fits and the suffix was cut, take the suffix again
       with what the prefix left.
    """
    if not 0 <= span_start <= span_end <= len(text):
        raise ValueError(
            f"span [{span_start}, {span_end}) is not a range of a text of "
            f"{len(text)} characters"
        )
    end, unused = _suffix_end(text, span_end, budget.suffix_tokens, measure)
    given = _whole_portions(unused, budget.suffix_tokens) if end == len(text) else 0
    start, unused = _prefix_start(text, span_start, budget.prefix_tokens + given, measure)
    given = _whole_portions(min(unused, budget.prefix_tokens), budget.prefix_tokens)
    if start == 0 and end < len(text) and given:
        end, _ = _suffix_end(text, span_end, budget.suffix_tokens + given, measure)
    return Window(text[start:span_start], text[span_end:end], start > 0, end < len(text))


def _whole_portions(unused: int, tokens: int) -> int:
    # In eighths; otherwise every typed token would move the far end of the other side.
    portion = max(1, tokens // 8)
    return unused // portion * portion


def _suffix_end(text: str, span_end: int, tokens: int, measure: Measure) -> tuple[int, int]:
    """The end of the suffix window, and the number of unused tokens."""
    limit = min(len(text), span_end + MAX_CHARS_PER_TOKEN * tokens)

    def used(length: int) -> int:
        return measure(text[span_end : span_end + length])

    ends = [line.end() - span_end for line in LINE_END.finditer(text, span_end, limit)]
    ends = [end for end in ends if may_cut(text, span_end + end)]
    if limit == len(text) and (not ends or ends[-1] < limit - span_end):
        ends.append(limit - span_end)
    length, count = _longest_fit(ends, used, tokens)
    if count * 2 < tokens and span_end + length < len(text):
        step = _character_step(tokens)
        lengths = range(length + step, limit - span_end + 1, step)
        more, more_count = _longest_fit(lengths, used, tokens)
        if more:
            length, count = more, more_count
            while length and not may_cut(text, span_end + length):
                length -= 1
    return span_end + length, tokens - count


def _prefix_start(text: str, span_start: int, tokens: int, measure: Measure) -> tuple[int, int]:
    """The start of the prefix window, and the number of unused tokens."""
    limit = max(0, span_start - MAX_CHARS_PER_TOKEN * tokens)

    def used(length: int) -> int:
        return measure(text[span_start - length : span_start])

    starts = [line.end() for line in LINE_END.finditer(text, limit, span_start)]
    starts = [start for start in starts if may_cut(text, start)]
    lengths = [span_start - start for start in reversed(starts)]
    if limit == 0:
        lengths.append(span_start)
    length, count = _longest_fit(lengths, used, tokens)
    if length == span_start:
        return 0, tokens - count
    if count * 2 < tokens:
        step = _character_step(tokens)
        first = length + 1 + (span_start - length - 1) % step
        more, more_count = _longest_fit(
            range(first, span_start - limit + 1, step), used, tokens
        )
        if more:
            start = span_start - more
            while start < span_start and not may_cut(text, start):
                start += 1
            return start, tokens - more_count
    for grid in (GRID_LINES, GRID_LINES // 2, GRID_LINES // 4, GRID_LINES // 8):
        past = line_ends_before(text, span_start - length) % grid
        nearer = lengths.index(length) - (-past % grid) if length else -1
        if nearer >= 0:
            snapped_count = used(lengths[nearer])
            if tokens * 3 <= snapped_count * 4 and snapped_count <= tokens:
                return span_start - lengths[nearer], tokens - snapped_count
    return span_start - length, tokens - count


def _character_step(tokens: int) -> int:
    return max(1, tokens // 8)


def _longest_fit(
    lengths: Sequence[int], used: Callable[[int], int], tokens: int
) -> tuple[int, int]:
    """The largest of the ascending lengths that takes at most `tokens`, and its tokens.

    Doubles the length until it is too long, then alternates between interpolation and
    bisection. Only measured values are used, because the number of tokens does not grow with
    every character.
    """
    low, low_length, low_count = -1, 0, 0
    high, high_length, high_count = len(lengths), 0, 0
    target = 2 * tokens
    by_halves = False
    while high - low > 1:
        if high_count == 0:
            probe = bisect.bisect_right(lengths, target) - 1
            target *= 2
        elif by_halves:
            probe = (low + high) // 2
        else:
            share = (tokens - low_count) / (high_count - low_count)
            probe = bisect.bisect_right(
                lengths, low_length + share * (high_length - low_length), low + 1, high
            )
            probe -= 1
        if high_count:
            by_halves = not by_halves
        probe = min(max(probe, low + 1), high - 1)
        count = used(lengths[probe])
        if count <= tokens:
            low, low_length, low_count = probe, lengths[probe], count
        else:
            high, high_length, high_count = probe, lengths[probe], count
    return low_length, low_count
