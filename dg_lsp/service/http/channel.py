"""A job channel on the engine's side: the jobs of one front end over one connection.

The request that asks for it passes the gate like any other. Where a token is needed there is no
channel, because tokens may be revoked, and limits count requests. What a channel saves is the
time of a request: a job is parsed, queued and answered where its bytes arrive, without a task.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from dg_lsp import __version__
from dg_lsp.fed_job import FedJob
from dg_lsp.job import Draft, InfillJob, JobResult
from dg_lsp.reason import ReasonCode
from dg_lsp.service.fields import SchemaError, parse_json
from dg_lsp.service.http.answers import error_body, failure_of
from dg_lsp.service.http.filling import submit_job
from dg_lsp.service.http.request import (
    Message,
    Receive,
    RequestError,
    account_of,
    client_of,
)
from dg_lsp.service.http.sent_jobs import SentAs
from dg_lsp.service.http.served_engine import ServedEngine
from dg_lsp.service.http.stream import ALIVE_S, draft_json, result_json
from dg_lsp.service.lines import (
    ALIVE,
    LONGEST_JOB_BYTES,
    PROTOCOL,
    Line,
    LineError,
    LineReader,
    line,
    refused,
)
from dg_lsp.service.schema import CLIENT_HEADER, VERSION_HEADER, decode_job

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

UPGRADE = "dg-lsp.upgrade"
"""Name of the ASGI extension by which the server hands a connection over (`server.py`)."""
MOST_UNREAD_BYTES = 64 * 1024
"""A client that reads no faster misses drafts."""
MOST_UNREAD_ANSWERS_BYTES = 1024 * 1024
"""Who sends more while so much is unread is left, because each line would be answered into
memory."""
LINES_AT_ONCE = 16
"""Taken before the loop does something else."""
HEAD_BYTES = 64
"""Of a line, besides its JSON."""
LEAVE_S = 2.0
"""How long a client whose line cannot be read may take to read why."""


class Taker(Protocol):
    """Takes what comes over a connection after the upgrade."""

    @property
    def is_idle(self) -> bool: ...

    def take(self, data: bytes) -> None: ...

    def lose(self) -> None:
        """The connection is over."""
        ...


Upgrade = Callable[[Taker, bytes], asyncio.Transport]
"""Takes who gets the bytes from now on and the head of the answer."""


async def jobs(engine: ServedEngine, request: Request) -> Response:
    """Upgrade to a job channel, over which a front end of dg-lsp sends its jobs.

    What goes over it may change with any version; `POST /v1/infill` does the same for others.
    """
    upgrade = request.scope.get("extensions", {}).get(UPGRADE)
    if upgrade is None or request.headers.get("upgrade") != PROTOCOL:
        said = f"this is for connections that are upgraded to {PROTOCOL}; use /v1/infill"
        raise RequestError(426, ReasonCode.INVALID_REQUEST, said)
    if client_of(request).name:
        said = "whoever needs a token sends each job as a request: use /v1/infill"
        raise RequestError(403, ReasonCode.NOT_ALLOWED, said)
    if not request.headers.get(CLIENT_HEADER):
        said = f"the header {CLIENT_HEADER} is missing, which tells channels apart"
        raise RequestError(400, ReasonCode.INVALID_REQUEST, said)
    if request.headers.get("content-length", "0") != "0" or (
        "transfer-encoding" in request.headers
    ):
        said = "a request for a channel has no body; jobs are sent as lines after its answer"
        raise RequestError(400, ReasonCode.INVALID_REQUEST, said)
    return JobChannel(engine, request, upgrade)  # type: ignore[return-value]


class JobChannel:
    """An ASGI response that lasts as long as its connection."""

    def __init__(self, engine: ServedEngine, request: Request, upgrade: Upgrade) -> None:
        self._engine, self._upgrade = engine, upgrade
        self._client, self._account = client_of(request), account_of(request)
        self._window = request.headers[CLIENT_HEADER][:64]
        self._is_strict = request.headers.get(VERSION_HEADER, __version__) == __version__
        self._reader = LineReader(LONGEST_JOB_BYTES + HEAD_BYTES)
        self._lines: deque[bytes] = deque()
        """Those that have come and are still to be taken."""
        self._is_left = False
        """Whether a line could not be read, so that no more are."""
        self._jobs: dict[int, FedJob] = {}
        self._held: tuple[bytes, InfillJob | None] | None = None
        """The job that was prepared last, and `None` if it cannot be read."""
        self._lost = asyncio.Event()
        self._alive: asyncio.TimerHandle | None = None

    async def __call__(
        self, scope: Mapping[str, Any], receive: Receive, send: Callable[[Message], Any]
    ) -> None:
        head = (
            f"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n"
            f"upgrade: {PROTOCOL}\r\n{VERSION_HEADER}: {__version__}\r\n\r\n"
        )
        self._transport = self._upgrade(self, head.encode())
        await self._lost.wait()

    @property
    def is_idle(self) -> bool:
        return not (self._jobs or self._lines)

    def take(self, data: bytes) -> None:
        if not self._is_left:
            self._lines.extend(self._reader.feed(data))
            self._take_next()

    def _take_next(self) -> None:
        """Take one job, and the next one after whatever else the loop has to do: however many
        come at once, other clients are answered in between."""
        if self._transport.is_closing():
            return
        for _ in range(min(len(self._lines), LINES_AT_ONCE)):
            try:
                one = self._reader.parse(self._lines.popleft())
                self._take_line(one)
            except LineError as error:
                self._leave(error)
                break
            # What is cancelled is mostly followed by a job, for which a user waits.
            if one.word != "cancel":
                break
        if self._transport.get_write_buffer_size() > MOST_UNREAD_ANSWERS_BYTES:
            self._transport.abort()
        if self._lines:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._take_next)
        else:
            self._transport.resume_reading()

    def _leave(self, error: LineError) -> None:
        """Say what is wrong with a line, and end the channel.

        It is closed when the client has read that and closes it, or after a while: a close at
        once may keep what was said from a client that still sends.
        """
        self._write(refused(0, 400, error_body(400, error.reason), None))
        self._is_left = True
        self._lines.clear()
        self._cancel_jobs()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        asyncio.get_running_loop().call_later(LEAVE_S, self._transport.abort)

    def lose(self) -> None:
        self._lines.clear()
        self._cancel_jobs()
        self._lost.set()

    def _cancel_jobs(self) -> None:
        for handle in [*self._jobs.values()]:
            handle.cancel()

    def _write(self, data: bytes) -> None:
        if not (self._is_left or self._transport.is_closing()):
            self._transport.write(data)

    def _take_line(self, one: Line) -> None:
        if one.word == "cancel":
            self._engine.sent.cancel(self._sent_as(one.number))
        elif one.word == "prepare":
            # What is wrong with it is said when it is to begin.
            with contextlib.suppress(SchemaError):
                self._held = one.body, None
                self._held = one.body, self._read(one.body)
        elif one.word != "job":
            raise LineError(f"line {self._reader.count} begins with an unknown word")
        elif one.number == 0 or one.number in self._jobs:
            said = "the number must be at least 1, and not that of an open job"
            raise LineError(f"job {one.number}: {said}")
        elif not (one.body or self._held):
            raise LineError(f"job {one.number}: it is empty, and none was sent ahead")
        else:
            self._begin(one)

    def _read(self, body: bytes) -> InfillJob:
        return decode_job(parse_json(body), strict=self._is_strict)

    def _begin(self, one: Line) -> None:
        number, body, job = one.number, one.body, None
        if not body and self._held is not None:
            (body, job), self._held = self._held, None
        try:
            job = job or self._read(body)
            sent_as = self._sent_as(number)
            handle = submit_job(self._engine, job, self._client, self._account, sent_as)
        except Exception as error:
            status, reason, retry_after_s = failure_of(error)
            said = error_body(status, reason)
            self._write(refused(number, status, said, retry_after_s))
            return

        def tell(draft: Draft) -> None:
            if self._transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
                return
            data = draft_json(draft)
            if data is not None:
                self._write(line("draft", number, data))

        def end(result: JobResult) -> None:
            self._jobs.pop(number, None)
            self._write(line("infill", number, result_json(result)))

        self._jobs[number] = handle
        self._write(line("accepted", number))
        if self._alive is None:
            self._stay_alive()
        handle.follow(tell, end)

    def _stay_alive(self) -> None:
        def show() -> None:
            self._alive = None
            if self._jobs:
                self._write(ALIVE)
                self._stay_alive()

        self._alive = asyncio.get_running_loop().call_later(ALIVE_S, show)

    def _sent_as(self, number: int) -> SentAs:
        return SentAs(self._client.name, self._window, number)
