"""The job channel from the engine's side: who gets one, and what goes over it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from dg_lsp.service.access.tokens import SingleToken
from dg_lsp.service.address import Address
from dg_lsp.service.http import channel
from dg_lsp.service.http.request import Access
from dg_lsp.service.lines import LONGEST_JOB_BYTES

JOB = {"prefix": "name = ", "suffix": ".name\n", "path": "a.py"}
TOKEN = "a-token-of-the-right-length"


def asking(**headers: str) -> bytes:
    """The head of a request for a channel."""
    every = {
        "host": "localhost",
        "connection": "upgrade",
        "upgrade": "dg-lsp-jobs",
        "dg-lsp-client": "w",
        **headers,
    }
    lines = [f"{name}: {value}" for name, value in every.items()]
    return "\r\n".join(["GET /v1/jobs HTTP/1.1", *lines, "\r\n"]).encode()


@dataclass(slots=True)
class Channel:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heard: list[str] = field(default_factory=list)
    """The words of all lines so far, with their numbers."""

    def send(self, word: str, number: int, value: object = None) -> None:
        body = "" if value is None else json.dumps(value)
        self.writer.write(f"{word} {number} {body}\n".encode())

    async def until(self, word: str, number: int) -> object:
        """The value of the next such line."""
        while True:
            line = await self.reader.readline()
            assert line, f"the engine closed the connection after {self.heard}"
            found, said, body = line.decode().split(" ", 2)
            self.heard.append(f"{found} {said}")
            if (found, int(said)) == (word, number):
                return json.loads(body) if body.strip() else None

    async def send_on(self) -> None:
        """Send what has to be refused, and read nothing, until the engine has had enough."""
        while True:
            self.writer.write(b"job 1 {}\n" * 100)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def is_closed(self) -> bool:
        with contextlib.suppress(ConnectionResetError):
            while await self.reader.readline():
                pass
        return True


@contextlib.asynccontextmanager
async def channel_to(served, **headers: str) -> AsyncIterator[Channel]:
    reader, writer = await asyncio.open_unix_connection(served.address.socket)
    try:
        writer.write(asking(**headers))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        async with asyncio.timeout(20):
            yield Channel(reader, writer)
    finally:
        await closed(writer)


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_jobs_and_their_ends_share_a_connection(served):
    async with channel_to(served) as one:
        one.send("job", 1, JOB)
        one.send("job", 2, {**JOB, "path": "b.py"})
        ends = [await one.until("infill", number) for number in (1, 2)]

    assert [end["infill"]["candidates"][0]["text"] for end in ends] == ["self", "self"]
    assert one.heard.index("accepted 1") < one.heard.index("draft 1")


async def test_a_line_may_come_in_pieces(served):
    async with channel_to(served) as one:
        whole = f"job 1 {json.dumps(JOB)}\n".encode()
        for at in range(0, len(whole), 7):
            one.writer.write(whole[at : at + 7])
            await one.writer.drain()
            await asyncio.sleep(0)
        assert (await one.until("infill", 1))["state"] == "done"


async def test_what_is_wrong_with_a_job_is_said_and_the_others_go_on(served):
    async with channel_to(served) as one:
        one.send("job", 1, {**JOB, "max_tokens": "many"})
        said = await one.until("refused", 1)
        one.send("job", 2, JOB)
        assert (await one.until("infill", 2))["state"] == "done"

    assert said["status"] == 400
    assert said["body"]["error"]["code"] == "invalid-request"
    assert "max_tokens" in said["body"]["error"]["message"]


async def test_a_job_that_was_sent_ahead_begins_when_it_is_asked_for(served, host):
    async with channel_to(served) as one:
        one.send("prepare", 0, {**JOB, "path": "a.py"})
        one.send("job", 1, {**JOB, "path": "b.py"})
        await one.until("infill", 1)
        assert sum(host.count_jobs()) == 0
        one.send("job", 2)
        assert (await one.until("infill", 2))["state"] == "done"


async def test_what_is_wrong_with_a_job_sent_ahead_is_said_when_it_is_asked_for(
    served,
):
    async with channel_to(served) as one:
        one.send("prepare", 0, JOB)
        one.send("prepare", 0, {**JOB, "max_tokens": "many"})
        one.send("job", 1)
        said = await one.until("refused", 1)

    assert one.heard == ["refused 1"]
    assert "max_tokens" in said["body"]["error"]["message"]


async def test_a_cancelled_job_ends_and_one_of_another_front_end_does_not(
    served, denoiser, host, until
):
    denoiser.gate.clear()
    other = {"dg-lsp-client": "other"}
    async with channel_to(served) as one, channel_to(served, **other) as two:
        one.send("job", 1, JOB)
        assert await asyncio.to_thread(denoiser.entered.wait, 10)
        two.send("cancel", 1)
        two.send("job", 2, {**JOB, "path": "b.py"})
        await until(lambda: sum(host.count_jobs()) == 2)
        one.send("cancel", 1)
        assert (await one.until("infill", 1))["state"] == "cancelled"
        denoiser.gate.set()
        assert (await two.until("infill", 2))["state"] == "done"


async def test_a_front_end_that_is_gone_leaves_no_job(served, denoiser, host, until):
    denoiser.gate.clear()
    async with channel_to(served) as one:
        one.send("job", 1, JOB)
        assert await asyncio.to_thread(denoiser.entered.wait, 10)
    await until(lambda: sum(host.count_jobs()) == 0)


async def test_there_are_signs_of_life_while_a_job_runs(served, denoiser, monkeypatch):
    monkeypatch.setattr(channel, "ALIVE_S", 0.05)
    denoiser.gate.clear()
    async with channel_to(served) as one:
        one.send("job", 1, JOB)
        for _ in range(3):
            await one.until("alive", 0)
        denoiser.gate.set()
        await one.until("infill", 1)


async def test_others_are_answered_while_many_jobs_come_at_once(served, denoiser, host, until):
    denoiser.gate.clear()
    others = {"dg-lsp-client": "other"}
    async with channel_to(served) as one, channel_to(served, **others) as two:
        reader, writer = await asyncio.open_unix_connection(served.address.socket)
        jobs = [
            f"job {number} {json.dumps({**JOB, 'path': f'{number}.py'})}\n"
            for number in range(1, 201)
        ]
        one.writer.write("".join(jobs).encode())
        two.send("job", 1, JOB)
        writer.write(b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n")

        await two.until("accepted", 1)
        assert sum(host.count_jobs()) < 100
        assert (await reader.readline()).split()[1] == b"200"
        assert sum(host.count_jobs()) < 150
        await until(lambda: sum(host.count_jobs()) == 201)
        await closed(writer)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "invalid-request"),
        (b"job\n", "invalid-request"),
        (b"job x {}\n", "invalid-request"),
        (b"draft 1 {}\n", "invalid-request"),
        (b"job 0 {}\n", "invalid-request"),
        (b"job 1 {}\n", "invalid-request"),
        (b"job 2 \n", "invalid-request"),
        (b"job 2 " + b"x" * (LONGEST_JOB_BYTES + 100), "too-large"),
    ],
)
async def test_a_line_that_cannot_be_read_ends_the_channel_with_the_reason(
    served, denoiser, host, sent, code
):
    denoiser.gate.clear()
    async with channel_to(served) as one:
        # What came before it, even at the same time, is taken.
        one.writer.write(b"job 1 %s\n" % json.dumps(JOB).encode() + sent + b"job 9 {}\n")
        said = await one.until("refused", 0)
        assert sum(host.count_jobs()) == 0
        assert await one.reader.read() == b""

    assert one.heard == ["accepted 1", "refused 0"]
    assert (said["status"], said["body"]["error"]["code"]) == (400, code)
    # It may be text of a document.
    assert "GET" not in said["body"]["error"]["message"]


async def test_whoever_sends_on_after_that_is_left(served, monkeypatch):
    monkeypatch.setattr(channel, "LEAVE_S", 0.05)
    async with channel_to(served) as one:
        one.writer.write(b"nonsense\n")
        with pytest.raises(ConnectionError):
            await one.send_on()


async def test_whoever_sends_on_and_reads_nothing_is_left(served):
    async with channel_to(served) as one:
        with pytest.raises(ConnectionError):
            await one.send_on()


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-length": "2"}, b"{}", b"400"),
        ({"transfer-encoding": "chunked"}, b"2\r\n{}\r\n0\r\n\r\n", b"400"),
        ({"content-length": "0"}, b"", b"101"),
    ],
)
async def test_a_request_for_a_channel_has_no_body(served, headers, body, status):
    reader, writer = await asyncio.open_unix_connection(served.address.socket)
    async with asyncio.timeout(20):
        writer.write(asking(**headers) + body)
        assert (await reader.readline()).split()[1] == status
    await closed(writer)


async def test_an_engine_that_ends_leaves_its_channels(host, serve_host, directory):
    path = directory / "test.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        async with contextlib.AsyncExitStack() as stack:
            async with serve_host(
                host, listener, Address("http://dg-lsp", path), Access()
            ) as served:
                one = await stack.enter_async_context(channel_to(served))
                one.send("job", 1, JOB)
                await one.until("infill", 1)
            assert await one.is_closed()


LOCKED, LOCAL = Access(SingleToken(TOKEN)), Access(loopback_only=True)


@pytest.mark.parametrize(
    ("access", "headers", "status"),
    [
        (LOCKED, {}, 401),
        (LOCKED, {"authorization": "Bearer wrong"}, 401),
        # A token may be revoked, and limits count requests.
        (LOCKED, {"authorization": f"Bearer {TOKEN}"}, 403),
        (LOCAL, {"origin": "http://evil.example"}, 403),
        (LOCAL, {"host": "evil.example"}, 403),
        (LOCAL, {"upgrade": "websocket"}, 426),
        (LOCAL, {"dg-lsp-client": ""}, 400),
        (LOCAL, {}, 101),
    ],
)
async def test_a_channel_is_only_for_those_who_need_no_token(
    host, serve_host, access, headers, status
):
    assert await status_of(host, serve_host, access, headers) == status


async def status_of(host, serve_host, access: Access, headers: dict[str, str]) -> int:
    """What a request for a channel over TCP is answered with."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with (
            asyncio.timeout(20),
            serve_host(host, listener, Address(f"http://127.0.0.1:{port}"), access),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(asking(**headers))
            head = await reader.readuntil(b"\r\n")
            await closed(writer)
    return int(head.split()[1])
