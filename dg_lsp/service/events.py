"""Writes and reads server-sent events, whatever their data means."""

from __future__ import annotations

from dataclasses import dataclass

from dg_lsp.service.fields import Json, dump_json

ALIVE = b": alive\n\n"
"""A comment that tells the reader that the writer still lives."""
LONGEST_EVENT_BYTES = 32 * 1024 * 1024
"""More without an end is not from our engine."""


class EventError(ValueError):
    """What came in is no stream of events."""


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    data: bytes


def event(name: str, data: Json) -> bytes:
    """A named event of one line of JSON."""
    return event_of(name, dump_json(data))


def event_of(name: str, data: bytes) -> bytes:
    """The same of JSON that `dump_json` wrote."""
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


def data_only(data: Json) -> bytes:
    """An event with no name, as OpenAI and llama.cpp send them."""
    return b"data: " + dump_json(data) + b"\n\n"


class EventReader:
    """Turns bytes, cut anywhere, into events; comments are dropped."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[Event]:
        self._rest += piece
        *blocks, self._rest = self._rest.split(b"\n\n")
        if len(self._rest) > LONGEST_EVENT_BYTES:
            raise EventError(f"an event of more than {LONGEST_EVENT_BYTES} bytes")
        return [found for block in blocks if (found := _parse(block)) is not None]


def _parse(block: bytes) -> Event | None:
    name, data = "message", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"event":
            name = value.strip().decode(errors="replace")
        elif field == b"data":
            data.append(value.removeprefix(b" "))
    return Event(name, b"\n".join(data)) if data else None
