"""An engine behind a network that is cut, slow or half open, and one of another version."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from dg_lsp.job import InfillJob, JobState
from dg_lsp.reason import ReasonCode
from dg_lsp.server.link.engine_link import EnginePhase
from dg_lsp.server.link.fallback import FallbackEngine
from dg_lsp.server.link.remote_link import RemoteLink
from dg_lsp.service import schema
from dg_lsp.service.address import Address
from dg_lsp.service.client import connection
from dg_lsp.service.client import infiller as client_module
from dg_lsp.service.client.infiller import HttpInfiller
from dg_lsp.service.client.refusals import EngineError
from dg_lsp.service.http import state as state_module
from dg_lsp.service.http.request import Access
from dg_lsp.service.process.lifecycle import SharedEngine

JOB = InfillJob("name = ", ".name\n", document="a.py")


class Proxy:
    """Passes bytes on between clients and a server, until it is told to do otherwise."""

    def __init__(self, port: int) -> None:
        self._server_port, self.port = port, 0
        self.is_open = asyncio.Event()
        """Cleared: nothing is passed on, and no connection ends, as behind a dead router."""
        self.is_open.set()
        self.cut_after: int | None = None
        """Bytes of answers after which every connection is cut."""
        self.piece_bytes, self.pause_s = 1 << 16, 0.0
        """The size of pieces and the time between them."""
        self._passed = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._writers |= {writer, back}
        await asyncio.gather(
            self._pass(reader, back, is_answer=False), self._pass(there, writer, is_answer=True)
        )

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(self.piece_bytes):
                await self.is_open.wait()
                if is_answer and self.cut_after is not None:
                    piece = piece[: self.cut_after - self._passed]
                    self._passed += len(piece)
                writer.write(piece)
                if is_answer and self._passed == self.cut_after:
                    self.cut()
                await asyncio.sleep(self.pause_s)
        writer.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    def heal(self) -> None:
        self.cut_after, self._passed = None, 0
        self.is_open.set()


@pytest.fixture
async def proxy(host, serve_host) -> AsyncIterator[Proxy]:
    """In front of an engine that has its model."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address(f"http://127.0.0.1:{listener.getsockname()[1]}")
        async with serve_host(host, listener, address, Access()):
            proxy = Proxy(listener.getsockname()[1])
            server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
            proxy.port = server.sockets[0].getsockname()[1]
            await host.submit(JOB).result()
            yield proxy
            proxy.heal()
            proxy.cut()
            server.close()


@pytest.fixture
async def remote(proxy) -> AsyncIterator[HttpInfiller]:
    client = HttpInfiller(Address(f"http://127.0.0.1:{proxy.port}"), silence_s=1.0)
    yield client
    await client.close()


async def code_of(client: HttpInfiller, job: InfillJob = JOB) -> ReasonCode | None:
    """Why there is no answer; none if there is one."""
    async with asyncio.timeout(20):
        infill = (await client.submit(job).result()).infill
    assert bool(infill.candidates) == (infill.reason is None)
    return infill.reason.code if infill.reason else None


@pytest.mark.parametrize("after_bytes", [0, 1, 60, 200])
async def test_a_connection_that_is_cut_is_a_reason_and_the_next_job_a_new_one(
    proxy, remote, after_bytes
):
    assert await code_of(remote) is None
    proxy.cut_after = after_bytes
    assert await code_of(remote) is ReasonCode.ENGINE_LOST
    proxy.heal()
    assert await code_of(remote) is None


async def test_a_cut_in_mid_stream_loses_neither_the_client_nor_the_engine(
    proxy, remote, loader, host
):
    loader.denoiser.gate.clear()
    handle = remote.submit(JOB)
    while host.count_jobs() != (0, 1):
        await asyncio.sleep(0.01)
    proxy.cut()
    infill = (await handle.result()).infill
    assert (handle.state, infill.reason.code) == (JobState.FAILED, ReasonCode.ENGINE_LOST)
    loader.denoiser.gate.set()
    # The engine does not go on for a client that is gone.
    while any(host.count_jobs()):
        await asyncio.sleep(0.01)
    assert await code_of(remote) is None


@pytest.mark.parametrize("when", ["kept connection", "new connection"])
async def test_a_half_open_connection_is_silence_and_is_not_used_again(proxy, remote, when):
    if when == "kept connection":
        assert await code_of(remote) is None
    proxy.is_open.clear()
    handle = remote.submit(JOB)
    await asyncio.sleep(0.2)
    # What a request with a deadline goes by.
    assert remote.silent_s > 0.1
    assert (await handle.result()).infill.reason.code is ReasonCode.ENGINE_SILENT
    proxy.heal()
    assert await code_of(remote) is None
    async with asyncio.timeout(5):
        while remote.silent_s:
            await asyncio.sleep(0.01)


async def test_a_slow_network_is_only_slow(proxy):
    proxy.piece_bytes, proxy.pause_s = 16, 0.01
    client = HttpInfiller(Address(f"http://127.0.0.1:{proxy.port}"))
    assert await code_of(client) is None
    await client.close()


async def test_the_local_engine_stands_in_while_the_network_is_away(
    proxy, remote, spec, directory, monkeypatch
):
    both = FallbackEngine(remote, SharedEngine(spec, directory))
    link = RemoteLink(lambda settings: both, follow_s=0.05)

    async def ask() -> str:
        """Which engine answers, as the server asks: a failure is told to the link."""
        infiller = await link.infiller()
        result = await infiller.submit(JOB).result()
        if result.state is JobState.FAILED:
            link.job_failed(result.infill.reason)
            return "none"
        return "elsewhere" if result.infill.candidates[0].text == "self" else "here"

    async with asyncio.timeout(60):
        assert await ask() == "elsewhere"
        proxy.is_open.clear()
        assert await ask() == "none"
        assert link.state.phase is EnginePhase.FAILED
        monkeypatch.setattr(connection, "ANSWER_S", 2.0)
        assert [await ask() for _ in range(2)] == ["here", "here"]
        assert [note.code for note in link.state.model.notes] == [ReasonCode.LOCAL_ENGINE]
        proxy.heal()
        while link.state.model.notes:
            await asyncio.sleep(0.05)
        assert await ask() == "elsewhere"
    await link.close()


async def test_an_engine_of_another_protocol_is_named_with_what_to_do(
    proxy, remote, monkeypatch
):
    status = await remote.status()
    assert status.schema_versions == (schema.SCHEMA_VERSION,)
    # As an engine of tomorrow, which no longer speaks the language of today.
    monkeypatch.setattr(state_module, "SCHEMA_VERSION", 2)
    with pytest.raises(EngineError) as raised:
        await remote.wait_ready()
    assert raised.value.code is ReasonCode.VERSION_MISMATCH
    assert status.version in str(raised.value)


async def test_a_newer_front_end_and_an_older_engine_speak_as_long_as_they_can(
    proxy, remote, monkeypatch
):
    plain = client_module.encode_job
    monkeypatch.setattr(client_module, "encode_job", lambda job: {**plain(job), "mood": "good"})
    # A field by hand is a mistake; one of another version is not.
    assert await code_of(remote) is ReasonCode.INVALID_REQUEST
    monkeypatch.setattr(client_module, "__version__", "9.9.9")
    assert await code_of(remote) is None
    monkeypatch.setattr(client_module, "encode_job", lambda job: {**plain(job), "version": 2})
    assert await code_of(remote) is ReasonCode.VERSION_MISMATCH
