"""Shares work among threads in which torch's operations start no further threads.

Python's threads, because torch decodes weights with one thread only.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Part = TypeVar("Part")


def for_each(parts: Sequence[Part], work: Callable[[Part], None]) -> None:
    """Do the work for all parts, in as many threads as torch may use now."""
    threads = torch.get_num_threads()
    if threads == 1 or len(parts) < 2:
        for part in parts:
            work(part)
        return
    # Inference mode is a property of a thread.
    wrapped = torch.inference_mode(torch.is_inference_mode_enabled())(work)
    for _ in _pool(threads).map(wrapped, parts):
        pass


@functools.lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """One at a time, because the number changes with what other programs need; the threads of
    one that is forgotten end."""
    all_started = threading.Barrier(threads + 1)

    def start() -> None:
        # A thread takes over the common number when it is first asked for, so ask before.
        torch.get_num_threads()
        torch.set_num_threads(1)
        all_started.wait()

    pool = ThreadPoolExecutor(threads, "dg-lsp-decode", initializer=start)
    for _ in range(threads):
        pool.submit(lambda: None)
    all_started.wait()
    # Threads that start later would begin with the number that was set last.
    torch.set_num_threads(threads)
    return pool
