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


PROMPTS_TOGETHER = 8
"""Prompts that share a prepared step: as many jobs in their last steps as there are rows that
cost little."""
WARM_SHARED = ((128, 64), (256, 128), (384, 192))
SHARED_TOKENS = 8192
"""Tokens of all prompts that share a prepared step, if there is memory for them."""
LEAST_SHARED_TOKENS = 1024


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """The sizes of a step."""

    cached: int
    rows: int
    free: int
    prompts: int = 1
    """At most so many share the step."""


@dataclass(frozen=True, slots=True, order=True)
class Reading:
    """The sizes of what the encoder reads after a prompt, and whether it is scored."""

    cached: int
    rows: int
    scored: bool


def bucket_for(
    cached: int, rows: int, free: int, sizes: Iterable[int] = CACHED, prompts: int = 1
) -> Bucket | None:
    """The smallest bucket that a step fits into; `None` if there is none."""
    sampled = least(ROWS, free)
    held = least(sizes, cached)
    if sampled is None or held is None:
        return None
    # The padded selection has at most as many rows as the forward pass.
    total = least(ROWS, max(rows, sampled + rows - free))
    return None if total is None else Bucket(held, total, sampled, prompts)


def reading_for(
    cached: int, rows: int, sizes: Iterable[int] = CACHED, *, scored: bool
) -> Reading | None:
    """The smallest bucket that so many rows after a prompt fit into; `None` if there is
    none."""
    total = least(SCORED_ROWS if scored else TAIL_ROWS, rows)
    held = least(sizes, cached)
    return None if total is None or held is None else Reading(held, total, scored)


def shared_sizes(capacity: int) -> tuple[int, ...]:
    """The numbers of cached tokens, of all prompts together, that steps which several prompts
    share are prepared for."""
    return rounded(capacity // 2), capacity


def usual_shared(capacity: int) -> list[Bucket]:
    """The same steps for startup."""
    return [
        Bucket(cached, rows, free, PROMPTS_TOGETHER)
        for cached in shared_sizes(capacity)
        for rows, free in WARM_SHARED
    ]


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
