"""The sizes that forward passes are padded up to, so that few of them have to be prepared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dg_lsp.models.padding import CACHED, ROWS, cached_sizes, least, rounded

WARM = ((32, 16), (48, 32), (64, 48), (128, 64), (192, 96), (384, 192))
"""Rows and sampled rows of the steps that are prepared at startup: one line, a few lines, a
race that is almost over, and one that begins. Others are prepared when first needed."""
TAIL_ROWS = (16, 64)
"""New tokens of a prompt that are read in a bucket: a keystroke's, and a few lines'."""
SCORED_ROWS = (64, 128, 256, 512)
"""Tokens of the texts that are ranked together. Their mask takes 40 MB for 384 of them."""
WARM_SCORED = (64, 128, 256)
RESERVED_ROWS = 1024
"""Rows that the workspace is made for at startup: a race of all lengths with seeds, or a
rewrite of a whole canvas in five lengths."""


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """The sizes of a step."""

    cached: int
    rows: int
    free: int


@dataclass(frozen=True, slots=True, order=True)
class Reading:
    """The sizes of what the encoder reads after a prompt, and whether it is scored."""

    cached: int
    rows: int
    scored: bool


def bucket_for(
    cached: int, rows: int, free: int, sizes: Iterable[int] = CACHED
) -> Bucket | None:
    """The smallest bucket that a step fits into; `None` if there is none."""
    sampled = least(ROWS, free)
    held = least(sizes, cached)
    if sampled is None or held is None:
        return None
    # The padded selection has at most as many rows as the forward pass.
    total = least(ROWS, max(rows, sampled + rows - free))
    return None if total is None else Bucket(held, total, sampled)


def reading_for(
    cached: int, rows: int, sizes: Iterable[int] = CACHED, *, scored: bool
) -> Reading | None:
    """The smallest bucket that so many rows after a prompt fit into; `None` if there is
    none."""
    total = least(SCORED_ROWS if scored else TAIL_ROWS, rows)
    held = least(sizes, cached)
    return None if total is None or held is None else Reading(held, total, scored)


def usual(longest: int) -> list[Bucket | Reading]:
    """What is prepared at startup for prompts of up to `longest` tokens."""
    found: list[Bucket | Reading] = []
    for cached in cached_sizes(longest):
        if cached > rounded(longest):
            break
        found += [Bucket(cached, rows, free) for rows, free in WARM]
        found += [Reading(cached, rows, scored=True) for rows in WARM_SCORED]
        found += [Reading(cached, rows, scored=False) for rows in TAIL_ROWS]
    return found
