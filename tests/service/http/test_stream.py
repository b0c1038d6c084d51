"""A stream of events without a server around it."""

from __future__ import annotations

import asyncio
import math

import pytest

from dg_lsp.fed_job import FedJob
from dg_lsp.job import Candidate, Draft, Infill, InfillJob, JobState
from dg_lsp.reason import ReasonCode
from dg_lsp.service.events import EventReader
from dg_lsp.service.fields import parse_json
from dg_lsp.service.http.stream import EventStream
from dg_lsp.service.schema import decode_result


@pytest.fixture
async def handle() -> FedJob:
    return FedJob(InfillJob("", ""))


async def streamed(handle: FedJob) -> list[dict]:
    """What an application sends for a job to a client that stays."""
    sent: list[dict] = []

    async def send(message: dict) -> None:
        sent.append(message)

    await EventStream(handle)({}, asyncio.Event().wait, send)
    return sent


async def test_a_stream_has_a_head_and_an_end(handle):
    handle.publish(Draft("a", (0.5,), 1, 2))
    handle.finish(Infill((), 1))
    sent = await streamed(handle)

    assert [message["type"] for message in sent] == [
        "http.response.start",
        *["http.response.body"] * 3,
    ]
    assert [message.get("more_body") for message in sent] == [None, True, True, False]


async def test_what_is_no_number_is_not_sent_and_said(handle):
    handle.publish(Draft("a", (math.nan,), 1, 2))
    handle.finish(Infill((Candidate("a", math.nan, 0.0),), 1))
    body = b"".join(message.get("body", b"") for message in await streamed(handle))
    [event] = EventReader().feed(body)
    result = decode_result(parse_json(event.data))

    assert (event.name, result.state) == ("infill", JobState.FAILED)
    assert result.infill.reason.code is ReasonCode.JOB_FAILED
