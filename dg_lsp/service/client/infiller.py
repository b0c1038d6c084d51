"""`HttpInfiller`: an engine behind a socket, with the interface of one in this process.

Whatever happens to the engine, every job ends; if the engine failed, with an empty infill and
the reason. It belongs to one event loop. `reconnect` starts an engine when needed. An engine on
this machine gets all jobs over one connection (channels.py); elsewhere, each job is an HTTP
request.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dg_lsp import __version__
from dg_lsp.fed_job import FedJob
from dg_lsp.job import InfillJob
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.service.address import Address
from dg_lsp.service.client.answers import patiently, read_job, refuse_errors
from dg_lsp.service.client.channel import JobChannel
from dg_lsp.service.client.channels import Channels
from dg_lsp.service.client.connection import BrokenOffError, HttpClient, SilenceError
from dg_lsp.service.client.contact import Contact
from dg_lsp.service.client.patience import SILENCE_S
from dg_lsp.service.client.refusals import (
    LOST,
    ChannelRefusedError,
    EngineError,
    RetryLaterError,
    UnreachableError,
)
from dg_lsp.service.client.shared import Shared
from dg_lsp.service.client.tls import NobodyAnswersError
from dg_lsp.service.fields import Json, SchemaError, dump_json, parse_json
from dg_lsp.service.lines import LONGEST_JOB_BYTES
from dg_lsp.service.schema import (
    CLIENT_HEADER,
    SCHEMA_VERSION,
    SEQUENCE_HEADER,
    VERSION_HEADER,
    EngineStatus,
    decode_status,
    encode_job,
)

LOADING_POLL_S = 0.2


@dataclass(slots=True)
class _OpenJob:
    """What belongs to a job until it ends."""

    sequence: int
    task: asyncio.Task[None] | None = None
    """Sends it, unless it could be sent at once."""
    channel: JobChannel | None = None
    """Over which it was sent last, if over any."""
    is_sent: bool = False
    """Whether the engine may have read it, in a request of its own."""
    is_again: bool = False
    """Whether it is for another engine, after the one it was meant for was not there."""

    def send_over(self, channel: JobChannel, handle: FedJob, body: bytes) -> None:
        self.channel = channel
        channel.send(handle, self.sequence, body)


class HttpInfiller:
    """An `Infiller` whose engine is another process, on this machine or elsewhere."""

    def __init__(
        self,
        address: Address,
        *,
        reconnect: Callable[[], Awaitable[Address]] | None = None,
        silence_s: float = SILENCE_S,
        why_lost: Callable[[], str] = lambda: "",
    ) -> None:
        """`reconnect` finds or starts an engine when none of our version answers there, and
        `why_lost` tells why it ended, if that is known."""
        self._why_lost = why_lost
        self._reconnect, self._silence_s = reconnect, silence_s
        self._name = uuid.uuid4().hex
        self._go_to(address)
        self._moving = Shared(self._move)
        self._prepared: tuple[InfillJob, JobChannel] | None = None
        """The job that the engine holds, and over which channel it was sent."""
        self._sequence = 0
        self._jobs: dict[FedJob, _OpenJob] = {}
        self._refused: Reason | None = None
        self._refused_until = 0.0
        """Until when the engine has said that it takes nothing from us."""
        self._tasks: set[asyncio.Task[None]] = set()
        """Tasks of open jobs, and those that still read the end of an answer."""
        self._contact = Contact()
        self._closed = False

    @property
    def address(self) -> Address:
        """The current or last address of the engine."""
        return self._address

    @property
    def silent_s(self) -> float:
        """How long nothing has come from the engine although it was asked."""
        return max(self._http.silent_s, self._channels.silent_s)

    @property
    def unanswered_s(self) -> float:
        """How long the engine has not answered whether it is there; 0 once it has."""
        return self._contact.unanswered_s

    def submit(self, job: InfillJob) -> FedJob:
        """Send a job; the engine supersedes an older one on the same document."""
        if self._closed:
            raise RuntimeError("the engine is closed")
        handle = FedJob(job, self._job_ended)
        self._sequence += 1
        own = self._jobs[handle] = _OpenJob(self._sequence)
        if not self._send_now(handle, own):
            self._start(handle, own)
        return handle

    def prepare(self, job: InfillJob) -> None:
        """Send a job ahead, if that can be done at once (`PreparingInfiller`)."""
        channel = self._channels.open
        if channel is None or self._is_refused:
            return
        # What is wrong with a job is said when it is submitted.
        with contextlib.suppress(Exception):
            body = dump_json(encode_job(job))
            if len(body) <= LONGEST_JOB_BYTES:
                channel.prepare(body)
                self._prepared = job, channel

    async def close(self) -> None:
        """Cancel open jobs and disconnect; the engine keeps running for others."""
        self._closed = True
        for handle in [*self._jobs]:
            handle.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._moving.cancel()
        await self._channels.cancel()
        self._disconnect()

    async def reconnect(self) -> None:
        """Find or start an engine now. `EngineError` says why there is none."""
        if self._reconnect is not None:
            await self._moving.wait()

    async def status(self) -> EngineStatus:
        """The engine's status. Raises `EngineError` if it does not answer."""
        try:
            return decode_status(await self._ask("GET", "/v1/status", None))
        except SchemaError as error:
            raise EngineError(f"{self._address} is no dg-lsp engine: {error}") from error

    async def wait_ready(
        self, tell: Callable[[EngineStatus], None] = lambda status: None
    ) -> EngineStatus:
        """Wait until the model is loaded, and report the progress.

        `EngineError` where that cannot be.
        """
        await self.reconnect()
        if self._reconnect is None:
            self._contact.wait()
        try:
            status = await self.status()
        finally:
            self._contact.over()
        if SCHEMA_VERSION not in status.schema_versions:
            raise EngineError(
                f"the engine at {self._address} is of dg-lsp {status.version}, which does not "
                f"speak with {__version__}; install the same version on both sides",
                ReasonCode.VERSION_MISMATCH,
            )
        if status.state != "ready":
            await self.load()
            while (status := await self.status()).state in ("loading", "unloaded"):
                tell(status)
                await asyncio.sleep(LOADING_POLL_S)
        if status.state != "ready":
            failure = status.error or Reason(
                ReasonCode.LOAD_FAILED, "the model cannot be loaded"
            )
            raise EngineError(failure.message, failure.code)
        return status

    async def load(self) -> None:
        """Make the engine load its model, again if that failed; does not wait."""
        await self._ask("POST", "/v1/load", {})

    async def unload(self) -> None:
        """Make the engine unload its model."""
        await self._ask("POST", "/v1/unload", {})

    async def shutdown(self) -> None:
        """Stop the engine process, for every client."""
        await self._ask("POST", "/v1/shutdown", {})

    def _send_now(self, handle: FedJob, own: _OpenJob) -> bool:
        """Send a job over the open channel, if there is one and nothing is in the way."""
        channel = self._channels.open
        if channel is None or self._is_refused:
            return False
        prepared, self._prepared = self._prepared, None
        if prepared is not None and prepared[0] is handle.job and prepared[1] is channel:
            own.send_over(channel, handle, b"")
            return True
        # What is wrong with a job, its task says.
        with contextlib.suppress(Exception):
            body = dump_json(encode_job(handle.job))
            if len(body) <= LONGEST_JOB_BYTES:
                own.send_over(channel, handle, body)
                return True
        return False

    def _start(self, handle: FedJob, own: _OpenJob, failed: EngineError | None = None) -> None:
        """Send a job in a task, or see what becomes of one that failed."""
        task = own.task = asyncio.create_task(self._run(handle, own, failed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _channel_failed(self, handle: FedJob, error: EngineError) -> None:
        if handle in self._jobs:
            self._start(handle, self._jobs[handle], error)

    @property
    def _is_refused(self) -> bool:
        return self._refused is not None and time.monotonic() < self._refused_until

    async def _run(self, handle: FedJob, own: _OpenJob, failed: EngineError | None) -> None:
        if self._is_refused and self._refused is not None and failed is None:
            handle.fail(self._refused)
            return
        try:
            try:
                # What the engine cannot read of a channel, it may read as a request.
                if failed is not None and not isinstance(failed, ChannelRefusedError):
                    raise failed
                await self._send(handle, own)
            except RetryLaterError as error:
                self._refused = error.reason
                self._refused_until = time.monotonic() + error.retry_after_s
                raise
            except UnreachableError:
                if self._reconnect is None or own.is_again:
                    raise
                own.is_again = True
                await self._moving.wait()
                await self._send(handle, own)
        except EngineError as error:
            lost = self._why_lost() if error.code is ReasonCode.ENGINE_LOST else ""
            handle.fail(Reason(error.code, lost) if lost else error.reason)
        except Exception as error:
            said = f"the engine's answer cannot be used: {type(error).__name__}: {error}"
            handle.fail(Reason(ReasonCode.BAD_ANSWER, said))

    async def _send(self, handle: FedJob, own: _OpenJob) -> None:
        """Send a job and, where it takes a request of its own, follow it to its end."""
        body = dump_json(encode_job(handle.job))
        headers = {
            CLIENT_HEADER: self._name,
            SEQUENCE_HEADER: str(own.sequence),
            VERSION_HEADER: __version__,
        }

        def note() -> None:
            own.is_sent = True

        try:
            if len(body) <= LONGEST_JOB_BYTES:
                channel = await self._channels.connect()
                if channel is not None:
                    own.send_over(channel, handle, body)
                    return
            async with (
                patiently() as time_left,
                self._http.request(
                    "POST",
                    "/v1/infill",
                    body,
                    headers,
                    silence_s=self._silence_s,
                    on_connected=note,
                ) as response,
            ):
                self._check_version(response.headers.get(VERSION_HEADER, __version__))
                await refuse_errors(response)
                await read_job(handle, response, time_left)
        except NobodyAnswersError as error:
            raise _not_connected(error) from error
        except SilenceError as error:
            raise EngineError(
                f"the engine at {self._address} does not answer in time",
                ReasonCode.ENGINE_SILENT,
            ) from error
        except BrokenOffError as error:
            # Before the answer began, another engine may take over the job.
            kind = EngineError if error.is_answered else UnreachableError
            raise kind(LOST, ReasonCode.ENGINE_LOST) from error

    def _check_version(self, found: str) -> None:
        """Check the version: another engine may have replaced the one started for us."""
        if self._reconnect is not None and found != __version__:
            raise UnreachableError(
                f"the engine is of dg-lsp {found}, and this is {__version__}",
                ReasonCode.VERSION_MISMATCH,
            )

    async def _move(self) -> None:
        """Find or start an engine."""
        assert self._reconnect is not None
        address = await self._reconnect()
        if address != self._address:
            self._disconnect()
            self._go_to(address)
        self._channels.allow()

    def _go_to(self, address: Address) -> None:
        self._address, self._http = address, HttpClient(address)
        headers = {
            **self._http.headers,
            CLIENT_HEADER: self._name,
            VERSION_HEADER: __version__,
        }
        self._channels = Channels(
            address, headers, self._silence_s, self._check_version, self._channel_failed
        )

    def _disconnect(self) -> None:
        self._http.close()
        self._channels.close()

    async def _ask(self, method: str, path: str, body: Json | None) -> Json:
        content = b"" if body is None else dump_json(body)
        try:
            async with self._http.ask(method, path, content) as response:
                await refuse_errors(response)
                return parse_json(await response.read())
        except NobodyAnswersError as error:
            raise _not_connected(error) from error
        except SilenceError as error:
            way_out = "" if self._address.socket is None else "; `dg-lsp engine stop` ends it"
            raise EngineError(
                f"the engine at {self._address} does not answer in time{way_out}",
                ReasonCode.ENGINE_SILENT,
            ) from error
        except BrokenOffError as error:
            # Before the answer began, it was about to end, and there may be another.
            kind = EngineError if error.is_answered else UnreachableError
            way_out = ""
            is_plain = self._address.socket is None and self._address.url.startswith("http:")
            if is_plain and not error.is_answered:
                way_out = "; if it speaks TLS, its address begins with https://"
            raise kind(
                f"the engine at {self._address} broke off{way_out}", ReasonCode.ENGINE_LOST
            ) from error
        except SchemaError as error:
            raise EngineError(f"{self._address} is no dg-lsp engine: {error}") from error

    def _job_ended(self, handle: FedJob) -> None:
        own = self._jobs.pop(handle)
        if own.channel is not None:
            own.channel.forget(own.sequence)
        if own.task is None or own.task is asyncio.current_task():
            return
        own.task.cancel()
        if own.is_sent and self._address.socket is None and not self._closed:
            telling = asyncio.create_task(self._cancel(own.sequence))
            self._tasks.add(telling)
            telling.add_done_callback(self._tasks.discard)

    async def _cancel(self, sequence: int) -> None:
        """Tell the engine that nobody waits for a job. Over a Unix socket, closing the
        connection says so; over TCP, a connection is worth more than one request."""
        headers = {CLIENT_HEADER: self._name, SEQUENCE_HEADER: str(sequence)}
        # Whatever is wrong, the next job will say so.
        with contextlib.suppress(NobodyAnswersError, SilenceError, BrokenOffError):
            async with self._http.ask("POST", "/v1/cancel", headers=headers) as response:
                await response.read()


def _not_connected(error: NobodyAnswersError) -> EngineError:
    """Nobody is there, or somebody who must not be sent anything."""
    is_absent = error.code in (ReasonCode.NO_ENGINE, ReasonCode.UNREACHABLE)
    return (UnreachableError if is_absent else EngineError)(str(error), error.code)
