"""What the client makes of an engine that is gone, hangs, or is none at all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from functools import partial

import pytest

from dg_lsp.job import Draft, InfillJob, JobState
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.service.address import Address
from dg_lsp.service.backend.forms import Kind
from dg_lsp.service.backend.infiller import BackendInfiller
from dg_lsp.service.client import answers, connection
from dg_lsp.service.client.infiller import HttpInfiller
from dg_lsp.service.client.refusals import EngineError, UnreachableError
from dg_lsp.service.events import ALIVE, event
from dg_lsp.service.fields import dump_json
from dg_lsp.service.http.request import Access
from dg_lsp.service.schema import encode_draft

JOB = InfillJob("name = ", ".name\n", document="a.py")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@contextlib.asynccontextmanager
async def answering(*pieces: bytes, then_hang: bool = False) -> AsyncIterator[Address]:
    """A server that sends these bytes to whoever asks, whatever is asked."""
    over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
        if then_hang:
            await over.wait()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield Address(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        over.set()
        server.close()


@contextlib.asynccontextmanager
async def trickling(begun: bytes, piece: bytes) -> AsyncIterator[Address]:
    """A server whose answer does not end; whoever has asked must have left at the end."""
    over = asyncio.Event()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        with contextlib.suppress(OSError):
            while not writer.is_closing():
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()
        over.set()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    async with asyncio.timeout(20):
        yield Address(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await over.wait()
    server.close()


@contextlib.asynccontextmanager
async def asking(address: Address, **options) -> AsyncIterator[HttpInfiller]:
    client = HttpInfiller(address, **options)
    async with asyncio.timeout(20):
        yield client
    await client.close()


@pytest.fixture
def nobody() -> Address:
    """An address where nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return Address(f"http://127.0.0.1:{listener.getsockname()[1]}")


async def test_no_engine_is_a_reason_and_no_exception(nobody):
    async with asking(nobody) as client:
        handle = client.submit(JOB)
        infill = (await handle.result()).infill

        assert (handle.state, infill.candidates) == (JobState.FAILED, ())
        assert infill.reason.code is ReasonCode.NO_ENGINE
        assert [draft async for draft in handle.drafts()] == []
        with pytest.raises(UnreachableError):
            await client.status()


async def test_an_absent_socket_is_a_reason_too(tmp_path):
    address = Address("http://dg-lsp", tmp_path / "no.sock")
    async with asking(address) as client:
        assert (await client.submit(JOB).result()).infill.reason.code is ReasonCode.NO_ENGINE


@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        ((), ReasonCode.ENGINE_LOST),
        ((OK,), ReasonCode.ENGINE_LOST),
        ((OK, b"event: draft\ndata: {"), ReasonCode.ENGINE_LOST),
        ((OK, b"event: draft\ndata: {\n\n"), ReasonCode.BAD_ANSWER),
        (
            (OK, b'event: infill\ndata: {"state":"odd"}\n\n'),
            ReasonCode.BAD_ANSWER,
        ),
        ((b"HTTP/1.1 500 Oh\r\n\r\nbroken",), ReasonCode.BAD_ANSWER),
        (
            (b'HTTP/1.1 429 No\r\n\r\n{"error":{"code":"busy","message":"too\\n many"}}',),
            ReasonCode.BUSY,
        ),
        ((b"SSH-2.0-OpenSSH\r\n\r\n",), ReasonCode.ENGINE_LOST),
    ],
)
async def test_broken_answers_are_reasons(pieces, code):
    async with answering(*pieces) as address, asking(address) as client:
        handle = client.submit(JOB)
        infill = (await handle.result()).infill

        assert handle.state is JobState.FAILED
        assert infill.reason.code is code
        assert "\n" not in infill.reason.message


async def test_an_engine_that_hangs_is_given_up():
    async with (
        answering(OK, then_hang=True) as address,
        asking(address, silence_s=0.1) as client,
    ):
        infill = (await client.submit(JOB).result()).infill

        assert infill.reason.code is ReasonCode.ENGINE_SILENT


@pytest.mark.parametrize("new_client", [HttpInfiller, partial(BackendInfiller, Kind.VLLM)])
@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"])
async def test_an_answer_that_trickles_in_is_not_waited_for_to_its_end(
    begun, new_client, monkeypatch
):
    monkeypatch.setattr(connection, "WHOLE_ANSWER_S", 0.3)
    # The first line does not end.
    async with trickling(begun or b"HTTP/1.1 200 ", b" ") as address:
        client = new_client(address)
        async with contextlib.AsyncExitStack() as closing:
            closing.push_async_callback(client.close)
            with pytest.raises(EngineError) as raised:
                await client.status()
    assert raised.value.code is ReasonCode.ENGINE_SILENT


DRAFT = event("draft", encode_draft(Draft("x", (), 1, 8)))


@pytest.mark.parametrize(
    ("begun", "patience"),
    [
        pytest.param(b"HTTP/1.1 200 ", "HEAD_S", id="a head without an end"),
        pytest.param(OK, "BEGIN_S", id="a job that never begins"),
        pytest.param(OK + b"data: {", "BEGIN_S", id="an event without an end"),
        pytest.param(OK + DRAFT, "GRACE_S", id="a job without an end"),
    ],
)
async def test_signs_of_life_do_not_hold_a_job_for_ever(begun, patience, monkeypatch):
    monkeypatch.setattr(answers, patience, 0.2)
    is_within = begun.endswith((b" ", b"{"))
    async with (
        trickling(begun, b" " if is_within else ALIVE) as address,
        asking(address) as client,
    ):
        result = await client.submit(InfillJob("", "", deadline_s=0.1)).result()
    assert result.state is JobState.FAILED
    assert result.infill.reason.code is ReasonCode.ENGINE_SILENT


async def test_what_is_no_engine_is_named():
    body = dump_json({"hello": "world"})
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with answering(head + body) as address, asking(address) as client:
        with pytest.raises(EngineError) as raised:
            await client.status()
        assert raised.value.code is ReasonCode.BAD_ANSWER


async def test_it_reconnects_once_for_all_jobs(served, nobody):
    asked = []

    async def reconnect() -> Address:
        asked.append(1)
        return served.address

    async with asking(nobody, reconnect=reconnect) as client:
        handles = [client.submit(InfillJob("name = ", ".name\n")) for _ in range(3)]
        found = [(await handle.result()).infill.candidates[0].text for handle in handles]

        assert found == ["self"] * 3
        assert client.address == served.address
    assert len(asked) == 1


async def test_a_superseded_job_does_not_stop_the_start_of_an_engine(served, nobody):
    began, gate, cancelled = asyncio.Event(), asyncio.Event(), []

    async def reconnect() -> Address:
        began.set()
        try:
            await gate.wait()
        except asyncio.CancelledError:
            cancelled.append(1)
            raise
        return served.address

    async with asking(nobody, reconnect=reconnect) as client:
        client.submit(JOB)
        await began.wait()
        for _ in range(4):
            newest = client.submit(JOB)
            await asyncio.sleep(0)
        gate.set()

        assert (await newest.result()).infill.candidates[0].text == "self"
    assert cancelled == []


async def test_an_engine_that_shuts_down_is_left_for_the_next(served):
    async def reconnect() -> Address:
        return served.address

    async with answering(b"HTTP/1.1 503 No\r\n\r\n") as old:
        async with asking(old, reconnect=reconnect) as client:
            assert (await client.submit(JOB).result()).infill.candidates[0].text == "self"
        async with asking(old) as client:
            infill = (await client.submit(JOB).result()).infill
            assert infill.reason.code is ReasonCode.ENGINE_CLOSED


async def test_a_reconnection_that_fails_is_the_reason(nobody):
    async def reconnect() -> Address:
        raise EngineError("no GPU is free", ReasonCode.NO_DEVICE)

    async with asking(nobody, reconnect=reconnect) as client:
        infill = (await client.submit(JOB).result()).infill
        assert infill.reason == Reason(ReasonCode.NO_DEVICE, "no GPU is free")
        with pytest.raises(EngineError) as raised:
            await client.reconnect()
        assert raised.value.code is ReasonCode.NO_DEVICE


async def test_an_engine_that_comes_back_is_found_again(host, serve_host, directory):
    address = Address("http://dg-lsp", directory / "test.sock")

    def listening() -> socket.socket:
        address.socket.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(address.socket))
        return listener

    async with asking(address) as client:
        for _ in range(2):
            async with serve_host(host, listening(), address, Access()):
                found = (await client.submit(JOB).result()).infill
                assert [one.text for one in found.candidates] == ["self"]
            assert (await client.submit(JOB).result()).infill.reason is not None
