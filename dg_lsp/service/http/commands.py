"""Runs what the user's own command line asks for, which then need not import what it takes.

Only an engine on a Unix socket, which nobody but the user can reach, has this endpoint: a
command costs more than a job, and is sent text in which secrets are not masked yet. What it is
sent and what it answers belongs to `cli/served_infill.py` and may change with every version.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dg_lsp import __version__
from dg_lsp.fed_job import FedJob
from dg_lsp.job import Infiller, InfillJob, JobHandle, ModelInfo
from dg_lsp.reason import Reason, ReasonCode, reason_of
from dg_lsp.service.http.request import (
    ClientGoneError,
    Message,
    Receive,
    RequestError,
    read_body,
    unless_gone,
    within_sight,
)
from dg_lsp.service.http.stream import ALIVE_S, Send
from dg_lsp.service.process.host import EngineHost, ModelState
from dg_lsp.service.schema import VERSION_HEADER

if TYPE_CHECKING:
    from starlette.requests import Request

Put = Callable[[bytes], None]
"""Sends a piece of an answer; called on any thread."""
Command = Callable[[bytes, Infiller, ModelInfo, Put], None]
"""Runs in a thread of its own, with what the client sent."""

PATH = "/v1/command"
MOST_COMMANDS = 8
"""At a time, each in a thread; whoever comes then does the work in its own process."""
_HEADERS = [(b"content-type", b"application/octet-stream"), (b"cache-control", b"no-cache")]


class CommandEndpoint:
    """The endpoint, and how many commands are being run."""

    def __init__(self, host: EngineHost, command: Command) -> None:
        self._host, self._command = host, command
        self._running = 0

    async def answer(self, request: Request) -> CommandStream:
        """Run a command; refused unless the engine can begin at once."""
        theirs = request.headers.get(VERSION_HEADER)
        if theirs != __version__:
            raise RequestError(
                409, ReasonCode.VERSION_MISMATCH, f"the engine is of dg-lsp {__version__}"
            )
        body = await read_body(request)
        model = self._host.model
        if self._host.state is not ModelState.READY or model is None:
            raise RequestError(503, ReasonCode.LOADING, "the model is not loaded")
        if self._running >= MOST_COMMANDS:
            raise RequestError(
                429, ReasonCode.BUSY, f"the engine runs {MOST_COMMANDS} commands already"
            )

        def run(jobs: CommandJobs, put: Put) -> None:
            self._command(body, jobs, model, put)

        def count(change: int) -> None:
            self._running += change

        return CommandStream(self._host, run, count)


class CommandStream:
    """A response that a command writes. If the client disconnects, its jobs are cancelled."""

    def __init__(
        self,
        host: EngineHost,
        run: Callable[[CommandJobs, Put], None],
        count: Callable[[int], None],
    ) -> None:
        self._run, self._count = run, count
        self._jobs = CommandJobs(host)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def put(piece: bytes | None) -> None:
            # The loop may be gone at exit; then nobody reads the answer.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        def work() -> None:
            try:
                self._run(self._jobs, put)
            finally:
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._count, -1)
                put(None)

        async def tell() -> None:
            while True:
                # Without news, a line end is a sign of life.
                piece: bytes | None = b"\n"
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ALIVE_S):
                        piece = await pieces.get()
                await send(_body(piece or b"", more=piece is not None))
                if piece is None:
                    return

        self._count(1)
        threading.Thread(target=work, name="dg-lsp command", daemon=True).start()
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await unless_gone(receive, tell())
        except ClientGoneError:
            pass
        finally:
            self._jobs.leave()


class CommandJobs:
    """The `Infiller` of a command: hands jobs from the command's thread to the engine's loop,
    on which it was made."""

    def __init__(self, host: EngineHost) -> None:
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._name = uuid.uuid4().hex
        self._open: dict[FedJob, JobHandle] = {}
        """Jobs as the command knows them, and as the engine does."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_left = False

    def submit(self, job: InfillJob) -> FedJob:
        """Called on the loop of the command's thread."""
        handle = FedJob(job, self._ended)
        self._loop.call_soon_threadsafe(self._start, handle)
        return handle

    async def close(self) -> None:
        """There is nothing to close; the engine lives on."""

    def leave(self) -> None:
        """Nobody waits for the command any more."""
        self._is_left = True
        for handle in [*self._open]:
            handle.cancel()

    def _start(self, handle: FedJob) -> None:
        if self._is_left or not handle.is_open:
            handle.cancel()
            return
        # Neither of two commands that fill the same file supersedes the other.
        document = f":{self._name}:{handle.job.document_key}"
        try:
            inner = self._host.submit(within_sight(replace(handle.job, document=document)))
        except Exception as error:
            handle.fail(reason_of(error, ReasonCode.JOB_FAILED))
            return
        self._open[handle] = inner
        task = asyncio.create_task(self._follow(handle, inner))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, handle: FedJob, inner: JobHandle) -> None:
        try:
            async for draft in inner.drafts():
                handle.publish(draft)
            handle.end(await inner.result())
        except Exception as error:
            handle.fail(Reason(ReasonCode.JOB_FAILED, f"the engine failed: {error}"))
        finally:
            inner.cancel()
            self._open.pop(handle, None)

    def _ended(self, handle: FedJob) -> None:
        """Called on the command's loop, whoever ended it."""

        def end() -> None:
            inner = self._open.pop(handle, None)
            if inner is not None:
                inner.cancel()

        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(end)


def _body(piece: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": piece, "more_body": more}
