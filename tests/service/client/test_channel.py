"""What the client makes of an engine at a Unix socket: one connection for all jobs, and what
happens when it breaks off, hangs, or speaks only HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from dg_lsp.job import Draft, Infill, InfillJob, JobResult, JobState, Snippet
from dg_lsp.reason import ReasonCode
from dg_lsp.service.address import Address
from dg_lsp.service.client import channel
from dg_lsp.service.client.infiller import HttpInfiller
from dg_lsp.service.fields import dump_json
from dg_lsp.service.lines import LONGEST_JOB_BYTES, line
from dg_lsp.service.schema import encode_draft, encode_result

JOB = InfillJob("name = ", ".name\n", document="a.py")
YES = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: dg-lsp-jobs\r\n\r\n"
DRAFT = dump_json(encode_draft(Draft("x", (), 1, 8)))
DONE = dump_json(encode_result(JobResult(JobState.DONE, Infill((), 1, model="fake"))))
BUSY = dump_json(
    {"status": 429, "retry_after_s": 1.0, "body": {"error": {"code": "busy", "message": "no"}}}
)
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(path: Path, answer: Answer) -> AsyncIterator[HttpInfiller]:
    """A client of an engine that answers each connection like this."""

    served = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await answer(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_unix_server(serve, path)
    client = HttpInfiller(Address("http://dg-lsp", path), silence_s=5.0)
    async with asyncio.timeout(20):
        yield client
        await client.close()
        server.close()
        await asyncio.gather(*served)


def telling(*pieces: bytes, then_hang: bool = False) -> Answer:
    """Accepts the channel, waits for a job and says this."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(YES)
        await reader.readline()
        for piece in pieces:
            writer.write(piece)
        if then_hang:
            await reader.read()

    return answer


async def test_all_jobs_use_one_connection_also_where_some_are_cancelled(directory):
    connections: list[list[bytes]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append([])
        await reader.readuntil(b"\r\n\r\n")
        writer.write(YES)
        while text := await reader.readline():
            word, number, *_ = text.split(b" ", 2)
            connections[-1].append(word)
            if word == b"job" and int(number) % 2 == 0:
                writer.write(line("accepted", int(number)) + line("infill", int(number), DONE))

    async with listening(directory / "test.sock", answer) as client:
        for _ in range(3):
            given_up, wanted = client.submit(JOB), client.submit(JOB)
            given_up.cancel()
            assert (await wanted.result()).infill.model == "fake"

    [said] = connections
    assert said.count(b"job") >= 5
    assert said.count(b"cancel") == said.count(b"job") - 3


async def test_a_job_that_was_prepared_is_sent_once(directory):
    said: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(YES)
        while text := await reader.readline():
            word, number, body = text.split(b" ", 2)
            said.append(word if body.strip() else word + b" alone")
            if word == b"job":
                writer.write(line("infill", int(number), DONE))

    async with listening(directory / "test.sock", answer) as client:
        other = dataclasses.replace(JOB, prefix="y = ")
        # Without a connection, nothing is sent ahead.
        client.prepare(JOB)
        await client.submit(JOB).result()
        for prepared, submitted in ((JOB, JOB), (JOB, other)):
            client.prepare(prepared)
            assert (await client.submit(submitted).result()).infill.model == "fake"

    assert said == [b"job", b"prepare", b"job alone", b"prepare", b"job"]


@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        ((), ReasonCode.ENGINE_LOST),
        ((line("accepted", 1),), ReasonCode.ENGINE_LOST),
        ((b"HTTP/1.1 200 OK\r\n\r\n",), ReasonCode.ENGINE_LOST),
        ((line("draft", 1, b"{"),), ReasonCode.BAD_ANSWER),
        ((line("infill", 1, b'{"state":"odd"}'),), ReasonCode.BAD_ANSWER),
        ((line("infill", 1, b'{"version":99}'),), ReasonCode.VERSION_MISMATCH),
        ((line("refused", 1, b"{}"),), ReasonCode.BAD_ANSWER),
        ((line("refused", 1, BUSY),), ReasonCode.BUSY),
        ((line("refused", 0, b"{}"),), ReasonCode.ENGINE_LOST),
    ],
)
async def test_broken_answers_are_reasons(directory, pieces, code):
    async with listening(directory / "test.sock", telling(*pieces)) as client:
        result = await client.submit(JOB).result()
    assert (result.state, result.infill.reason.code) == (JobState.FAILED, code)


async def test_an_answer_that_cannot_be_read_ends_the_job_at_the_engine_too(directory):
    told = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(YES)
        await reader.readline()
        writer.write(line("draft", 1, b"{"))
        told.set_result(await reader.readline())

    async with listening(directory / "test.sock", answer) as client:
        await client.submit(JOB).result()
        assert (await told).split() == [b"cancel", b"1"]


@pytest.mark.parametrize(
    ("said", "patience"),
    [
        pytest.param(b"", "HEAD_S", id="a job that is not accepted"),
        pytest.param(line("accepted", 1), "BEGIN_S", id="a job that never begins"),
        pytest.param(
            line("accepted", 1) + line("draft", 1, DRAFT), "GRACE_S", id="a job without an end"
        ),
    ],
)
async def test_signs_of_life_do_not_hold_a_job_for_ever(directory, monkeypatch, said, patience):
    monkeypatch.setattr(channel, patience, 0.2)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(YES)
        await reader.readline()
        writer.write(said)
        while not writer.is_closing():
            writer.write(line("alive", 0))
            await writer.drain()
            await asyncio.sleep(0.01)

    async with listening(directory / "test.sock", answer) as client:
        result = await client.submit(InfillJob("", "", deadline_s=0.1)).result()
    assert result.infill.reason.code is ReasonCode.ENGINE_SILENT


@pytest.mark.parametrize("begun", [b"HTTP/1.1 101 ", YES])
async def test_an_engine_that_hangs_is_given_up(directory, begun):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        await reader.read()

    path = directory / "test.sock"
    async with listening(path, answer):
        client = HttpInfiller(Address("http://dg-lsp", path), silence_s=0.1)
        handle = client.submit(JOB)
        assert (await handle.result()).infill.reason.code is ReasonCode.ENGINE_SILENT
        assert client.silent_s == 0.0
        await client.close()


async def test_an_engine_that_speaks_only_http_gets_a_request(directory):
    asked = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split()[1])
        if head.startswith(b"GET"):
            writer.write(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n")
            return
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nevent: infill\ndata: " + DONE + b"\n\n")

    async with listening(directory / "test.sock", answer) as client:
        for _ in range(2):
            assert (await client.submit(JOB).result()).infill.model == "fake"
    assert asked == [b"/v1/jobs", b"/v1/infill", b"/v1/infill"]


@pytest.mark.parametrize("said", [b"", line("accepted", 1) + line("draft", 1, DRAFT)])
async def test_an_engine_that_cannot_read_a_line_gets_a_request(directory, caplog, said):
    asked = []
    why = {"status": 400, "body": {"error": {"code": "invalid-request", "message": "line 1!"}}}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split()[1])
        if head.startswith(b"GET"):
            writer.write(YES)
            await reader.readline()
            writer.write(said + line("refused", 0, dump_json(why)))
            await reader.read()
            return
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nevent: infill\ndata: " + DONE + b"\n\n")

    async def reconnect() -> Address:
        return address

    address = Address("http://dg-lsp", directory / "test.sock")
    async with listening(address.socket, answer):
        client = HttpInfiller(address, reconnect=reconnect)
        for _ in range(2):
            assert (await client.submit(JOB).result()).infill.model == "fake"
        # Another engine may be there by then.
        await client.reconnect()
        assert (await client.submit(JOB).result()).infill.model == "fake"
        await client.close()
    assert asked == [b"/v1/jobs", b"/v1/infill", b"/v1/infill", b"/v1/jobs", b"/v1/infill"]
    assert "line 1!" in caplog.text


async def test_a_long_job_is_a_request_of_its_own(client):
    long = dataclasses.replace(JOB, snippets=(Snippet("b.py", "#" * LONGEST_JOB_BYTES),))
    for job in (JOB, long, JOB):
        assert (await client.submit(job).result()).infill.candidates[0].text == "self"


async def test_a_job_that_was_not_accepted_goes_to_the_next_engine(directory, served):
    async def reconnect() -> Address:
        return served.address

    for said, expect in ((b"", JobState.DONE), (line("accepted", 1), JobState.FAILED)):
        path = directory / "old.sock"
        async with listening(path, telling(said)):
            client = HttpInfiller(Address("http://dg-lsp", path), reconnect=reconnect)
            # What made one engine end is not sent to another.
            assert (await client.submit(JOB).result()).state is expect
            await client.close()
        path.unlink(missing_ok=True)


async def test_a_job_ends_where_it_began_though_new_ones_go_to_another_engine(
    directory, served
):
    heard: list[bytes] = []
    begun, over = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(YES)
        for number in (1, 2):
            await reader.readline()
            writer.write(line("accepted", number))
        begun.set()
        heard.append(await reader.readline())
        writer.write(line("infill", 1, DONE))
        heard.append(await reader.readline())
        over.set_result(None)

    async def reconnect() -> Address:
        return served.address

    path = directory / "old.sock"
    async with listening(path, answer):
        client = HttpInfiller(Address("http://dg-lsp", path), reconnect=reconnect)
        one, given_up = client.submit(JOB), client.submit(JOB)
        await begun.wait()
        await client.reconnect()
        elsewhere = await client.submit(JOB).result()
        given_up.cancel()

        assert elsewhere.infill.candidates[0].text == "self"
        assert (await one.result()).infill.model == "fake"
        # Then nothing keeps the old connection open.
        await over
        assert heard == [line("cancel", 2), b""]
        await client.close()


async def test_an_engine_of_another_version_is_left_for_ours(directory, served):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(YES.replace(b"\r\n\r\n", b"\r\ndg-lsp-version: 0.0.1\r\n\r\n"))
        await reader.read()

    async def reconnect() -> Address:
        return served.address

    path = directory / "old.sock"
    async with listening(path, answer):
        client = HttpInfiller(Address("http://dg-lsp", path), reconnect=reconnect)
        assert (await client.submit(JOB).result()).infill.candidates[0].text == "self"
        await client.close()
