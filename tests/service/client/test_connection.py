"""Connections: how many there are, whatever becomes of their requests, and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dg_lsp.reason import ReasonCode
from dg_lsp.service.address import Address
from dg_lsp.service.client import connection
from dg_lsp.service.client.connection import (
    BrokenOffError,
    HttpClient,
    SilenceError,
)
from dg_lsp.service.client.tls import NobodyAnswersError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no Unix sockets")

CERTIFICATE = Path(__file__).parent.parent / "localhost.pem"

TYPING = """
# Types as fast as a machine can, like a front end, which cancels what nobody waits for.
# This process and its engine may have 64 descriptors each.
# Prints how many they had before, at most and after, and the last answer.
import asyncio, json, logging, os, random, resource, sys
from pathlib import Path
from dg_lsp.job import InfillJob
from dg_lsp.service.process.lifecycle import EngineSpec, SharedEngine

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
logging.basicConfig(level=logging.WARNING)
directory, script, keys = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

async def main():
    dice = random.Random(7)
    engine = SharedEngine(EngineSpec(command=(sys.executable, "-P", script)), directory)
    pid = (await engine.wait_ready()).pid

    def count():
        return [len(os.listdir(f"/proc/{one}/fd")) for one in ("self", pid)]

    before, seen, latest = count(), [], {}
    for key in range(keys):
        prefix = dice.choice(["hang", "pid "])
        if key % 3 in latest:
            latest[key % 3].cancel()
        handle = engine.submit(InfillJob(prefix, "", document=f"{key % 3}.py"))
        latest[key % 3] = handle
        # From no turn of the loop at all, over each step of connecting, to a whole answer.
        if dice.random() < 0.9:
            for _ in range(dice.randrange(30)):
                await asyncio.sleep(0)
        else:
            await asyncio.sleep(dice.random() * 0.01)
        if dice.random() < 0.7:
            handle.cancel()
        seen.append(count())
    for number in range(3):
        latest[number].cancel()
        engine.submit(InfillJob("pid ", "", document=f"{number}.py"))
    last = (await engine.submit(InfillJob("pid ", "")).result()).infill
    same = (await engine.status()).pid == pid
    await engine.close()
    for _ in range(200):
        after = count()
        if all(now <= then for now, then in zip(after, before)):
            break
        await asyncio.sleep(0.05)
    most = [max(column) for column in zip(*seen)]
    print(json.dumps([before, most, after, [one.text for one in last.candidates], pid, same]))

asyncio.run(main())
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors are counted there")
async def test_fast_typing_leaves_no_connection_open(spec, directory):
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", TYPING, str(directory), spec.command[-1], "3000"],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert ended.stderr == ""
    before, most, after, texts, pid, is_same_engine = json.loads(ended.stdout)
    assert (texts, is_same_engine) == ([f"pid {pid}"], True)
    assert all(now <= then for now, then in zip(after, before, strict=True))
    # One connection for each document, and for the engine those that it has yet to close.
    assert most[0] <= before[0] + 8
    assert most[1] < 64
    assert "out of system resource" not in (directory / "log" / "engine.log").read_text()


class Server:
    """Answers every request with its own head, and counts connections."""

    def __init__(self, closes_after: int = 10**6) -> None:
        self.connections, self.num_open, self._closes_after = 0, 0, closes_after
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.num_open += 1
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            for _ in range(self._closes_after):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(head))
                writer.write(head)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self.num_open -= 1

    async def closed(self) -> None:
        """All clients have left."""
        while self.num_open:
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def listening(server: Server, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    async with asyncio.timeout(20):
        listener = await asyncio.start_server(server.answer, "127.0.0.1", 0, ssl=tls)
        server.port = listener.sockets[0].getsockname()[1]
        yield server
        await server.closed()
        listener.close()


async def ask(client: HttpClient, path: str = "/v1/status") -> str:
    async with client.request("GET", path, silence_s=5) as response:
        return (await response.read()).decode()


async def test_a_connection_serves_one_request_after_another():
    async with listening(Server()) as server:
        client = HttpClient(Address(f"http://127.0.0.1:{server.port}/below", None, "a" * 16))
        heads = [await ask(client) for _ in range(5)]
        client.close()

    assert server.connections == 1
    lines = heads[0].split("\r\n")
    assert lines[0] == "GET /below/v1/status HTTP/1.1"
    assert f"authorization: Bearer {'a' * 16}" in lines
    assert f"host: 127.0.0.1:{server.port}" in lines


async def test_a_kept_connection_that_was_closed_meanwhile_is_no_error():
    async with listening(Server(closes_after=1)) as server:
        client = HttpClient(Address(f"http://127.0.0.1:{server.port}"))
        assert [(await ask(client))[:3] for _ in range(3)] == ["GET"] * 3
        client.close()

    assert server.connections == 3


async def test_unused_connections_are_closed_in_time(monkeypatch):
    monkeypatch.setattr("dg_lsp.service.client.connection.KEEP_TCP_S", 0.0)
    async with listening(Server()) as server:
        client = HttpClient(Address(f"http://127.0.0.1:{server.port}"))
        await ask(client)
        await asyncio.sleep(0.05)
        await ask(client)
        client.close()

    assert server.connections == 2


async def test_https_is_for_those_whom_the_system_trusts(monkeypatch):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)
    async with listening(Server(), tls) as server:
        address = Address(f"https://localhost:{server.port}")
        with pytest.raises(NobodyAnswersError) as raised:
            await ask(HttpClient(address))
        assert raised.value.code is ReasonCode.BAD_CERTIFICATE
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        client = HttpClient(address)
        assert [(await ask(client))[:3] for _ in range(2)] == ["GET"] * 2
        client.close()


async def test_a_socket_whose_backlog_is_full_is_asked_again(directory):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(directory / "full.sock"))
        listener.listen(0)
        listener.setblocking(False)
        client = HttpClient(Address("http://dg-lsp", directory / "full.sock"))
        asking = [asyncio.create_task(ask(client)) for _ in range(4)]
        await asyncio.sleep(0.05)
        server = Server()
        serving = await asyncio.start_unix_server(server.answer, sock=listener, backlog=1)
        async with asyncio.timeout(10):
            assert [head[:3] for head in await asyncio.gather(*asking)] == ["GET"] * 4
            client.close()
            await server.closed()
        serving.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", BrokenOffError),
        (b"SSH-2.0-OpenSSH\r\n\r\n", BrokenOffError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", BrokenOffError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", BrokenOffError),
        (None, SilenceError),
    ],
)
async def test_what_is_no_answer(answer, error):
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await over.wait()
        else:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = HttpClient(Address(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    with pytest.raises(error):
        async with client.request("GET", "/", silence_s=0.2) as response:
            await response.read()
    over.set()
    server.close()


async def test_a_connection_that_was_kept_over_a_sleep_is_not_used(monkeypatch):
    async with listening(Server()) as server:
        client = HttpClient(Address(f"http://127.0.0.1:{server.port}"))
        await ask(client)
        await ask(client)
        assert server.connections == 1
        # The machine sleeps: the time of day goes on, the event loop's clock does not.
        now = connection.time.time()
        monkeypatch.setattr(connection.time, "time", lambda: now + 8 * 3600)
        await ask(client)
        assert server.connections == 2
        # A clock that was set back does no harm.
        monkeypatch.setattr(connection.time, "time", lambda: now - 8 * 3600)
        await ask(client)
        assert server.connections == 2
        client.close()


async def test_how_long_the_other_side_has_been_silent_is_known(monkeypatch):
    async with listening(Server()) as server:
        client = HttpClient(Address(f"http://127.0.0.1:{server.port}"))
        await ask(client)
        # Nobody has asked anything since.
        await asyncio.sleep(0.05)
        assert client.silent_s == 0.0
        async with client.request("GET", "/", silence_s=5) as response:
            await response.read()
            before = client.silent_s
            await asyncio.sleep(0.05)
            assert client.silent_s >= before + 0.04
        assert client.silent_s == 0.0
        client.close()
