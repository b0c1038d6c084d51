"""Jobs by who sent them and in which order, for requests that arrive in another order.

Each request takes a connection of its own. While this process is busy, for example importing
torch, one on a connection that is still to be accepted is read after a newer one on an open
connection.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from weakref import WeakValueDictionary

from dg_lsp.fed_job import FedJob

MOST_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class SentAs:
    """How a front end tells its jobs apart."""

    client: str
    """Name of the client as its token says, so that nobody can claim to be another."""
    window: str
    """A name that the front end chose for itself."""
    sequence: int | None
    """Number of the job, ascending within the window; `None` if it sends none."""


class SentJobs:
    """The jobs of front ends."""

    def __init__(self) -> None:
        self._newest: OrderedDict[str, int] = OrderedDict()
        self._open: WeakValueDictionary[SentAs, FedJob] = WeakValueDictionary()
        self._cancelled: OrderedDict[SentAs, None] = OrderedDict()

    def is_late(self, document: str, sent_as: SentAs) -> bool:
        """Whether a newer job for the document was read first, which this would supersede."""
        sequence = sent_as.sequence
        if sequence is None:
            return False
        if sequence < self._newest.get(document, 0):
            return True
        self._newest[document] = sequence
        self._newest.move_to_end(document)
        if len(self._newest) > MOST_REMEMBERED:
            self._newest.popitem(last=False)
        return False

    def add(self, sent_as: SentAs, handle: FedJob) -> None:
        """Remember a job while it is open; cancel it if that was asked for before."""
        if sent_as in self._cancelled:
            del self._cancelled[sent_as]
            handle.cancel()
        self._open[sent_as] = handle

    def cancel(self, sent_as: SentAs) -> bool:
        """Cancel a job, also one that is still to be read. False if it is not open."""
        handle = self._open.get(sent_as)
        if handle is not None:
            is_open = handle.is_open
            handle.cancel()
            return is_open
        self._cancelled[sent_as] = None
        if len(self._cancelled) > MOST_REMEMBERED:
            self._cancelled.popitem(last=False)
        return False
