"""Common handling of requests: authorization, size limits, and clients that disconnect."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dg_lsp.reason import CodedError, ReasonCode
from dg_lsp.service.address import is_loopback
from dg_lsp.service.fields import Json, parse_json

if TYPE_CHECKING:
    from starlette.requests import Request

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Far more than a window of text with its snippets."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may send requests. Without a token, everybody who can connect."""

    token: str | None = None
    loopback_only: bool = False
    """Refuse requests that a web page could have made the user's browser send."""


class RequestError(CodedError):
    """A request that is answered with a status, a code and one line."""

    def __init__(self, status: int, code: ReasonCode, message: str) -> None:
        super().__init__(message, code)
        self.status = status


class ClientGoneError(Exception):
    """The client disconnected before the answer was ready."""


def check_access(access: Access, request: Request) -> None:
    """Raise `RequestError` if the client is not allowed."""
    if access.token is not None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # Compared as bytes, because non-ASCII strings cannot be compared in constant time.
        right = hmac.compare_digest(given.strip().encode(), access.token.encode())
        if scheme.lower() != "bearer" or not right:
            raise RequestError(401, ReasonCode.TOKEN_REFUSED, "the token is missing or wrong")
    if access.loopback_only and not _is_from_here(request):
        raise RequestError(403, ReasonCode.WEB_PAGE, "requests of web pages are refused")


def _is_from_here(request: Request) -> bool:
    """Browsers send the origin of the page, and the host as the page knows it."""
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        return False
    return "origin" not in request.headers and is_loopback(host or "")


async def read_json(request: Request) -> Json:
    """The body, which must be a JSON object of bounded size."""
    from starlette.requests import ClientDisconnect

    too_large = RequestError(
        413, ReasonCode.TOO_LARGE, f"the body is larger than {MAX_BODY_BYTES} bytes"
    )
    length = request.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and int(length[:18]) > MAX_BODY_BYTES:
        raise too_large
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise too_large
    except ClientDisconnect as error:
        raise ClientGoneError from error
    return parse_json(bytes(body))


async def unless_gone(receive: Receive, work: Awaitable[Any]) -> Any:
    """The result of the work; raises `ClientGoneError` if the client disconnects first."""

    async def leave() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    gone, done = asyncio.ensure_future(leave()), asyncio.ensure_future(work)
    try:
        await asyncio.wait({gone, done}, return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            raise ClientGoneError
        return done.result()
    finally:
        gone.cancel()
        done.cancel()
