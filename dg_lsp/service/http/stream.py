"""The answer to a job: its drafts and its end as server-sent events, while the client stays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from dg_lsp import __version__
from dg_lsp.fed_job import FedJob
from dg_lsp.job import Draft, Infill, JobResult, JobState
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.service.events import ALIVE, event_of
from dg_lsp.service.fields import dump_json
from dg_lsp.service.http.request import ClientGoneError, Message, Receive, unless_gone
from dg_lsp.service.schema import VERSION_HEADER, encode_draft, encode_result

Send = Callable[[Message], Awaitable[None]]

ALIVE_S = 1.0
"""Interval of signs of life in a stream, whatever the model does."""

_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (VERSION_HEADER.encode(), __version__.encode()),
]


class EventStream:
    """A response of server-sent events. If the client disconnects, the job is cancelled."""

    def __init__(self, handle: FedJob) -> None:
        self._handle = handle

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        sending = asyncio.Lock()

        async def put(piece: bytes) -> None:
            async with sending:
                await send({"type": "http.response.body", "body": piece, "more_body": True})

        async def stay_alive() -> None:
            while True:
                await asyncio.sleep(ALIVE_S)
                await put(ALIVE)

        await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
        alive = asyncio.create_task(stay_alive())
        try:
            await unless_gone(receive, _tell(self._handle, put))
            alive.cancel()
            async with sending:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except ClientGoneError:
            pass
        finally:
            alive.cancel()
            self._handle.cancel()


async def _tell(handle: FedJob, put: Callable[[bytes], Awaitable[None]]) -> None:
    async for draft in handle.drafts():
        data = draft_json(draft)
        if data is not None:
            await put(event_of("draft", data))
    await put(event_of("infill", result_json(await handle.result())))


def draft_json(draft: Draft) -> bytes | None:
    """`None` if a number in it is none, which cannot be sent; the end will say so."""
    try:
        return dump_json(encode_draft(draft))
    except ValueError:
        return None


def result_json(result: JobResult) -> bytes:
    """The result, or that it cannot be sent."""
    try:
        return dump_json(encode_result(result))
    except ValueError as error:
        said = f"the model's answer cannot be sent: {error}"
        reason = Reason(ReasonCode.JOB_FAILED, said)
        return dump_json(
            encode_result(JobResult(JobState.FAILED, Infill((), 0, reason=reason)))
        )
