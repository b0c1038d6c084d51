"""Engines for the service's tests: in this process, behind a socket, and as a process."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dg_lsp.config import (
    EngineSettings,
    LengthSettings,
    PromptSettings,
    PromptStyle,
    SamplerSettings,
)
from dg_lsp.engine.engine import Engine
from dg_lsp.engine.gemma import gemma_family
from dg_lsp.engine.masked import masked_family
from dg_lsp.job import ModelInfo, OpenedModel
from dg_lsp.models.scripted import ScriptedDenoiser
from dg_lsp.service.access.certificate import Certificate
from dg_lsp.service.address import Address
from dg_lsp.service.backend.forms import Kind
from dg_lsp.service.backend.infiller import BackendInfiller
from dg_lsp.service.client.infiller import HttpInfiller
from dg_lsp.service.http.app import make_app
from dg_lsp.service.http.metrics import Metrics
from dg_lsp.service.http.request import Access
from dg_lsp.service.http.server import make_server
from dg_lsp.service.process.host import EngineHost
from dg_lsp.service.process.lifecycle import EngineSpec, stop_engine
from tests.engine.masked_model import mask_tokens, settings_of
from tests.service.backend.vllm_server import VllmServer
from tests.service.masked_script import ScriptedMaskedDenoiser

AREA = "def area(self, radius):\n    return <|3.14 * radius|> ** 2\n"
SIDE = "def side(self):\n    return <|self.radius|> * 2\n"
NAME = "name = <|self|>.name\n"


def plain(marked: str) -> str:
    return marked.replace("<|", "").replace("|>", "")


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn until something is so."""
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.005)


@dataclass(slots=True)
class ScriptedLoader:
    """A `ModelLoader` whose model is a real engine around the scripted denoiser."""

    denoiser: ScriptedDenoiser
    codec: object
    error: Exception | None = None
    opened: int = 0
    released: int = 0

    def open(self) -> OpenedModel:
        self.opened += 1
        if self.error is not None:
            raise self.error
        return OpenedModel(
            new_engine(self.denoiser, self.codec),
            ModelInfo("scripted", "cpu", 200, 72),
            lambda text: len(self.codec.encode(text)),
        )

    def loading_percent(self) -> int | None:
        return 42

    def release(self) -> None:
        self.released += 1

    def device_memory_bytes(self) -> int:
        return 0


def new_engine(denoiser: ScriptedDenoiser | ScriptedMaskedDenoiser, codec) -> Engine:
    if isinstance(denoiser, ScriptedMaskedDenoiser):
        masked = settings_of(12)
        family = masked_family(masked, denoiser, codec, mask_tokens(codec))
        return Engine(denoiser, codec, family, masked, "scripted")
    settings = EngineSettings(
        PromptSettings(style=PromptStyle.BARE),
        SamplerSettings(max_denoising_steps=12),
        LengthSettings(lengths=tuple(range(1, 13))),
    )
    return Engine(
        denoiser, codec, gemma_family(settings, denoiser, codec), settings, "scripted"
    )


@pytest.fixture(name="until")
def until_fixture() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    return until


@pytest.fixture
def denoiser(tiny_codec) -> Iterator[ScriptedDenoiser]:
    denoiser = ScriptedDenoiser(tiny_codec, plain(AREA), plain(SIDE), plain(NAME))
    yield denoiser
    denoiser.gate.set()


@pytest.fixture
def loader(denoiser, tiny_codec) -> ScriptedLoader:
    return ScriptedLoader(denoiser, tiny_codec)


@pytest.fixture
def directory(monkeypatch) -> Iterator[Path]:
    """A runtime directory with a path short enough for a socket."""
    found = Path(tempfile.mkdtemp(prefix="dgl"))
    monkeypatch.setenv("DG_LSP_RUNTIME_DIR", str(found))
    monkeypatch.setenv("DG_LSP_LOG_DIR", str(found / "log"))
    yield found
    shutil.rmtree(found, ignore_errors=True)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def host(loader, metrics) -> AsyncIterator[EngineHost]:
    host = EngineHost(loader, on_job_end=lambda ended: metrics.count(ended.job, ended.result))
    async with asyncio.timeout(60):
        yield host
        loader.denoiser.gate.set()
        await host.close()


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    address: Address
    stopped: asyncio.Event
    """Set when a client asked for the end."""


@contextlib.asynccontextmanager
async def serving(
    host: EngineHost,
    listener: socket.socket,
    address: Address,
    access: Access,
    metrics: Metrics | None = None,
    certificate: Certificate | None = None,
) -> AsyncIterator[Served]:
    stopped = asyncio.Event()
    app = make_app(
        host, metrics or Metrics(), access=access, stop=stopped.set, log_path="/logs/engine.log"
    )
    server = make_server(app, stopped.set, certificate)
    task = asyncio.create_task(server.serve([listener]))
    await until(lambda: server.started)
    try:
        yield Served(address, stopped)
    finally:
        host.cancel_jobs()
        server.should_exit = True
        await task


@pytest.fixture
def serve_host() -> Callable[..., contextlib.AbstractAsyncContextManager[Served]]:
    """Puts a host behind an open socket: host, listener, address, access, and with TLS a
    certificate."""
    return serving


@pytest.fixture
async def served(host, metrics, directory) -> AsyncIterator[Served]:
    """The host behind a real socket and a real uvicorn."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(directory / "test.sock"))
        address = Address("http://dg-lsp", directory / "test.sock")
        async with serving(host, listener, address, Access(), metrics) as served:
            yield served


@pytest.fixture(name="new_engine")
def new_engine_fixture(denoiser, tiny_codec) -> Callable[[], Engine]:
    return lambda: new_engine(denoiser, tiny_codec)


@pytest.fixture
def new_client(served) -> Callable[[], HttpInfiller]:
    return lambda: HttpInfiller(served.address)


@contextlib.asynccontextmanager
async def serving_app(app: object) -> AsyncIterator[str]:
    """A server of another project behind a real TCP socket; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = make_server(app, lambda: None)
        task = asyncio.create_task(server.serve([listener]))
        await until(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await task


@pytest.fixture
def serve_app() -> Callable[..., contextlib.AbstractAsyncContextManager[str]]:
    return serving_app


@pytest.fixture
async def start_vllm(
    denoiser, tiny_codec
) -> AsyncIterator[Callable[[], Awaitable[VllmServer]]]:
    """Starts a server that answers as vLLM does, at its `url`."""
    async with contextlib.AsyncExitStack() as stack:

        async def start() -> VllmServer:
            made = VllmServer(lambda: new_engine(denoiser, tiny_codec), "a-token-for-vllm")
            stack.push_async_callback(made.close)
            made.url = await stack.enter_async_context(serving_app(made.app))
            return made

        yield start
        denoiser.gate.set()


def infiller_for(vllm: VllmServer) -> BackendInfiller:
    return BackendInfiller(Kind.VLLM, Address(vllm.url, None, "a-token-for-vllm"))


@pytest.fixture
async def vllm(start_vllm) -> VllmServer:
    return await start_vllm()


@pytest.fixture
def backend(vllm) -> Callable[[], BackendInfiller]:
    return lambda: infiller_for(vllm)


@pytest.fixture
async def client(served) -> AsyncIterator[HttpInfiller]:
    client = HttpInfiller(served.address)
    yield client
    await client.close()


ENGINE_SCRIPT = '''
import asyncio, mmap, os, sys, tempfile, time
from dg_lsp.cli import compose, main
from dg_lsp.fed_job import FedJob
from dg_lsp.job import Candidate, Draft, Infill, ModelInfo, OpenedModel
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.reason import Reason, ReasonCode

def read_a_cut_file():
    with tempfile.TemporaryFile() as file:
        file.truncate(1 << 20)
        mapped = mmap.mmap(file.fileno(), 1 << 20)
        file.truncate(0)
        mapped[1 << 19]

class Scripted:
    """Answers at once, but for a prefix of "hang", which drafts once and goes no further, of
    "lose", which loses the GPU, and of "map", which reads a mapped file that has been cut."""
    def submit(self, job):
        handle = FedJob(job)
        handle.publish(Draft("ab", (0.1, 0.2), 1, 2))
        if job.prefix == "lose":
            handle.fail(Reason(ReasonCode.GPU_LOST, "the GPU refuses everything"))
            return handle
        if job.prefix == "map":
            asyncio.get_running_loop().call_later(0.2, read_a_cut_file)
            return handle
        if job.prefix != "hang":
            text = f"{job.prefix}{os.getpid()}"
            infill = Infill((Candidate(text, 0.9, -0.1, (0.9,) * len(text)),), 2)
            handle.finish(infill)
        return handle
    async def close(self): pass

def open_scripted(model, device, report, vram, lost_as, max_jobs):
    if model == "absent":
        raise CheckpointError("no model named absent; try bundled", ReasonCode.NO_MODEL)
    # As a ladder does, without torch.
    runs_as, notes = "steps in graphs", ()
    if runs_as in lost_as:
        runs_as, notes = "plain torch", (Reason(ReasonCode.GPU_LOST, "plain torch instead"),)
    info = ModelInfo(model or "scripted", "cpu", 9, 9, False, notes=notes, runs_as=runs_as)
    return OpenedModel(Scripted(), info, len)

compose.open_infiller = open_scripted
if os.environ.get("DG_LSP_TEST_BROKEN"):
    sys.exit("dg-lsp: broken for the test")
main()
'''


@pytest.fixture
async def spec(directory) -> AsyncIterator[EngineSpec]:
    """A wish for an engine process with a scripted model; it is ended after the test."""
    script = directory / "engine.py"
    script.write_text(ENGINE_SCRIPT)
    spec = EngineSpec(command=(sys.executable, "-P", str(script)))
    yield spec
    for lock in directory.glob("engine*.lock"):
        await stop_engine(directory, lock.stem)
