"""Nobody without a right to it gets anything but a refusal, whatever the path and method."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request

import httpx
import pytest

from dg_lsp.service.access.tokens import SingleToken
from dg_lsp.service.address import Address
from dg_lsp.service.http import gate
from dg_lsp.service.http.app import make_app
from dg_lsp.service.http.metrics import Metrics
from dg_lsp.service.http.request import MAX_BODY_BYTES, Access

TOKEN = "a-token-of-the-right-length"
LOCKED, LOCAL = Access(SingleToken(TOKEN)), Access(loopback_only=True)
RIGHT = {"authorization": f"Bearer {TOKEN}"}
POST = b"POST /v1/infill HTTP/1.1\r\nHost: localhost\r\n"
METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW")


def paths(host) -> list[str]:
    """All that the application has, and some that it has not."""
    routes = make_app(host, Metrics(), access=LOCKED, stop=lambda: None).app.routes
    known = [route.path for route in routes]
    assert len(known) > 8
    beside = [f"{path}/" for path in known] + [path.upper() for path in known]
    return [*known, *beside, "/", "/absent", "/docs", "//health", "/%2e%2e/"]


@pytest.mark.parametrize(
    ("access", "headers", "status"),
    [
        (LOCKED, {}, 401),
        (LOCKED, {"authorization": "Bearer wrong"}, 401),
        (LOCKED, {"authorization": "Bearer"}, 401),
        (LOCKED, {"authorization": f"Basic {TOKEN}"}, 401),
        (LOCKED, {"cookie": f"authorization={TOKEN}"}, 401),
        (LOCAL, {"origin": "http://evil.example"}, 403),
        (LOCAL, {"origin": "null"}, 403),
        (LOCAL, {"host": "evil.example"}, 403),
        (LOCAL, {"host": ""}, 403),
    ],
)
async def test_every_path_and_method_is_refused_alike(
    host, serve_host, access, headers, status
):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with (
            serve_host(host, listener, Address(url), access) as served,
            httpx.AsyncClient(base_url=url, timeout=20) as http,
        ):
            said = set()
            for path in paths(host):
                for method in METHODS if path in ("/v1/infill", "/absent") else ("GET", "POST"):
                    answer = await http.request(method, path, headers=headers, content=b"{}")
                    said.add((answer.status_code, answer.text if method != "HEAD" else ""))
                    assert answer.headers["connection"] == "close"
            # One answer, and its head, from which nobody can tell the paths apart.
            assert {code for code, _ in said} == {status}
            assert len(said) == 2
            assert not served.stopped.is_set()
            assert host.opened is None


async def test_there_are_no_redirects(host, serve_host):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with (
            serve_host(host, listener, Address(url), LOCKED),
            httpx.AsyncClient(base_url=url, headers=RIGHT) as http,
        ):
            for path in paths(host):
                answer = await http.get(path)
                assert not answer.is_redirect
                assert answer.status_code in (200, 404, 405, 426, 503)


@pytest.mark.parametrize(("headers", "status"), [(RIGHT, 413), ({}, 401)])
async def test_a_client_that_reads_only_after_it_has_sent_all_gets_its_answer(
    host, serve_host, headers, status
):
    """As urllib and curl do; the former asks for the connection's end, too."""

    def ask(url: str) -> int:
        body = b"x" * (MAX_BODY_BYTES + 5_000_000)
        request = urllib.request.Request(f"{url}/v1/infill", body, headers)
        try:
            urllib.request.urlopen(request, timeout=20)
        except urllib.error.HTTPError as error:
            error.read()
            return error.code
        return 200

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with serve_host(host, listener, Address(url), LOCKED):
            assert await asyncio.to_thread(ask, url) == status


async def test_a_body_without_end_is_not_waited_for(host, serve_host, monkeypatch):
    monkeypatch.setattr(gate, "DRAIN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with serve_host(host, listener, Address(f"http://127.0.0.1:{port}"), LOCKED):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(POST + b"Content-Length: 99999\r\n\r\n{")
            answer = await reader.read()
            writer.close()

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer


async def test_a_request_whose_end_is_in_doubt_ends_its_connection(host, serve_host):
    """What follows it is never taken for a request, whoever sent it."""
    lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in RIGHT.items())
    smuggled = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with serve_host(host, listener, Address(f"http://127.0.0.1:{port}"), LOCKED):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            both = b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            writer.write(POST + lines + both + smuggled)
            answer = await reader.read()
            writer.close()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(("headers", "status"), [(RIGHT, b"413"), ({}, b"401")])
async def test_a_client_that_asks_before_it_sends_is_told_at_once(
    host, serve_host, monkeypatch, headers, status
):
    monkeypatch.setattr(gate, "DRAIN_S", None)
    lines = [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with serve_host(host, listener, Address(f"http://127.0.0.1:{port}"), LOCKED):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = [POST, *lines, b"Expect: 100-continue\r\nContent-Length: 9000000\r\n\r\n"]
            writer.write(b"".join(head))
            answer = await reader.read()
            writer.close()

    assert answer.startswith(b"HTTP/1.1 " + status)
