"""A job channel on the engine's side: the jobs of one front end over one connection.

The request that asks for it passes the gate like any other. Where a token is needed there is no
channel, because tokens may be revoked, and limits count requests. What a channel saves is the
time of a request: a job is parsed, queued and answered where its bytes arrive, without a task.
"""

from __future__ import annotations

import asyncio
import contextlib
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
HEAD_BYTES = 64
"""Of a line, besides its JSON."""


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
    return JobChannel(engine, request, upgrade)  # type: ignore[return-value]


class JobChannel:
    """An ASGI response that lasts as long as its connection."""

    def __init__(self, engine: ServedEngine, request: Request, upgrade: Upgrade) -> None:
        self._engine, self._upgrade = engine, upgrade
        self._client, self._account = client_of(request), account_of(request)
        self._window = request.headers[CLIENT_HEADER][:64]
        self._is_strict = request.headers.get(VERSION_HEADER, __version__) == __version__
        self._reader = LineReader(LONGEST_JOB_BYTES + HEAD_BYTES)
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
        return not self._jobs

    def take(self, data: bytes) -> None:
        try:
            for one in self._reader.feed(data):
                self._take_line(one)
                if self._transport.get_write_buffer_size() > MOST_UNREAD_ANSWERS_BYTES:
                    raise LineError("the answers are not read")
        except LineError:
            self._transport.abort()

    def lose(self) -> None:
        for handle in [*self._jobs.values()]:
            handle.cancel()
        self._lost.set()

    def _take_line(self, one: Line) -> None:
        if one.word == "cancel":
            self._engine.sent.cancel(self._sent_as(one.number))
        elif one.word == "prepare":
            # What is wrong with it is said when it is to begin.
            with contextlib.suppress(SchemaError):
                self._held = one.body, None
                self._held = one.body, self._read(one.body)
        elif one.word == "job" and one.number not in self._jobs and (one.body or self._held):
            self._begin(one)
        else:
            raise LineError(f"{one.word} {one.number} cannot be answered")

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
            self._transport.write(refused(number, status, said, retry_after_s))
            return

        def tell(draft: Draft) -> None:
            if self._transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
                return
            data = draft_json(draft)
            if data is not None:
                self._transport.write(line("draft", number, data))

        def end(result: JobResult) -> None:
            self._jobs.pop(number, None)
            if not self._transport.is_closing():
                self._transport.write(line("infill", number, result_json(result)))

        self._jobs[number] = handle
        self._transport.write(line("accepted", number))
        if self._alive is None:
            self._stay_alive()
        handle.follow(tell, end)

    def _stay_alive(self) -> None:
        def show() -> None:
            self._alive = None
            if self._jobs and not self._transport.is_closing():
                self._transport.write(ALIVE)
                self._stay_alive()

        self._alive = asyncio.get_running_loop().call_later(ALIVE_S, show)

    def _sent_as(self, number: int) -> SentAs:
        return SentAs(self._client.name, self._window, number)
