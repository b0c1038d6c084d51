"""Clients that are slow, silent or many, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import pytest

from dg_lsp.service.access.tokens import SingleToken
from dg_lsp.service.address import Address
from dg_lsp.service.client.infiller import HttpInfiller
from dg_lsp.service.http import request, server
from dg_lsp.service.http.connections import Bounds
from dg_lsp.service.http.request import Access
from dg_lsp.service.schema import decode_job

JOB = {"prefix": "name = ", "suffix": ".name\n", "path": "a.py"}
HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
OPEN = Access()


@pytest.fixture
def listening(host, serve_host):
    """An engine on the loopback interface; gives its port."""

    @contextlib.asynccontextmanager
    async def listen(access: Access = OPEN):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            # Otherwise the kernel takes megabytes for a client that does not read.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            port = listener.getsockname()[1]
            async with serve_host(host, listener, Address(f"http://127.0.0.1:{port}"), access):
                yield port

    return listen


async def connect(port: int, sent: bytes = b""):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    return reader, writer


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What still comes until the other side closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := await reader.read(65536):
            found += piece
    return found


async def test_a_head_that_comes_byte_by_byte_is_not_waited_for(listening, monkeypatch):
    monkeypatch.setattr(server, "HEAD_S", 0.3)
    async with listening() as port:
        reader, writer = await connect(port)

        async def trickle() -> None:
            for byte in HEAD * 100:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.05)

        trickling = asyncio.create_task(trickle())
        assert await rest(reader) == b""
        trickling.cancel()
        writer.close()


async def test_neither_is_the_head_of_a_second_request(listening, monkeypatch):
    monkeypatch.setattr(server, "HEAD_S", 0.3)
    async with listening() as port:
        reader, writer = await connect(port, HEAD + b"\r\n")
        assert b" 200 " in await reader.readuntil(b"}")
        # A pause is allowed, but not a beginning without an end.
        await asyncio.sleep(0.5)
        writer.write(HEAD + b"\r\n")
        assert b" 200 " in await reader.readuntil(b"}")
        writer.write(HEAD)
        assert await rest(reader) == b""
        writer.close()


async def test_a_body_that_does_not_come_is_a_408(listening, monkeypatch):
    monkeypatch.setattr(request, "BODY_S", 0.2)
    monkeypatch.setattr("dg_lsp.service.http.gate.DRAIN_S", 0.1)
    async with listening() as port:
        head = b"POST /v1/infill HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n"
        reader, writer = await connect(port, head + b'{"prefix": ')
        answer = await rest(reader)
        writer.close()

    start, _, body = answer.partition(b"\r\n\r\n")
    assert start.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in start
    assert json.loads(body)["error"]["code"] == "too-slow"


async def test_a_client_that_does_not_read_is_left(listening, monkeypatch):
    monkeypatch.setattr(server, "UNREAD_S", 0.3)
    async with listening() as port:
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect(("127.0.0.1", port))
        plain.setblocking(False)
        asked = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
        lost = False
        async with asyncio.timeout(20):
            while not lost:
                try:
                    plain.send(asked)
                except BlockingIOError:
                    await asyncio.sleep(0.01)
                except (ConnectionResetError, BrokenPipeError):
                    lost = True
        plain.close()


async def test_idle_connections_take_the_engine_from_nobody(listening, monkeypatch):
    """As many as descriptors, without a token; whoever has one is still answered."""
    monkeypatch.setattr(server, "bounds_here", lambda: Bounds(16, 8))
    token = "a-token-of-the-right-length"
    async with listening(Access(SingleToken(token))) as port:
        silent = [await connect(port, HEAD if one % 2 else b"") for one in range(60)]
        client = HttpInfiller(Address(f"http://127.0.0.1:{port}", None, token))
        for _ in range(3):
            assert (await client.submit(decode_job(JOB)).result()).infill.candidates
            silent += [await connect(port) for _ in range(20)]
        await client.close()
        for _, writer in silent:
            writer.close()


async def test_where_all_are_busy_another_is_told_so(
    listening, monkeypatch, denoiser, host, until
):
    monkeypatch.setattr(server, "bounds_here", lambda: Bounds(4, 4))
    denoiser.gate.clear()
    async with listening() as port:
        clients = [HttpInfiller(Address(f"http://127.0.0.1:{port}")) for _ in range(3)]
        jobs = [client.submit(decode_job(JOB)) for client in clients]
        await until(lambda: sum(host.count_jobs()) == 3)
        reader, writer = await connect(port, HEAD + b"\r\n")
        answer = await rest(reader)
        writer.close()
        denoiser.gate.set()
        for job, client in zip(jobs, clients, strict=True):
            assert (await job.result()).infill.candidates
            await client.close()

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after" in answer
