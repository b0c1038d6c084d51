"""A job channel on the front end's side: all its jobs over one connection to a local engine.

A job is written where it is submitted and its end is told where its bytes arrive, without a
task, so that a keystroke does not wait for the event loop. Each job either ends or fails, and
the caller decides what becomes of one that failed. It belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import h11

from dg_lsp import __version__
from dg_lsp.fed_job import FedJob
from dg_lsp.reason import ReasonCode
from dg_lsp.service.address import Address
from dg_lsp.service.client.connection import (
    CONNECT_S,
    BrokenOffError,
    SilenceError,
    connect_unix,
)
from dg_lsp.service.client.patience import BEGIN_S, GRACE_S, HEAD_S, longest_s
from dg_lsp.service.client.refusals import (
    LOST,
    ChannelRefusedError,
    EngineError,
    UnreachableError,
    refusal_of,
    unreadable,
)
from dg_lsp.service.client.tls import connecting_failed
from dg_lsp.service.fields import SchemaError, parse_json
from dg_lsp.service.lines import (
    LONGEST_LINE_BYTES,
    PATH,
    PROTOCOL,
    Line,
    LineError,
    LineReader,
    line,
)
from dg_lsp.service.schema import VERSION_HEADER, decode_draft, decode_result

log = logging.getLogger(__name__)

OnFailure = Callable[[FedJob, EngineError], None]
SILENT = "the engine does not answer in time"


@dataclass(slots=True)
class _Sent:
    """A job that the engine has not ended yet."""

    handle: FedJob
    asked: float
    """When, by the event loop's clock."""
    timer: asyncio.TimerHandle
    """Gives the job up."""
    is_accepted: bool = False
    has_begun: bool = False


class JobChannel(asyncio.Protocol):
    """Open from `open_channel` until the connection is lost."""

    def __init__(self, silence_s: float, on_failure: OnFailure) -> None:
        """`on_failure` is told of each job that ends without a result."""
        self._loop = asyncio.get_running_loop()
        self._silence_s, self._on_failure = silence_s, on_failure
        self._http = h11.Connection(h11.CLIENT)
        self._reader: LineReader | None = None
        self._upgraded: asyncio.Future[bool] = self._loop.create_future()
        self._sent: dict[int, _Sent] = {}
        self._heard = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._is_strict = True
        self._refusal: ChannelRefusedError | None = None
        self._is_retired = False
        self.version = __version__
        """Of the engine's dg-lsp."""

    @property
    def is_open(self) -> bool:
        return (
            self._reader is not None
            and self._transport is not None
            and not self._transport.is_closing()
        )

    @property
    def is_refused(self) -> bool:
        """Whether the engine said that it cannot read what goes over it."""
        return self._refusal is not None

    @property
    def silent_s(self) -> float:
        """How long nothing has come although there are open jobs."""
        if not self._sent:
            return 0.0
        return self._loop.time() - self._silent_since()

    async def upgrade(self, headers: Mapping[str, str]) -> bool:
        """Ask for the channel; false if the other side speaks only HTTP."""
        assert self._transport is not None
        asking = {**headers, "connection": "upgrade", "upgrade": PROTOCOL}
        request = h11.Request(method="GET", target=PATH, headers=[*asking.items()])
        for event in (request, h11.EndOfMessage()):
            self._transport.write(self._http.send(event) or b"")
        try:
            async with asyncio.timeout(min(HEAD_S, self._silence_s)):
                return await self._upgraded
        except TimeoutError as error:
            raise SilenceError from error

    def prepare(self, body: bytes) -> None:
        """Have the engine hold a job, until the next one that it is to hold."""
        self._write(line("prepare", 0, body))

    def send(self, handle: FedJob, number: int, body: bytes) -> None:
        """Send a job, `body` as JSON; empty for the one that the engine holds."""
        timer = self._loop.call_later(HEAD_S, self._give_up, number)
        self._sent[number] = _Sent(handle, self._loop.time(), timer)
        self._write(line("job", number, body))
        if self._watch is None:
            self._watch = self._loop.call_later(self._silence_s, self._look)

    def forget(self, number: int) -> None:
        """A job has ended; if the engine does not know that yet, it is told."""
        if number in self._sent:
            self._write(line("cancel", number))
            self._over(number)

    def retire(self) -> None:
        """Close the connection as soon as no job is open."""
        self._is_retired = True
        if not self._sent:
            self.close()

    def close(self) -> None:
        """Close the connection once what was written has gone out."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        if self._reader is None:
            data = self._read_head(data)
        if self._reader is None:
            return
        try:
            for text in self._reader.feed(data):
                self._take(self._reader.parse(text))
        except LineError:
            self._abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if not self._upgraded.done():
            self._upgraded.set_exception(BrokenOffError(LOST, is_answered=False))
        for number, sent in [*self._sent.items()]:
            # Before it was accepted, another engine may take over the job.
            kind = EngineError if sent.is_accepted else UnreachableError
            self._fail(number, self._refusal or kind(LOST, ReasonCode.ENGINE_LOST))

    def _read_head(self, data: bytes) -> bytes:
        """Read the answer to the upgrade; returns what follows it."""
        self._http.receive_data(data)
        try:
            event = self._http.next_event()
        except h11.RemoteProtocolError:
            event = None
        if event is h11.NEED_DATA or self._upgraded.done():
            return b""
        is_upgraded = isinstance(event, h11.InformationalResponse) and event.status_code == 101
        if isinstance(event, h11.InformationalResponse) and is_upgraded:
            found = dict(event.headers).get(VERSION_HEADER.encode(), __version__.encode())
            self.version = found.decode("latin-1")
            self._is_strict = self.version == __version__
            self._reader = LineReader(LONGEST_LINE_BYTES)
        self._upgraded.set_result(is_upgraded)
        if not is_upgraded:
            self._abort()
        return self._http.trailing_data[0]

    def _take(self, one: Line) -> None:
        if (one.word, one.number) == ("refused", 0):
            self._take_refusal(one)
            return
        sent = self._sent.get(one.number)
        # Of a job that was cancelled, something may still come.
        if sent is None:
            return
        try:
            self._take_for(sent, one)
        except SchemaError as error:
            self._give_up(one.number, unreadable(error))

    def _take_for(self, sent: _Sent, one: Line) -> None:
        deadline_s = longest_s(sent.handle.job)
        match one.word:
            case "accepted":
                sent.is_accepted = True
                self._expect(sent, one.number, BEGIN_S + deadline_s)
            case "draft":
                draft = decode_draft(parse_json(one.body), strict=self._is_strict)
                if not sent.has_begun:
                    self._expect(sent, one.number, deadline_s + GRACE_S)
                sent.has_begun = True
                sent.handle.publish(draft)
            case "infill":
                result = decode_result(parse_json(one.body), strict=self._is_strict)
                self._over(one.number)
                sent.handle.end(result)
            case "refused":
                self._fail(one.number, _refusal_in(one))

    def _take_refusal(self, one: Line) -> None:
        """The engine cannot read what was sent, so jobs go to it in another way."""
        try:
            said = _refusal_in(one)
        except SchemaError as error:
            said = unreadable(error)
        self._refusal = ChannelRefusedError(said.reason.message, said.code)
        log.warning("the engine ended the job channel; each job is a request now: %s", said)
        self._abort()

    def _expect(self, sent: _Sent, number: int, seconds: float) -> None:
        sent.timer.cancel()
        sent.timer = self._loop.call_later(seconds, self._give_up, number)

    def _give_up(self, number: int, error: EngineError | None = None) -> None:
        if number in self._sent:
            self._write(line("cancel", number))
            self._fail(number, error or EngineError(SILENT, ReasonCode.ENGINE_SILENT))

    def _look(self) -> None:
        """Give all jobs up if nothing comes any more."""
        self._watch = None
        if not self._sent:
            return
        left_s = self._silent_since() + self._silence_s - self._loop.time()
        if left_s > 0:
            self._watch = self._loop.call_later(left_s, self._look)
            return
        for number in [*self._sent]:
            self._fail(number, EngineError(SILENT, ReasonCode.ENGINE_SILENT))
        self._abort()

    def _silent_since(self) -> float:
        return max(self._heard, min(sent.asked for sent in self._sent.values()))

    def _over(self, number: int) -> _Sent:
        sent = self._sent.pop(number)
        sent.timer.cancel()
        if self._is_retired and not self._sent:
            self.close()
        return sent

    def _fail(self, number: int, error: EngineError) -> None:
        self._on_failure(self._over(number).handle, error)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _refusal_in(one: Line) -> EngineError:
    said = parse_json(one.body)
    status, after = said.get("status"), said.get("retry_after_s")
    if not isinstance(status, int) or not isinstance(after, int | float | None):
        raise SchemaError("a refusal has a status and perhaps a time")
    return refusal_of(status, said.get("body"), after)


async def open_channel(
    address: Address, headers: Mapping[str, str], silence_s: float, on_failure: OnFailure
) -> JobChannel | None:
    """A channel to the engine at a Unix socket; `None` if it speaks only HTTP.

    Raises `NobodyAnswersError`, `SilenceError` and `BrokenOffError`.
    """
    channel = JobChannel(silence_s, on_failure)
    try:
        async with asyncio.timeout(CONNECT_S):
            unix = await connect_unix(str(address.socket))
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: channel, sock=unix)
    except OSError as error:
        raise connecting_failed(error, address) from error
    try:
        return channel if await channel.upgrade(headers) else None
    except BaseException:
        channel.close()
        raise
