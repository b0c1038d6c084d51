"""HTTP/1.1 requests to one engine, over asyncio streams and h11.

A request over a Unix socket that is cancelled, at any point, closes its connection immediately,
so a front end has as many descriptors as open requests. This is why httpx is not used: its pool
(httpcore 1.0.9) keeps a connection forever if its request was cancelled between connecting and
sending, and anyio resolves the connection's future after it was cancelled.

Over TCP, a connection is worth keeping, because the next one would take several round trips:
one that was begun is completed, and the rest of an unwanted answer is read for a moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import h11

from dg_lsp import __version__
from dg_lsp.service.address import Address
from dg_lsp.service.client.tls import check_fingerprint, connecting_failed, tls_context

CONNECT_S = 2.0
ANSWER_S = 5.0
"""For requests that need no model."""
WHOLE_ANSWER_S = 15.0
"""For the whole answer to such a request, however steadily it trickles in."""
KEEP_S = 5.0
"""Unused connections are closed before the server does it (`server.KEEP_S`)."""
KEEP_TCP_S = 25.0
MOST_KEPT = 4
"""Maximum number of unused connections; more occur only when many documents end at once."""
READ_BYTES = 65536
MAX_BODY_BYTES = 32 * 1024 * 1024
FINISH_S = 2.0
"""How long the rest of an unwanted answer is read; its job has been cancelled."""
BACKLOG_S = 0.01
"""Delay before connecting again to a Unix socket that refused because its backlog is full."""


_ENDS = (h11.EndOfMessage, h11.ConnectionClosed)


class SilenceError(Exception):
    """The other side has sent nothing for too long."""


class BrokenOffError(Exception):
    """The connection ended, or the data is not HTTP."""

    def __init__(self, message: str, *, is_answered: bool) -> None:
        super().__init__(message)
        self.is_answered = is_answered
        """Whether the head of an answer had arrived."""


@dataclass(frozen=True, slots=True)
class Response:
    """The head of an answer, and its body as it arrives."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    read_piece: Callable[[], Awaitable[bytes]]
    """Waits for the next piece of the body; empty at the end."""

    async def read(self) -> bytes:
        """The whole body, which must not be longer than any answer of an engine."""
        body = bytearray()
        while piece := await self.read_piece():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise BrokenOffError("the answer is too long", is_answered=True)
        return bytes(body)


class HttpClient:
    """Sends requests to one address and keeps a few connections for the next ones."""

    def __init__(self, address: Address, *, keeps_cancelled: bool = True) -> None:
        """`keeps_cancelled`: whether a connection over TCP outlives a cancelled request, which
        it must not if that is how the other side learns of it."""
        self._address = address
        parts = urlsplit(address.url)
        self._is_tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._is_tls else 80)
        self._path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=")
        self.headers = {
            "host": parts.netloc.encode("idna").decode(),
            "user-agent": f"dg-lsp/{__version__}",
            "content-type": "application/json",
        }
        if address.token is not None:
            self.headers["authorization"] = f"Bearer {address.token}"
        self._tls: ssl.SSLContext | None = None
        self._is_tcp = address.socket is None
        self._keeps_cancelled = self._is_tcp and keeps_cancelled
        self._keep_s = KEEP_TCP_S if self._is_tcp else KEEP_S
        self._kept: dict[_Connection, asyncio.TimerHandle] = {}
        self._asked: dict[object, float] = {}
        """When each open request was made, by the event loop's clock."""
        self._heard = 0.0
        self._opening: set[asyncio.Task[_Connection]] = set()
        """Connections for requests that were cancelled in the meantime."""
        self._finishing: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def silent_s(self) -> float:
        """How long nothing has come from the other side although it was asked."""
        if not self._asked:
            return 0.0
        since = max(self._heard, min(self._asked.values()))
        return asyncio.get_running_loop().time() - since

    @contextlib.asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        silence_s: float,
        on_connected: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[Response]:
        """Send a request; its answer may be read as long as the context is open.

        `silence_s` is the longest time without a byte from the other side. `on_connected` is
        called before anything is sent.
        """
        sent = h11.Request(
            method=method,
            target=self._path + path,
            headers=[
                *{**self.headers, **(headers or {})}.items(),
                ("content-length", str(len(body))),
            ],
        )
        asked = object()
        self._asked[asked] = asyncio.get_running_loop().time()
        try:
            async with self._answer(sent, body, silence_s, on_connected) as response:
                yield response
        finally:
            del self._asked[asked]

    @contextlib.asynccontextmanager
    async def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Response]:
        """A request that needs no model; `SilenceError` if its answer is not whole soon."""
        try:
            async with (
                asyncio.timeout(WHOLE_ANSWER_S),
                self.request(method, path, body, headers, silence_s=ANSWER_S) as response,
            ):
                yield response
        except TimeoutError as error:
            raise SilenceError from error

    @contextlib.asynccontextmanager
    async def _answer(
        self, sent: h11.Request, body: bytes, silence_s: float, on_connected: Callable[[], None]
    ) -> AsyncIterator[Response]:
        connection = self._take_kept() or await self._opened()
        on_connected()
        try:
            try:
                response = await connection.ask(sent, body, silence_s)
            except BrokenOffError as error:
                if not connection.is_used or error.is_answered:
                    raise
                # The server had closed it while nobody used it.
                connection.abort()
                connection = await self._opened()
                response = await connection.ask(sent, body, silence_s)
            yield response
        except SilenceError:
            # The others lead to the same place.
            for kept in [*self._kept]:
                self._drop(kept)
            connection.abort()
            raise
        except BrokenOffError:
            connection.abort()
            raise
        finally:
            if self._may_finish(connection):
                self._finish_later(connection)
            else:
                self._keep(connection)

    def close(self) -> None:
        """Close unused connections; running requests close theirs when they end."""
        self._is_closed = True
        for task in (*self._opening, *self._finishing):
            task.cancel()
        for connection in [*self._kept]:
            self._drop(connection)

    def _take_kept(self) -> _Connection | None:
        while self._kept:
            connection, timer = self._kept.popitem()
            timer.cancel()
            # While the machine sleeps, the loop's clock stands still, but not the server's.
            slept = time.time() - connection.kept_at > self._keep_s
            if not connection.is_over and not slept:
                return connection
            connection.abort()
        return None

    def _keep(self, connection: _Connection) -> None:
        """For the next request, if it can be used for one."""
        if not connection.start_next() or self._is_closed:
            connection.abort()
            return
        if len(self._kept) >= MOST_KEPT:
            self._drop(next(iter(self._kept)))
        connection.kept_at = time.time()
        loop = asyncio.get_running_loop()
        self._kept[connection] = loop.call_later(self._keep_s, self._drop, connection)

    def _may_finish(self, connection: _Connection) -> bool:
        """Whether it pays to read the rest of an answer that nobody wants any more."""
        has_room = len(self._finishing) < MOST_KEPT and not self._is_closed
        return self._keeps_cancelled and has_room and connection.is_answering

    def _finish_later(self, connection: _Connection) -> None:
        async def finish() -> None:
            try:
                async with asyncio.timeout(FINISH_S):
                    await connection.read_rest()
                self._keep(connection)
            except (TimeoutError, BrokenOffError):
                connection.abort()

        def end(task: asyncio.Task[None]) -> None:
            self._finishing.discard(task)
            # Also before it has begun.
            if task.cancelled():
                connection.abort()

        task = asyncio.create_task(finish())
        self._finishing.add(task)
        task.add_done_callback(end)

    def _drop(self, connection: _Connection) -> None:
        self._kept.pop(connection).cancel()
        connection.abort()

    async def _opened(self) -> _Connection:
        """A new connection. One to TCP is completed even if its request is cancelled."""
        if not self._is_tcp:
            return await self._connect()
        if self._opening:
            opening = self._opening.pop()
        else:
            opening = asyncio.create_task(self._connect())
            opening.add_done_callback(self._is_opened)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            self._opening.add(opening)
            if opening.done():
                self._is_opened(opening)
            raise

    def _is_opened(self, opening: asyncio.Task[_Connection]) -> None:
        """Keep a connection that nobody waits for any more."""
        if opening in self._opening:
            self._opening.discard(opening)
            if not opening.cancelled() and opening.exception() is None:
                self._keep(opening.result())

    async def _connect(self) -> _Connection:
        try:
            async with asyncio.timeout(CONNECT_S):
                if self._address.socket is not None:
                    unix = await connect_unix(str(self._address.socket))
                    return self._new(*await asyncio.open_unix_connection(sock=unix))
                if self._is_tls and self._tls is None:
                    self._tls = await asyncio.to_thread(tls_context, self._address.fingerprint)
                reader, writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._tls
                )
        except (OSError, UnicodeError) as error:
            raise connecting_failed(error, self._address) from error
        if self._address.fingerprint:
            check_fingerprint(writer, self._address)
        return self._new(reader, writer)

    def _new(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Connection:
        def hear() -> None:
            self._heard = asyncio.get_running_loop().time()

        return _Connection(reader, writer, hear)


class _Connection:
    """One connection, and the state of its message exchange."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_bytes: Callable[[], None],
    ) -> None:
        self._reader, self._writer, self._on_bytes = reader, writer, on_bytes
        self._http = h11.Connection(h11.CLIENT)
        self.is_used = False
        """Whether an answer was read to its end here."""
        self.kept_at = 0.0
        """When it was put aside for the next request, in seconds since the epoch."""

    @property
    def is_over(self) -> bool:
        """Whether the other side has closed it."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def ask(self, request: h11.Request, body: bytes, silence_s: float) -> Response:
        """Send a request and wait for the head of its answer."""
        # In one piece: the other side wakes up once.
        parts = (request, h11.Data(data=body), h11.EndOfMessage())
        self._writer.write(b"".join(self._http.send(part) or b"" for part in parts))
        try:
            async with asyncio.timeout(silence_s):
                await self._writer.drain()
        except TimeoutError as error:
            raise SilenceError from error
        except OSError:
            # The server may have refused before reading everything; the answer says so.
            pass
        while True:
            event = await self._next(silence_s, is_answered=False)
            if isinstance(event, h11.Response):
                break
            if not isinstance(event, h11.InformationalResponse):
                raise BrokenOffError("it closed the connection", is_answered=False)
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers
        }
        return Response(event.status_code, headers, lambda: self._read_piece(silence_s))

    async def _read_piece(self, silence_s: float) -> bytes:
        event = await self._next(silence_s, is_answered=True)
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def _next(self, silence_s: float, *, is_answered: bool) -> object:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                async with asyncio.timeout(silence_s):
                    piece = await self._reader.read(READ_BYTES)
                self._on_bytes()
                self._http.receive_data(piece)
        except TimeoutError as error:
            raise SilenceError from error
        except (OSError, h11.RemoteProtocolError) as error:
            raise BrokenOffError(str(error), is_answered=is_answered) from error
        return event

    @property
    def is_answering(self) -> bool:
        """Whether a request was sent whose answer has not been read to its end."""
        return (
            not self.is_over
            and self._http.our_state is h11.DONE
            and self._http.their_state
            in (
                h11.SEND_RESPONSE,
                h11.SEND_BODY,
            )
        )

    async def read_rest(self) -> None:
        """Read the rest of an answer that nobody wants any more."""
        while not isinstance(await self._next(FINISH_S, is_answered=True), _ENDS):
            pass

    def start_next(self) -> bool:
        """Prepare for the next request; false if the connection cannot be reused."""
        if self._http.our_state is self._http.their_state is h11.IDLE:
            return True
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        self.is_used = True
        return True

    def abort(self) -> None:
        """Close it immediately; unsent data is no longer needed."""
        self._writer.transport.abort()


async def connect_unix(path: str) -> socket.socket:
    """Connect to a Unix socket, which succeeds or fails immediately."""
    with contextlib.ExitStack() as closing:
        unix = closing.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        unix.setblocking(False)
        while True:
            try:
                unix.connect(path)
                break
            except BlockingIOError:
                await asyncio.sleep(BACKLOG_S)
        closing.pop_all()
    return unix
