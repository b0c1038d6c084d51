"""Writes to a pipe, so that a reader that stops reading holds nothing up.

What the pipe has room for is written at once; a thread, to which a message would be handed over
first, writes the rest.
"""

from __future__ import annotations

import os
import queue
import select
import threading
from collections.abc import Callable
from typing import Any


class PipeWriter:
    """Pieces are written in order, each completely, or lost."""

    def __init__(
        self, descriptor: int, most_bytes: int, on_overflow: Callable[[], None] = lambda: None
    ) -> None:
        """`on_overflow` is called for each piece that is lost because more than `most_bytes`
        have not been read."""
        self._descriptor, self._most_bytes = descriptor, most_bytes
        self._on_overflow = on_overflow
        self._pieces: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lock, self._unread_bytes = threading.Lock(), 0
        self._error: OSError | None = None
        self._is_closed = False
        self._room = _room_in(descriptor)
        self._thread = threading.Thread(target=self._work, name="dg-lsp output", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        """Raises the `OSError` of this attempt, or of the last one on the thread."""
        if self._error is not None:
            raise self._error
        with self._lock:
            if not self._unread_bytes and not self._is_closed:
                data = data[self._write_at_once(data) :]
            if not data:
                return
            is_full = self._unread_bytes > self._most_bytes
            self._unread_bytes += 0 if is_full else len(data)
        if is_full:
            self._on_overflow()
        else:
            self._pieces.put(data)

    def _write_at_once(self, data: bytes) -> int:
        """Write data if the pipe takes all of it without a wait; how much was written.

        POSIX lets a pipe that can be written to take so much.
        """
        if self._room is None or len(data) > select.PIPE_BUF:
            return 0
        if self._room.poll(0) != [(self._descriptor, select.POLLOUT)]:
            return 0
        return os.write(self._descriptor, data)

    def close(self) -> None:
        """Write nothing more; the pipe belongs to whoever opened it."""
        self._is_closed = True
        self._pieces.put(None)

    def flush(self, patience_s: float) -> None:
        """Write what is left, unless nobody reads it, and nothing more."""
        self.close()
        self._thread.join(patience_s)

    def _work(self) -> None:
        # Not through a buffered file: its lock, held while the pipe is full, would abort the
        # interpreter's end.
        while (piece := self._pieces.get()) is not None:
            rest = memoryview(piece)
            try:
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            except OSError as error:
                self._error = error
                return
            with self._lock:
                self._unread_bytes -= len(piece)


def _room_in(descriptor: int) -> Any:
    """What tells whether a pipe can be written to; `None` on Windows."""
    if not hasattr(select, "poll"):
        return None
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    return room
