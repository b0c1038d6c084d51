"""Decides which job runs next.

The newest job of a document wins: a new job supersedes whatever is waiting or running for the
same document key. On the engine's side that is decided here and nowhere else, because only the
scheduler sees what the model is busy with; a job that nobody wants ends within a step.

Documents are served in the order of their oldest waiting job, so that a busy one cannot starve
the others. Infills run before rewrites, because the user is waiting while typing, but only a
limited number of infills may overtake a rewrite.

A speculative job, which nobody waits for yet, runs only while no other job waits, and any other
job ends it within a step. If that one asks for the same, it takes over the work instead.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, Protocol, Self, TypeVar

MAX_OVERTAKEN = 4
"""How many urgent jobs may overtake the oldest one, so that a rewrite waits only seconds."""


class Ticket(Protocol):
    """A job as the scheduler sees it."""

    @property
    def document_key(self) -> str: ...

    @property
    def is_urgent(self) -> bool: ...

    @property
    def is_speculative(self) -> bool: ...

    def supersede(self) -> None:
        """A newer job took its place."""
        ...

    def hand_over(self, to: Self) -> bool:
        """Leave the work to a newer job, if this one is speculative, running, and asks for the
        same; returns whether it did."""
        ...


T = TypeVar("T", bound=Ticket)


class Scheduler(Generic[T]):
    """A queue with at most one job per document. Thread-safe."""

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
            # A job without a document supersedes nothing.
            key = ticket.document_key or object()
            older, running = self._waiting.get(key), self._running
            if ticket.is_speculative and any(
                one is not None and one.document_key == key and not one.is_speculative
                for one in (older, running)
            ):
                ticket.supersede()
                return
            if older is not None:
                older.supersede()
            if running is not None and running.hand_over(ticket):
                self._waiting.pop(key, None)
                self._running = ticket
                return
            if running is not None and (
                running.document_key == key
                or (running.is_speculative and not ticket.is_speculative)
            ):
                running.supersede()
            # Assigning to an existing key keeps the older job's place in the order.
            self._waiting[key] = ticket
            self._changed.notify()

    def take(self) -> T | None:
        """Wait for the next job, which is running until `finish`; `None` once closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            ticket = self._waiting.pop(self._next_key())
            self._running = ticket
            return ticket

    def _next_key(self) -> object:
        wanted = [key for key, ticket in self._waiting.items() if not ticket.is_speculative]
        oldest = next(iter(wanted or self._waiting))
        if self._overtaken < MAX_OVERTAKEN:
            urgent = (key for key in wanted if self._waiting[key].is_urgent)
            chosen = next(urgent, oldest)
        else:
            chosen = oldest
        self._overtaken = 0 if chosen is oldest else self._overtaken + 1
        return chosen

    def finish(self) -> None:
        """Record that the running job has ended."""
        with self._changed:
            self._running = None

    def close(self) -> list[T]:
        """Refuse further jobs and wake the waiting thread; returns the jobs that never ran."""
        with self._changed:
            self._closed = True
            left = list(self._waiting.values())
            self._waiting.clear()
            if self._running is not None:
                left.append(self._running)
            self._changed.notify_all()
            return left
