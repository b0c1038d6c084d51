"""Decides which job runs next.

The newest job of a document wins: a new job supersedes whatever is waiting or running for the
same document key. On the engine's side that is decided here and nowhere else, because only the
scheduler sees what the model is busy with; a job that nobody wants ends within a step.

Clients take turns (start-time fair queueing; Goyal, Vin and Cheng, 1996): a job gets a turn
when it comes: the one after that of its client's job before it, or the next one if that is
over. However many jobs a client has waiting, a job of another one waits for one or two of them.
The jobs of one client are served in the order in which they came; a job that supersedes a
waiting one takes its place, so that a busy document cannot starve the others.

Infills run before rewrites, because the user is waiting while typing, but only a limited number
of infills may overtake a rewrite.

A speculative job, which nobody waits for yet, runs only while there is no other job, and any
other job ends it within a step. If that one asks for the same, it takes over the work instead.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

MAX_OVERTAKEN = 4
"""How many urgent jobs may overtake the oldest one, so that a rewrite waits only seconds."""


class Ticket(Protocol):
    """A job as the scheduler sees it."""

    @property
    def document_key(self) -> str: ...

    @property
    def client(self) -> str:
        """Who sent it, among those who take turns."""
        ...

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


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[T]):
    ticket: T
    turn: int


@dataclass(slots=True)
class _Running(Generic[T]):
    taken: T
    owner: T
    """The job itself, or the one that has taken its work over."""


class Scheduler(Generic[T]):
    """A queue with at most one job per document. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[object, _Waiting[T]] = {}
        """In the order in which they came."""
        self._running: list[_Running[T]] = []
        self._turn = 0
        """Of the job that was taken last."""
        self._turns: dict[str, int] = {}
        """The last turn of each client, unless it is over."""
        self._overtaken = 0
        self._closed = False

    def put(self, ticket: T) -> None:
        """Queue a job. Raises `RuntimeError` once closed."""
        with self._changed:
            if self._closed:
                raise RuntimeError("the engine is closed")
            # A job without a document supersedes nothing.
            key = ticket.document_key or object()
            older = self._waiting.get(key)
            same = [one.owner for one in self._running if one.owner.document_key == key]
            if older is not None:
                same.append(older.ticket)
            if ticket.is_speculative and not all(one.is_speculative for one in same):
                ticket.supersede()
                return
            if older is not None:
                older.ticket.supersede()
            for run in self._running:
                if run.owner.hand_over(ticket):
                    self._waiting.pop(key, None)
                    run.owner = ticket
                    return
            for run in self._running:
                if run.owner.document_key == key or (
                    run.owner.is_speculative and not ticket.is_speculative
                ):
                    run.owner.supersede()
            # Assigning to an existing key keeps the older job's place in the order.
            turn = self._next_turn(ticket.client) if older is None else older.turn
            self._waiting[key] = _Waiting(ticket, turn)
            self._changed.notify()

    def take(self) -> T | None:
        """Wait for the next job, which is running until `finish`; `None` once closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            return None if self._closed else self._taken(self._next_keys())

    def take_beside(self, *, only_urgent: bool = False) -> T | None:
        """The next job that may run beside others; `None` if none is waiting.

        With `only_urgent`, also `None` if the next one is not urgent.
        """
        with self._changed:
            oldest, chosen = self._next_keys() if self._waiting else (None, None)
            if chosen is None:
                return None
            ticket = self._waiting[chosen].ticket
            if ticket.is_speculative or (only_urgent and not ticket.is_urgent):
                return None
            return self._taken((oldest, chosen))

    def finish(self, ticket: T) -> None:
        """Record that a job that was taken has ended. After that, no other job takes its work
        over."""
        with self._changed:
            self._running = [run for run in self._running if run.taken is not ticket]

    def close(self) -> list[T]:
        """Refuse further jobs and wake the waiting thread; returns the jobs that have not
        ended."""
        with self._changed:
            self._closed = True
            left = [one.ticket for one in self._waiting.values()]
            left += [run.owner for run in self._running]
            self._waiting.clear()
            self._changed.notify_all()
            return left

    def _next_turn(self, client: str) -> int:
        # A newcomer comes after those who have waited for this turn; otherwise, ever new ones
        # would keep everybody else waiting.
        turn = max(self._turn, self._turns.get(client, 0)) + 1
        self._turns[client] = turn
        return turn

    def _next_keys(self) -> tuple[object, object]:
        """The keys of the job whose turn it is, and of the one that is next."""

        def first(keys: Iterable[object]) -> object:
            return min(keys, key=lambda key: self._waiting[key].turn)

        wanted = [key for key, one in self._waiting.items() if not one.ticket.is_speculative]
        urgent = [key for key in wanted if self._waiting[key].ticket.is_urgent]
        oldest = first(wanted or self._waiting)
        may_overtake = urgent and self._overtaken < MAX_OVERTAKEN
        return oldest, first(urgent) if may_overtake else oldest

    def _taken(self, keys: tuple[object, object]) -> T:
        oldest, chosen = keys
        self._overtaken = 0 if chosen is oldest else self._overtaken + 1
        taken = self._waiting.pop(chosen)
        # An urgent job may have a later turn than one that it overtook.
        self._turn = max(self._turn, taken.turn)
        self._turns = {
            client: turn for client, turn in self._turns.items() if turn > self._turn
        }
        self._running.append(_Running(taken.ticket, taken.ticket))
        return taken.ticket
