"""The sizes that tensors are padded up to, so that few forward passes have to be prepared."""

from __future__ import annotations

from collections.abc import Iterable

STEP = 64
"""Cached tokens are a multiple of this, because attention kernels need aligned masks."""
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
CONSTRAINTS = 8
"""One for control tokens, and one for each healed position of a lane, rarely more than four."""
SHARED_CONSTRAINTS = 32
"""The same of a step that several prompts share."""


def rounded(count: int) -> int:
    """The next multiple of `STEP`."""
    return -(-count // STEP) * STEP


def least(sizes: Iterable[int], wanted: int) -> int | None:
    """The smallest of some ascending sizes that holds so many."""
    return next((size for size in sizes if size >= wanted), None)


def cached_sizes(longest: int) -> tuple[int, ...]:
    """The numbers of cached tokens to prepare for prompts of up to `longest` tokens.

    Each is about the same multiple of the one before; longer prompts use those of `CACHED`.
    """
    most = rounded(longest)
    smallest = min(SHORTEST_PROMPT, most)
    shares = (number / (PROMPT_SIZES - 1) for number in range(PROMPT_SIZES))
    sizes = {
        min(most, rounded(round(smallest * (most / smallest) ** share))) for share in shares
    }
    return (*sorted(sizes), *(size for size in CACHED if size > most))
