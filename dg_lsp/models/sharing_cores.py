"""Leaves the cores of a CPU to other programs that need them."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from dg_lsp.threads import waits_briefly

COUNTS = Path("/proc/loadavg")
SAMPLES = 3
"""A thread elsewhere counts only if so many samples in a row have it: whatever draws a
suggestion runs for a moment, too."""


def running_threads() -> int | None:
    """Threads of all programs that have a core or wait for one; `None` if it is unknown."""
    try:
        return int(COUNTS.read_bytes().split()[3].partition(b"/")[0])
    except (OSError, IndexError, ValueError):
        return None


class OtherThreads:
    """Counts the threads of other programs that need a core."""

    def __init__(self, running: Callable[[], int | None] = running_threads) -> None:
        self._running = running
        self._latest: deque[int] = deque(maxlen=SAMPLES)

    def count(self) -> int:
        """The fewest of the latest samples, of which this is one."""
        running = self._running()
        self._latest.append(0 if running is None else max(0, running - 1))
        return min(self._latest)


_others = OtherThreads()


@contextlib.contextmanager
def beside_others(others: OtherThreads = _others) -> Iterator[None]:
    """Let torch use only as many threads as there are cores that no other program needs.

    Operations are shared among threads in equal parts and end with the last one, so that a
    thread without a core of its own holds up all others. The number of threads changes nothing
    that the bundled model computes.
    """
    most = torch.get_num_threads()
    if most == 1 or not waits_briefly():
        yield
        return
    free = (os.cpu_count() or most) - others.count()
    torch.set_num_threads(max(1, min(most, free)))
    try:
        yield
    finally:
        torch.set_num_threads(most)
