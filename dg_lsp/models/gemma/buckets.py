"""The sizes that forward passes are padded up to, so that few of them have to be prepared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dg_lsp.models.gemma.workspace import rounded

ROWS = (16, 32, 48, 64, 96, 128, 192, 256, 320, 384, 512, 640, 768, 896, 1024, 1536, 2048)
"""Rows of a forward pass, and sampled rows. Up to about 200 rows cost little. The largest hold
a rewrite of a whole canvas in several lengths, and with seeds."""
CACHED = (256, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)
"""Cached tokens, where nothing is known about the prompts."""
SHORTEST_PROMPT = 256
"""The least cached tokens that a size is made for. The task and its frame alone take a third
of it."""
PROMPT_SIZES = 5
"""Sizes up to the longest prompt. Even half of them being padding costs little: a prompt's keys
and values are a fiftieth of the bytes that a step reads."""
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
CONSTRAINTS = 8
"""One for control tokens, and one for each healed position of a lane, rarely more than four."""


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


def cached_sizes(longest: int) -> tuple[int, ...]:
    """The numbers of cached tokens to prepare for prompts of up to `longest` tokens.

    Each is about the same multiple of the one before; longer prompts use those of `CACHED`.
    """
    most = rounded(longest)
    least = min(SHORTEST_PROMPT, most)
    shares = (number / (PROMPT_SIZES - 1) for number in range(PROMPT_SIZES))
    sizes = {min(most, rounded(round(least * (most / least) ** share))) for share in shares}
    return (*sorted(sizes), *(size for size in CACHED if size > most))


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


def least(sizes: Iterable[int], wanted: int) -> int | None:
    """The smallest of some ascending sizes that holds so many."""
    return next((size for size in sizes if size >= wanted), None)
