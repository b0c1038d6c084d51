"""What an engine answers over HTTP: a refusal, or the events of a job until its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from dg_lsp import __version__
from dg_lsp.fed_job import FedJob
from dg_lsp.reason import ReasonCode
from dg_lsp.service.client.connection import Response, SilenceError
from dg_lsp.service.client.patience import BEGIN_S, GRACE_S, HEAD_S, longest_s
from dg_lsp.service.client.refusals import LOST, EngineError, refusal_of, unreadable
from dg_lsp.service.events import EventError, EventReader
from dg_lsp.service.fields import Json, SchemaError, parse_json
from dg_lsp.service.schema import VERSION_HEADER, decode_draft, decode_result

TimeLeft = Callable[[float], None]
"""Is told how long an answer may take from now on, in seconds."""


@contextlib.asynccontextmanager
async def patiently() -> AsyncIterator[TimeLeft]:
    """Raises `SilenceError` when the time is over, which is that for the head at first."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(HEAD_S) as timeout:
            yield lambda left_s: timeout.reschedule(loop.time() + left_s)
    except TimeoutError as error:
        raise SilenceError from error


async def refuse_errors(response: Response) -> None:
    """Raise what an answer means that is no success."""
    if response.status == 200:
        return
    body: Json | None = None
    content = await response.read()
    with contextlib.suppress(SchemaError):
        body = parse_json(content)
    later = response.headers.get("retry-after", "")
    after_s = float(later[:9]) if later.isascii() and later.isdigit() else None
    raise refusal_of(response.status, body, after_s)


async def read_job(handle: FedJob, response: Response, time_left: TimeLeft) -> None:
    """Read the answer to a job to its end."""
    reader = EventReader()
    deadline_s = longest_s(handle.job)
    time_left(BEGIN_S + deadline_s)
    has_begun = False
    strict = response.headers.get(VERSION_HEADER, __version__) == __version__
    try:
        # Read to the end of the answer, so that the next job can use the connection.
        while piece := await response.read_piece():
            for event in reader.feed(piece):
                if event.name == "draft":
                    if not has_begun:
                        time_left(deadline_s + GRACE_S)
                    has_begun = True
                    handle.publish(decode_draft(parse_json(event.data), strict=strict))
                elif event.name == "infill":
                    handle.end(decode_result(parse_json(event.data), strict=strict))
    except (SchemaError, EventError) as error:
        raise unreadable(error) from error
    if handle.is_open:
        raise EngineError(LOST, ReasonCode.ENGINE_LOST)
