"""Which job is next. Knows nothing of tokens, tensors or LSP.

The newest job of a document wins: putting one supersedes whatever waits or runs for the same
document. Documents take turns in the order in which their oldest wish came in, so that a busy
one starves no other. Somebody types while an infill is made, so infills go before rewrites,
but only so many of them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, Protocol, TypeVar

MAX_OVERTAKEN = 4
"""Urgent jobs that may overtake the oldest one: a rewrite waits for a second, not for ever."""


class Ticket(Protocol):
    """A job as the scheduler sees it."""

    @property
    def document_key(self) -> str: ...

    @property
    def is_urgent(self) -> bool: ...

    def supersede(self) -> None:
        """A newer job took its place."""
        ...


T = TypeVar("T", bound=Ticket)


class Scheduler(Generic[T]):
    """A queue with one place per document. Safe to call from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: OrderedDict[object, T] = OrderedDict()
        self._running: T | None = None
        self._overtaken = 0
        self._closed = False

    def put(self, ticket: T) -> None:
        """Queue a job. Raises `RuntimeError` once closed."""
        with self._changed:
            if self._closed:
                raise RuntimeError("the engine is closed")
            # A job with no document stands for itself alone.
            key = ticket.document_key or object()
            older = self._waiting.get(key)
            if older is not None:
                older.supersede()
            if self._running is not None and self._running.document_key == key:
                self._running.supersede()
            # Assigning keeps the older job's place in the order.
            self._waiting[key] = ticket
            self._changed.notify()

    def take(self) -> T | None:
        """Wait for the next job, which counts as running until `finish`; `None` once closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            ticket = self._waiting.pop(self._next_key())
            self._running = ticket
            return ticket

    def _next_key(self) -> object:
        oldest = next(iter(self._waiting))
        if self._overtaken < MAX_OVERTAKEN:
            urgent = (key for key, ticket in self._waiting.items() if ticket.is_urgent)
            chosen = next(urgent, oldest)
        else:
            chosen = oldest
        self._overtaken = 0 if chosen is oldest else self._overtaken + 1
        return chosen

    def finish(self) -> None:
        """The running job ended."""
        with self._changed:
            self._running = None

    def close(self) -> list[T]:
        """Refuse further jobs and wake the taker; returns those that never ran."""
        with self._changed:
            self._closed = True
            left = list(self._waiting.values())
            self._waiting.clear()
            if self._running is not None:
                left.append(self._running)
            self._changed.notify_all()
            return left
