"""Reads how much memory this process has while it works, in a thread of its own.

Private memory is what the process alone holds. Pages of mapped files are counted apart: the
system takes them back when other programs need the room.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

STATUS = Path("/proc/self/status")
PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of memory."""

    private: int = 0
    mapped: int = 0

    @property
    def resident(self) -> int:
        return self.private + self.mapped

    def most(self, other: Held) -> Held:
        """The larger of each number."""
        return Held(max(self.private, other.private), max(self.mapped, other.mapped))


def held_now() -> Held:
    """What this process has in memory now."""
    if STATUS.is_file():
        lines = (line.split() for line in STATUS.read_text(encoding="utf-8").splitlines())
        kilobytes = {words[0]: int(words[1]) for words in lines if words[0].startswith("Rss")}
        private = kilobytes["RssAnon:"]
        return Held(private * 1024, (sum(kilobytes.values()) - private) * 1024)
    import psutil

    full = psutil.Process().memory_full_info()
    return Held(full.uss, max(0, full.rss - full.uss))


class MemoryWatch:
    """Keeps the most that was held since `restart`, while it is entered."""

    def __init__(self) -> None:
        self._most = Held()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def restart(self) -> Held:
        """Begin anew; returns the most that was held until now."""
        with self._lock:
            most, self._most = self._most.most(held_now()), Held()
        return most

    def _watch(self) -> None:
        while not self._ended.wait(PAUSE_S):
            with self._lock:
                self._most = self._most.most(held_now())
