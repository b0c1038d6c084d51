"""Decides which connections an engine keeps, so that idle ones cannot take it from the others.

Descriptors are limited, and whoever can connect can hold connections without a token. So there
are bounds on all of them, on those that have sent no request yet, and on those of one peer.
Where a bound is reached, the oldest connection with nothing under way gives way to the new one;
a client whose unused connection was closed just opens another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

RESERVED_DESCRIPTORS = 64
"""For files, pipes, and what libraries open."""


class Held(Protocol):
    """A connection."""

    @property
    def is_waiting(self) -> bool:
        """Whether it has sent no request yet."""
        ...

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        ...

    def drop(self) -> None:
        """Close it at once."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections there may be at a time."""

    all: int = 1024
    waiting: int = 64
    """Before their first request. Clients send it as soon as they are connected."""

    @property
    def of_peer(self) -> int:
        """From one address; several clients may share one."""
        return max(1, self.all * 3 // 4)


def bounds_here() -> Bounds:
    """What the limit on descriptors allows."""
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return Bounds()
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return Bounds()
    most = min(Bounds().all, max(8, soft - RESERVED_DESCRIPTORS))
    return Bounds(most, min(Bounds().waiting, max(4, most // 2)))


class Connections:
    """All connections of an engine, oldest first."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._peers: dict[Held, str] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def admit(self, new: Held, peer: str) -> bool:
        """Make room for a connection from an address; false if all others are busy.

        The address is empty for a Unix socket, which only the user can open.
        """
        waiting = [one for one in self._peers if one.is_waiting]
        if len(waiting) >= self._bounds.waiting:
            self._drop(waiting[0])
        own = [one for one, address in self._peers.items() if address == peer]
        if peer and len(own) >= self._bounds.of_peer and not self._make_room(own):
            return False
        if len(self._peers) >= self._bounds.all and not self._make_room(self._peers):
            return False
        self._peers[new] = peer
        return True

    def forget(self, connection: Held) -> None:
        """It is closed."""
        self._peers.pop(connection, None)

    def _make_room(self, among: Iterable[Held]) -> bool:
        idle = [one for one in among if one.is_idle]
        oldest = next((one for one in idle if one.is_waiting), next(iter(idle), None))
        if oldest is not None:
            self._drop(oldest)
        return oldest is not None

    def _drop(self, connection: Held) -> None:
        self.forget(connection)
        connection.drop()
