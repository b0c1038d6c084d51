"""Server-sent events, cut anywhere on their way."""

from __future__ import annotations

import pytest

from dg_lsp.service import events
from dg_lsp.service.events import ALIVE, Event, EventError, EventReader, data_only, event

STREAM = event("draft", {"a": "x\ny"}) + ALIVE + data_only({"b": 1}) + b"data: [DONE]\n\n"
EXPECT = [
    Event("draft", b'{"a":"x\\ny"}'),
    Event("message", b'{"b":1}'),
    Event("message", b"[DONE]"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(STREAM)])
def test_events_are_read_however_they_are_cut(size):
    reader = EventReader()
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]

    assert [found for piece in pieces for found in reader.feed(piece)] == EXPECT


def test_an_event_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(events, "LONGEST_EVENT_BYTES", 10)

    with pytest.raises(EventError):
        EventReader().feed(b"data: 12345678")
