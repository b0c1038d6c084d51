"""How torch's threads share a CPU with other programs, as far as it is decided before torch is
imported.

Without a decision, a thread that waits for another one's part of a product does so in a loop of
300,000 rounds, some ten milliseconds. If another program has taken the core of that other
thread, the loop only takes the time in which it could have run: on two cores, beside a program
that keeps both busy, an infill takes 70 times as long as on idle ones.
"""

from __future__ import annotations

import os

ROUNDS = "5000"
"""How long a thread waits in a loop before it gives up its core: on idle cores as fast as
300,000, and no fewer are."""


def wait_briefly() -> None:
    """Set GNU's OpenMP, which torch uses on Linux, to wait only briefly in a loop; whatever the
    user has set remains."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", ROUNDS)


def waits_briefly() -> bool:
    """Whether `wait_briefly` decided."""
    is_ours = os.environ.get("GOMP_SPINCOUNT") == ROUNDS
    return is_ours and "OMP_WAIT_POLICY" not in os.environ
