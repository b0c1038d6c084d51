"""Common handling of requests: who sends them, size limits, and clients that disconnect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dg_lsp.job import InfillJob
from dg_lsp.reason import CodedError, ReasonCode
from dg_lsp.service.access.limits import NO_LIMITS, Accounts, ClientAccount, count_chars
from dg_lsp.service.access.tokens import Client, Tokens
from dg_lsp.service.address import is_loopback
from dg_lsp.service.fields import Json, parse_json

if TYPE_CHECKING:
    from starlette.requests import Request

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

MAX_BODY_BYTES = 4 * 1024 * 1024
"""Far more than a window of text with its snippets."""
BODY_S = 30.0
"""How long the body of a request may take to come."""
MAX_SEEN_CHARS = 2**18
"""Of a text in a job; models see a few thousand tokens of it."""
PARSED_AT_ONCE_BYTES = 64 * 1024
"""Longer bodies are parsed on a thread, so that the streams of others go on."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may send requests, and how much. Without tokens, everybody who can connect."""

    tokens: Tokens | None = None
    accounts: Accounts = field(default_factory=lambda: Accounts(NO_LIMITS))
    loopback_only: bool = False
    """Refuse requests that a web page could have made the user's browser send."""


class RequestError(CodedError):
    """A request that is answered with a status, a code and one line."""

    def __init__(self, status: int, code: ReasonCode, message: str) -> None:
        super().__init__(message, code)
        self.status = status


USER = Client("", is_admin=True)
"""Whoever can connect to an engine that requires no token."""


class ClientGoneError(Exception):
    """The client disconnected before the answer was ready."""


def check_access(access: Access, request: Request) -> Client:
    """Who sends the request; raises `RequestError` if nobody who may."""
    client: Client | None = USER
    if access.tokens is not None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        client = access.tokens.find(given.strip()) if scheme.lower() == "bearer" else None
    if client is None:
        raise RequestError(401, ReasonCode.TOKEN_REFUSED, "the token is missing or wrong")
    if access.loopback_only and not _is_from_here(request):
        raise RequestError(403, ReasonCode.WEB_PAGE, "requests of web pages are refused")
    return client


def begin_request(access: Access, request: Request) -> None:
    """Check who sends a request and whether it may now; notes it for `client_of`."""
    client = check_access(access, request)
    if {"content-length", "transfer-encoding"} <= {*request.headers.keys()}:
        # A proxy before the engine may see another end of it, and so another next request
        # (RFC 9112, section 6.1).
        raise RequestError(
            400,
            ReasonCode.INVALID_REQUEST,
            "a request has either Content-Length or Transfer-Encoding, not both",
        )
    account = access.accounts.of(client.name)
    account.begin_request()
    request.state.client, request.state.account = client, account


def require_admin(request: Request) -> None:
    """Raise `RequestError` if the client of a request that has begun is none."""
    client = client_of(request)
    if not client.is_admin:
        raise RequestError(
            403,
            ReasonCode.NOT_ALLOWED,
            f"the token of {client.name} may not do this, because it affects all clients; "
            "one made with `dg-lsp token new NAME --admin` may",
        )


def client_of(request: Request) -> Client:
    """Who sent a request that has begun."""
    found: Client = request.state.client
    return found


def account_of(request: Request) -> ClientAccount:
    """The account of who sent a request that has begun."""
    found: ClientAccount = request.state.account
    return found


def _is_from_here(request: Request) -> bool:
    """Browsers send the origin of the page, and the host as the page knows it."""
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        return False
    return "origin" not in request.headers and is_loopback(host or "")


async def read_json(request: Request) -> Json:
    """The body, which must be a JSON object of bounded size."""
    body = await read_body(request)
    if len(body) <= PARSED_AT_ONCE_BYTES:
        return parse_json(body)
    return await asyncio.to_thread(parse_json, body)


async def read_body(request: Request) -> bytes:
    """The body, of bounded size."""
    from starlette.requests import ClientDisconnect

    too_large = RequestError(
        413, ReasonCode.TOO_LARGE, f"the body is larger than {MAX_BODY_BYTES} bytes"
    )
    length = request.headers.get("content-length", "0")
    if length.isascii() and length.isdigit() and int(length[:18]) > MAX_BODY_BYTES:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise too_large
    except TimeoutError as error:
        raise RequestError(
            408, ReasonCode.TOO_SLOW, f"the body did not come within {BODY_S:g} seconds"
        ) from error
    except ClientDisconnect as error:
        raise ClientGoneError from error
    finally:
        account_of(request).count_bytes(len(body))
    return bytes(body)


def within_sight(job: InfillJob) -> InfillJob:
    """The job without the text that is too far from the span for any model."""
    if count_chars(job) <= MAX_SEEN_CHARS:
        return job
    snippets = tuple(replace(one, text=one.text[:MAX_SEEN_CHARS]) for one in job.snippets)
    return replace(
        job,
        prefix=job.prefix[-MAX_SEEN_CHARS:],
        suffix=job.suffix[:MAX_SEEN_CHARS],
        snippets=snippets,
    )


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
