"""The web server of an engine: uvicorn with limits on connections, and a movable listener."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

from dg_lsp.service.access.certificate import Certificate
from dg_lsp.service.process.presence import WAITING_CONNECTIONS

KEEP_S = 30
"""Longer than clients keep unused connections, so that they never meet a closed one."""
FIRST_REQUEST_S = 30
"""Until the head of the first request is there, which is before a token is asked for."""
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


def make_server(
    app: object, on_signal: Callable[[], None], certificate: Certificate | None = None
) -> Server:
    """A uvicorn server that leaves the end to us when a signal comes."""
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Connection(H11Protocol):
        """Closes connections that send no request, because descriptors are limited."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.giving_up = self.loop.call_later(FIRST_REQUEST_S, self.give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self.giving_up.cancel()
            super().connection_lost(exc)

        def give_up(self) -> None:
            if self.cycle is None:
                self.transport.abort()

    class Uvicorn(uvicorn.Server):
        def handle_exit(self, sig: int, frame: object) -> None:
            on_signal()

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            # The backlog below is meant for accepting; the kernel may hold more.
            for listener in sockets or ():
                listener.listen(WAITING_CONNECTIONS)

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
            backlog=ACCEPTED_AT_ONCE,
            timeout_keep_alive=KEEP_S,
            timeout_graceful_shutdown=GRACE_S,
            ssl_certfile=certificate.certificate if certificate else None,
            ssl_keyfile=certificate.key if certificate else None,
            ssl_ciphers=None,
        )
    )
