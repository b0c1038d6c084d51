"""Where front ends look for an engine: its lock and its socket; and a guard against removal.

A cleaner of temporary files may delete the socket of an engine, and a logout its whole runtime
directory. While the engine still holds its lock, it makes the socket again. Without the lock,
front ends start another engine, so this one has to end, and the other one waits for that: on
Linux, an engine also holds an abstract socket, which ends with its process and not before.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

WAITING_CONNECTIONS = 128
HAS_ABSTRACT_SOCKETS = sys.platform == "linux"
PEER = struct.Struct("3i")
"""Process, user and group at the other end of a socket, as Linux reports them."""


class Presence:
    """The lock and the socket of one engine."""

    def __init__(self, lock: Path, path: Path) -> None:
        """The caller holds the lock."""
        self.path, self._lock = path, lock
        self._locked = _identity(lock)
        self._bound: tuple[int, int] | None = None

    @property
    def has_lock(self) -> bool:
        """Whether the lock that others see is still ours."""
        return self._locked is not None and _identity(self._lock) == self._locked

    @property
    def has_socket(self) -> bool:
        """Whether the socket that others see is still ours."""
        return self._bound is not None and _identity(self.path) == self._bound

    def open(self) -> socket.socket:
        """The socket, new. `OSError` where it cannot be made."""
        # We hold the lock, so whatever is there is left from an engine that is gone.
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self.path))
            self.path.chmod(0o600)
            listener.listen(WAITING_CONNECTIONS)
        except OSError:
            listener.close()
            raise
        self._bound = _identity(self.path)
        return listener

    def leave(self) -> None:
        """Remove the socket, unless it belongs to another engine by now."""
        if self.has_socket:
            self.path.unlink(missing_ok=True)


@contextlib.contextmanager
def guarded(lock: Path, patience_s: float) -> Iterator[bool]:
    """Hold the guard of a lock; false if a process whose lock was removed still has it.

    Without abstract sockets, or if another user has taken the name, there is no guard.
    """
    if not HAS_ABSTRACT_SOCKETS:
        yield True
        return
    name = guard_name(lock)
    deadline = time.monotonic() + patience_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as guard:
        while not _bind(guard, name):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                yield False
                return
            if not _wait_for_end(name, left_s):
                break
        yield True


def guard_name(lock: Path) -> str:
    """The abstract name that goes with a lock."""
    known_by = hashlib.sha256(os.fsencode(lock)).hexdigest()[:32]
    return f"\0dg-lsp-{os.getuid()}-{known_by}"


def _bind(guard: socket.socket, name: str) -> bool:
    try:
        guard.bind(name)
        guard.listen()
    except OSError:
        return False
    return True


def _wait_for_end(name: str, patience_s: float) -> bool:
    """Wait for the process that holds the name; false if it is not known to be this user's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as waiting:
        # Nobody accepts connections, so there is room for only some.
        waiting.setblocking(False)
        try:
            waiting.connect(name)
        except ConnectionRefusedError:
            # It has ended by now.
            return True
        except OSError:
            return False
        peer = waiting.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
        if PEER.unpack(peer)[1] != os.getuid():
            return False
        waiting.settimeout(patience_s)
        # The connection ends with the process.
        with contextlib.suppress(OSError):
            waiting.recv(1)
        return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
