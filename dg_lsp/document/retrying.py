"""Tries a rewrite again with other seeds if it would break the code or has been shown before,
a limited number of times.

The caller passes a coroutine function that makes one attempt; cancelling stops the current
attempt.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from dg_lsp.document.suggestions import InsertionSite, Suggestion, warning_at

MOST_TRIES = 3
"""Number of attempts, including the first one."""
TRIES_S = 10.0
"""When the last attempt must end, counted from the start of the first one."""
MAX_SEED = 2**32 - 1
SEED_STRIDE = 1_000_003
"""Difference of seeds between attempts; editors add one to ask for another text."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Try:
    """The parameters of an attempt."""

    seed: int
    deadline_s: float | None = None


async def first_sound(
    make: Callable[[Try], Awaitable[tuple[T, tuple[Suggestion, ...]]]],
    site: InsertionSite,
    seed: int,
    wrote_nothing_new: Callable[[T], bool] = lambda made: False,
) -> tuple[T, tuple[Suggestion, ...]]:
    """The first attempt whose best suggestion fills all holes and breaks nothing, or else the
    first one that has a suggestion.

    Without a suggestion, there is another attempt only if the model `wrote_nothing_new`. There
    is none that would end too late, assuming that it takes as long as the last one.
    """
    ends_at = time.monotonic() + TRIES_S
    now = Try(seed)
    first: tuple[T, tuple[Suggestion, ...]] | None = None
    for _ in range(MOST_TRIES):
        began = time.monotonic()
        made = await make(now)
        if made[1] and warning_at(made[1][0], site) is None:
            return made
        if not made[1] and not wrote_nothing_new(made[0]):
            return first or made
        if first is None or not first[1]:
            first = made
        ended = time.monotonic()
        if ended + (ended - began) > ends_at:
            break
        now = Try((now.seed + SEED_STRIDE) % (MAX_SEED + 1), ends_at - ended)
    assert first is not None
    return first
