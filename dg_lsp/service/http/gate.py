"""What every request passes first, whatever its path and method: who sends it, and how much.

Nobody who may not send requests learns which paths there are. An answer to a request whose body
was not read waits until the rest has come, within bounds: a connection that is closed while the
client still sends is a reset to the client, who then never sees the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from dg_lsp.service.http.answers import answer_to
from dg_lsp.service.http.request import (
    Access,
    Message,
    Receive,
    RequestError,
    begin_request,
)

Scope = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

DRAIN_S, DRAIN_BYTES = 2.0, 64 * 1024 * 1024
"""How much of a body that nobody reads is waited for."""
CLOSE = (b"connection", b"close")


class Gate:
    """An ASGI application around another one."""

    def __init__(self, app: App, access: Access) -> None:
        self.app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.requests import Request

        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(receive, expects_continue=_expects_continue(scope))
        answer: App = self.app
        is_refused = False
        try:
            begin_request(self._access, Request(scope))
        except Exception as error:
            # Nobody keeps a connection without a right to send requests.
            is_refused = isinstance(error, RequestError)
            answer = answer_to(error)

        async def send_after_body(message: Message) -> None:
            if message["type"] == "http.response.start":
                await body.drain()
                if is_refused or not body.is_over:
                    message = {**message, "headers": [*message.get("headers", ()), CLOSE]}
            await send(message)

        await answer(scope, body.receive, send_after_body)


class _Body:
    """The body of a request, which somebody may have read."""

    def __init__(self, receive: Receive, *, expects_continue: bool) -> None:
        self._receive = receive
        self._is_asked_for = not expects_continue
        self.is_over = False

    async def receive(self) -> Message:
        self._is_asked_for = True
        message = await self._receive()
        is_last = message["type"] != "http.request" or not message.get("more_body", False)
        self.is_over = self.is_over or is_last
        return message

    async def drain(self) -> None:
        """Read the rest, unless the client waits for a sign to send it, which it never gets."""
        if not self._is_asked_for:
            return
        taken = 0
        try:
            async with asyncio.timeout(DRAIN_S):
                while not self.is_over and taken < DRAIN_BYTES:
                    taken += len((await self.receive()).get("body", b""))
        except TimeoutError:
            pass


def _expects_continue(scope: Scope) -> bool:
    return any(
        name == b"expect" and value.lower() == b"100-continue"
        for name, value in scope["headers"]
    )
