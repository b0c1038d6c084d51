"""Writes a rewrite anew from other seeds while it would break the code, and not for ever.

How one try is made is up to the caller, who passes a coroutine function; cancelling stops the
try that is under way.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from dg_lsp.document.suggestions import InsertionSite, Suggestion, flaw_at

MOST_TRIES = 3
"""The first one included."""
TRIES_S = 10.0
"""When the last try ends, at the latest, counted from the first one's start."""
MAX_SEED = 2**32 - 1
SEED_STRIDE = 1_000_003
"""Between tries, as editors count seeds up by one to ask for another text."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Try:
    """What a try is made with."""

    seed: int
    deadline_s: float | None = None


async def first_sound(
    make: Callable[[Try], Awaitable[tuple[T, tuple[Suggestion, ...]]]],
    site: InsertionSite,
    seed: int,
) -> tuple[T, tuple[Suggestion, ...]]:
    """The first try whose best offer breaks nothing, or else the first of all.

    No other one is made where there was no offer, or where it would end too late if it took as
    long as the last one.
    """
    ends_at = time.monotonic() + TRIES_S
    now = Try(seed)
    first: tuple[T, tuple[Suggestion, ...]] | None = None
    for _ in range(MOST_TRIES):
        began = time.monotonic()
        made = await make(now)
        if not made[1] or flaw_at(made[1][0].text, site) is None:
            return made if made[1] else first or made
        first = first or made
        ended = time.monotonic()
        if ended + (ended - began) > ends_at:
            break
        now = Try((now.seed + SEED_STRIDE) % (MAX_SEED + 1), ends_at - ended)
    assert first is not None
    return first
