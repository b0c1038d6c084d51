"""The web server of an engine: uvicorn with limits on connections, and a movable listener."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Protocol

from dg_lsp.service.access.certificate import Certificate
from dg_lsp.service.http.channel import UPGRADE, Taker
from dg_lsp.service.http.connections import Connections, bounds_here
from dg_lsp.service.process.presence import WAITING_CONNECTIONS

KEEP_S = 30
"""Longer than clients keep unused connections, so that they never meet a closed one."""
HEAD_S = 10
"""Until the head of a request is there, from the connection or the first byte on, which is
before a token is asked for."""
UNREAD_S = 30
"""How long a client may leave an answer unread."""
GRACE_S = 2
"""For answers under way at the end; their jobs are cancelled before."""
ACCEPTED_AT_ONCE = 4
"""Connections taken before those that were taken are looked after: asyncio would take all that
wait, which may be more than there are descriptors, though most clients are gone again."""


class Server(Protocol):
    """What runs the application."""

    should_exit: bool

    async def serve(self, sockets: list[socket.socket] | None = None) -> None: ...

    async def move_to(self, listener: socket.socket) -> None:
        """Accept connections there instead; open ones are kept."""
        ...


FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n"
    b"retry-after: 1\r\n\r\n"
)
"""To a client for whom there is no room."""


def make_server(
    app: object,
    on_signal: Callable[[], None],
    certificate: Certificate | None = None,
) -> Server:
    """A uvicorn server that leaves the end to us when a signal comes."""
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    connections = Connections(bounds_here())

    class Connection(H11Protocol):
        """Gives its client only so long for each thing, and gives way where there are many."""

        patience: asyncio.TimerHandle | None = None
        """Ends the connection unless the head of a request is there in time."""
        unread: asyncio.TimerHandle | None = None
        """Ends it unless the client reads on."""
        taker: Taker | None = None
        """Who gets what comes, once the connection is no longer for HTTP."""

        @property
        def is_waiting(self) -> bool:
            return self.cycle is None

        @property
        def is_idle(self) -> bool:
            if self.taker is not None:
                return self.taker.is_idle
            return self.cycle is None or self.cycle.response_complete

        def drop(self) -> None:
            self.transport.abort()

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            # A Unix socket has no address.
            if not connections.admit(self, self.client[0] if self.client else ""):
                transport.write(FULL)
                transport.close()
            self.patience = self.loop.call_later(HEAD_S, self.drop)
            inner = self.app

            async def offer_upgrade(scope: Any, receive: Any, send: Any) -> None:
                await inner({**scope, "extensions": {UPGRADE: self.upgrade}}, receive, send)

            self.app = offer_upgrade

        def upgrade(self, taker: Taker, head: bytes) -> asyncio.Transport:
            """What comes from now on is no HTTP any more."""
            self.taker = taker
            self.transport.write(head)
            self.flow.resume_reading()
            early, _ = self.conn.trailing_data
            if early:
                self.loop.call_soon(taker.take, early)
            return self.transport

        def _should_upgrade(self) -> bool:
            # To a web socket, of which uvicorn would say that it lacks a library.
            return False

        def shutdown(self) -> None:
            if self.taker is None:
                super().shutdown()
            else:
                self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            connections.forget(self)
            for timer in (self.patience, self.unread):
                if timer is not None:
                    timer.cancel()
            if self.taker is not None:
                self.taker.lose()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.taker is not None:
                self.taker.take(data)
                return
            super().data_received(data)
            self.watch_head()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self.watch_head()

        def watch_head(self) -> None:
            """The time for a head runs while one has begun, however slowly it comes."""
            if not self.is_idle:
                if self.patience is not None:
                    self.patience.cancel()
                self.patience = None
            elif self.patience is None and self.conn.trailing_data[0]:
                self.patience = self.loop.call_later(HEAD_S, self.drop)

        def pause_writing(self) -> None:
            super().pause_writing()
            self.unread = self.loop.call_later(UNREAD_S, self.drop)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self.unread is not None:
                self.unread.cancel()

    class Uvicorn(uvicorn.Server):
        def handle_exit(self, sig: int, frame: object) -> None:
            on_signal()

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            def connection() -> asyncio.Protocol:
                return Connection(self.config, self.server_state, self.lifespan.state)

            loop, tls = asyncio.get_running_loop(), self.config.ssl
            self.servers = [
                await loop.create_server(
                    connection,
                    sock=listener,
                    backlog=ACCEPTED_AT_ONCE,
                    ssl=tls,
                    ssl_handshake_timeout=HEAD_S if tls else None,
                )
                for listener in sockets or ()
            ]
            # The backlog above is meant for accepting; the kernel may hold more.
            for listener in sockets or ():
                listener.listen(WAITING_CONNECTIONS)
            self.started = True

        async def move_to(self, listener: socket.socket) -> None:
            for server in self.servers:
                server.close()
            await self.startup([listener])

    return Uvicorn(
        uvicorn.Config(
            app,  # type: ignore[arg-type]
            http=Connection,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_S,
            timeout_graceful_shutdown=GRACE_S,
            ssl_certfile=certificate.certificate if certificate else None,
            ssl_keyfile=certificate.key if certificate else None,
            ssl_ciphers=None,
        )
    )
