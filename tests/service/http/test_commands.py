"""Commands that the engine runs for the user's own command line."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

import httpx
import pytest

from dg_lsp import __version__
from dg_lsp.job import InfillJob, JobState
from dg_lsp.service.address import Address
from dg_lsp.service.http import commands
from dg_lsp.service.http.app import make_app
from dg_lsp.service.http.commands import PATH
from dg_lsp.service.http.metrics import Metrics
from dg_lsp.service.http.request import Access
from dg_lsp.service.http.server import make_server
from dg_lsp.service.schema import VERSION_HEADER
from tests.service.conftest import until

NAME = InfillJob("name = ", ".name\n", path="a.py")
OURS = {VERSION_HEADER: __version__}


class Command:
    """Fills one span, and says which model there is and how the job ended."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.state: JobState | None = None

    def __call__(self, request, jobs, model, put) -> None:
        async def fill() -> JobState:
            handle = jobs.submit(NAME)
            async for draft in handle.drafts():
                put(f"{draft.step};".encode())
            result = await handle.result()
            put("".join(one.text for one in result.infill.candidates).encode())
            return result.state

        put(request + model.name.encode())
        self.state = asyncio.run(fill())
        self.ended.set()


@pytest.fixture
def command() -> Command:
    return Command()


@pytest.fixture
async def http(host, directory, command):
    app = make_app(host, Metrics(), access=Access(), stop=lambda: None, command=command)
    server = make_server(app, lambda: None)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(directory / "test.sock"))
        task = asyncio.create_task(server.serve([listener]))
        await until(lambda: server.started)
        transport = httpx.AsyncHTTPTransport(uds=str(directory / "test.sock"))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://e", headers=OURS, timeout=20
        ) as http:
            yield http
        host.cancel_jobs()
        server.should_exit = True
        await task


async def load(host) -> None:
    host.start_loading()
    await until(lambda: host.opened is not None)


async def test_a_command_has_jobs_done_and_answers(http, host):
    await load(host)
    answer = await http.post(PATH, content=b"for ")

    assert answer.status_code == 200
    assert answer.text.startswith("for scripted")
    assert answer.text.endswith(";self")


@pytest.mark.parametrize(
    ("theirs", "status", "code"),
    [("0.0.1", 409, "version-mismatch"), (__version__, 503, "loading")],
)
async def test_a_command_that_cannot_begin_is_refused(http, host, theirs, status, code):
    answer = await http.post(PATH, headers={VERSION_HEADER: theirs})

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert host.opened is None


async def test_a_client_that_leaves_cancels_the_job(http, host, denoiser, command):
    await load(host)
    denoiser.gate.clear()
    asking = asyncio.create_task(http.post(PATH))
    assert await asyncio.to_thread(denoiser.entered.wait, 10)
    asking.cancel()
    await until(lambda: host.count_jobs() == (0, 0))

    assert await asyncio.to_thread(command.ended.wait, 10)
    assert command.state is JobState.CANCELLED


async def test_commands_that_fill_the_same_file_do_not_supersede_each_other(
    http, host, denoiser
):
    await load(host)
    denoiser.gate.clear()
    asking = [asyncio.create_task(http.post(PATH)) for _ in range(3)]
    await until(lambda: sum(host.count_jobs()) == 3)
    denoiser.gate.set()

    assert all([(await one).text.endswith("self") for one in asking])


async def test_signs_of_life_come_while_a_command_waits(http, host, denoiser, monkeypatch):
    monkeypatch.setattr(commands, "ALIVE_S", 0.02)
    await load(host)
    denoiser.gate.clear()
    async with http.stream("POST", PATH) as answer:
        pieces = answer.aiter_bytes()
        assert await anext(pieces) == b"scripted"
        assert await anext(pieces) == await anext(pieces) == b"\n"
        denoiser.gate.set()
        assert b"".join([piece async for piece in pieces]).endswith(b"self")


async def test_more_commands_than_there_are_threads_are_refused(http, host, denoiser):
    await load(host)
    denoiser.gate.clear()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(commands.MOST_COMMANDS):
            await stack.enter_async_context(http.stream("POST", PATH))
        answer = await http.post(PATH)

    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "busy")
    await until(lambda: host.count_jobs() == (0, 0))
    denoiser.gate.set()
    # The ended ones make room.
    while (answer := await http.post(PATH)).status_code == 429:
        await asyncio.sleep(0.01)
    assert answer.text.endswith("self")


async def test_other_engines_have_no_such_endpoint(host, serve_host):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with (
            serve_host(host, listener, Address(url), Access()),
            httpx.AsyncClient(base_url=url, headers=OURS) as http,
        ):
            answer = await http.post(PATH)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no-endpoint")
