"""An engine whose jobs are filled by another server."""

from __future__ import annotations

import asyncio
import socket

import pytest

from dg_lsp.job import InfillJob, JobState
from dg_lsp.reason import ReasonCode
from dg_lsp.service.address import Address
from dg_lsp.service.backend.loader import BackendLoader
from dg_lsp.service.client.infiller import HttpInfiller
from dg_lsp.service.client.refusals import EngineError
from dg_lsp.service.http.request import Access
from dg_lsp.service.process.host import EngineHost
from tests.service.backend.vllm_server import MODEL

AREA = InfillJob("def area(self, radius):\n    return ", " ** 2\n", path="a.py")


async def test_clients_of_the_engine_need_not_know_the_server(backend, serve_host):
    host = EngineHost(BackendLoader(backend))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address(f"http://127.0.0.1:{listener.getsockname()[1]}")
        async with serve_host(host, listener, address, Access()):
            client = HttpInfiller(address)
            status = await client.wait_ready()
            assert status.model.name == MODEL
            assert [note.code for note in status.model.notes] == [ReasonCode.OTHER_SERVER]
            result = await client.submit(AREA).result()
            assert result.state is JobState.DONE
            assert [one.text for one in result.infill.candidates] == ["3.14 * radius"]
            assert await client.unload() is None
            await client.close()
            await host.close()


async def test_a_server_that_is_not_there_is_said(vllm):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gone = Address(f"http://127.0.0.1:{taken.getsockname()[1]}")

    def connect():
        from dg_lsp.service.backend.forms import Kind
        from dg_lsp.service.backend.infiller import BackendInfiller

        return BackendInfiller(Kind.VLLM, gone)

    with pytest.raises(EngineError) as raised:
        await asyncio.to_thread(BackendLoader(connect).open)
    assert raised.value.code is ReasonCode.NO_ENGINE
