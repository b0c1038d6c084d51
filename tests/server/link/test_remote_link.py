"""The way to an engine in another process: started once, kept, left when settings change."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest

from dg_lsp.job import ModelInfo
from dg_lsp.reason import CodedError, Reason, ReasonCode
from dg_lsp.server.link.engine_link import EnginePhase, EngineState, EngineUnavailableError
from dg_lsp.server.link.remote_link import RemoteLink
from dg_lsp.server.link.scripted import ScriptedInfiller
from dg_lsp.server.settings import Settings

INFO = ModelInfo("bundled", "cpu", 100, 50, False, 7)


@dataclass
class Status:
    state: str = "ready"
    error: Reason | None = None
    loading_percent: int | None = None
    model: ModelInfo | None = INFO


class CodedRefusal(CodedError, ValueError):
    """As services refuse."""


class Engine(ScriptedInfiller):
    """A scripted engine elsewhere."""

    def __init__(self) -> None:
        super().__init__(lambda job: ["x"])
        self.calls: list[str] = []
        self.ready = asyncio.Event()
        self.ready.set()
        self.refusal: ReasonCode | None = None
        self.says = Status()
        self.silent_s = self.unanswered_s = 0.0

    async def wait_ready(self, tell) -> Status:
        self.calls.append("wait_ready")
        tell(Status("loading", loading_percent=40))
        await self.ready.wait()
        if self.refusal is not None:
            raise CodedRefusal("refused", self.refusal)
        return Status()

    async def status(self) -> Status:
        if self.refusal is not None:
            raise CodedRefusal("refused", self.refusal)
        return self.says

    async def unload(self) -> None:
        self.calls.append("unload")
        if self.refusal is not None:
            raise CodedRefusal("refused", self.refusal)

    async def restart(self) -> None:
        self.calls.append("restart")

    async def close(self) -> None:
        self.calls.append("close")
        await super().close()


class Engines:
    """Hands out one engine per call, and keeps them all."""

    def __init__(self) -> None:
        self.made: list[Engine] = []
        self.addresses: list[str] = []
        self.link = RemoteLink(self, follow_s=0.01)
        self.phases: list[EnginePhase] = []
        self.states: list[EngineState] = []
        self.news = asyncio.Event()
        self.link.watch(self._take)

    def _take(self, state: EngineState) -> None:
        self.states.append(state)
        self.phases.append(state.phase)
        self.news.set()

    async def next_phase(self) -> EnginePhase:
        self.news.clear()
        async with asyncio.timeout(10):
            await self.news.wait()
        return self.link.state.phase

    def __call__(self, settings) -> Engine:
        if settings.address == "bad:1":
            raise CodedRefusal("bad:1 is no address", ReasonCode.BAD_ADDRESS)
        self.addresses.append(settings.address)
        self.made.append(Engine())
        return self.made[-1]

    def at(self, address: str) -> None:
        settings = Settings()
        self.link.configure(replace(settings, engine=replace(settings.engine, address=address)))


@pytest.fixture
async def engines():
    engines = Engines()
    yield engines
    await engines.link.close()


async def test_made_ready_once_for_all_who_ask(engines):
    infillers = await asyncio.gather(*(engines.link.infiller() for _ in range(3)))
    assert await engines.link.infiller() in infillers

    [engine] = engines.made
    assert (infillers, engine.calls) == ([engine] * 3, ["wait_ready"])
    assert engines.phases == [EnginePhase.STARTING, EnginePhase.STARTING, EnginePhase.READY]
    assert [state.percent for state in engines.states] == [None, 40, None]
    assert engines.link.state.model == INFO


async def test_a_failure_is_said_and_the_next_request_tries_again(engines):
    engine = engines.link._engine_now()
    engine.refusal = ReasonCode.NO_MODEL
    with pytest.raises(EngineUnavailableError) as raised:
        await engines.link.infiller()
    assert raised.value.code is ReasonCode.NO_MODEL
    assert engines.link.state.phase is EnginePhase.FAILED
    assert engines.link.state.failure == raised.value.reason
    with pytest.raises(EngineUnavailableError):
        await engines.link.unload()

    engine.refusal = None
    assert await engines.link.infiller() is engine
    assert engines.link.state.phase is EnginePhase.READY


async def test_one_who_gives_up_takes_nothing_from_the_others(engines):
    engine = engines.link._engine_now()
    engine.ready.clear()
    gives_up, waits = (asyncio.create_task(engines.link.infiller()) for _ in range(2))
    await asyncio.sleep(0)
    gives_up.cancel()
    await asyncio.sleep(0)
    engine.ready.set()
    assert await waits is engine
    with pytest.raises(asyncio.CancelledError):
        await gives_up


async def test_settings_that_name_another_engine(engines):
    first = await engines.link.infiller()
    engines.at("127.0.0.1:1")
    assert engines.link.state.phase is EnginePhase.IDLE
    second = await engines.link.infiller()
    engines.at("127.0.0.1:1")
    assert await engines.link.infiller() is second
    assert engines.addresses == ["", "127.0.0.1:1"]
    assert first.calls == ["wait_ready", "close"]

    engines.at("bad:1")
    with pytest.raises(EngineUnavailableError) as raised:
        await engines.link.infiller()
    assert raised.value.code is ReasonCode.BAD_ADDRESS


async def test_who_waits_when_settings_change_is_told(engines):
    engine = engines.link._engine_now()
    engine.ready.clear()
    waiting = asyncio.create_task(engines.link.infiller())
    await asyncio.sleep(0)
    engines.at("127.0.0.1:1")
    with pytest.raises(EngineUnavailableError) as raised:
        await waiting
    assert raised.value.code is ReasonCode.SETTINGS_CHANGED


async def test_restart_and_unload(engines):
    await engines.link.infiller()
    await engines.link.restart()
    await engines.link.unload()
    [engine] = engines.made
    assert engine.calls == ["wait_ready", "restart", "wait_ready", "unload"]
    assert engines.link.state.phase is EnginePhase.IDLE
    assert engines.link.state.model is not None
    assert await engines.link.infiller() is engine


async def test_what_becomes_of_an_engine_that_nobody_asks_is_noticed(engines):
    engine = await engines.link.infiller()
    engine.says = Status("unloaded", model="")
    assert await engines.next_phase() is EnginePhase.IDLE
    assert engines.link.state.model is not None
    engine.says = Status("loading", loading_percent=7)
    assert await engines.next_phase() is EnginePhase.STARTING
    assert engines.link.state.percent == 7
    engine.says = Status("failed", error=Reason(ReasonCode.DOES_NOT_FIT, "18 GB"))
    assert await engines.next_phase() is EnginePhase.FAILED
    assert engines.link.state.failure.code is ReasonCode.DOES_NOT_FIT
    engine.says = Status(model=replace(INFO, memory_bytes=9))
    assert await engines.next_phase() is EnginePhase.READY
    assert engines.link.state.model.memory_bytes == 9
    engine.refusal = ReasonCode.NO_ENGINE
    assert await engines.next_phase() is EnginePhase.IDLE
    assert engine.calls == ["wait_ready"]


async def test_a_failed_start_stays_said_while_nothing_answers(engines):
    engine = engines.link._engine_now()
    engine.refusal = ReasonCode.NO_MODEL
    with pytest.raises(EngineUnavailableError):
        await engines.link.infiller()
    await asyncio.sleep(0.05)
    assert engines.link.state.failure.code is ReasonCode.NO_MODEL


async def test_an_engine_that_does_not_answer_is_named_until_it_does(engines):
    engine = await engines.link.infiller()
    assert engines.link.silence() is None
    engine.silent_s = 60.0
    silence = engines.link.silence()
    assert silence.code is ReasonCode.ENGINE_SILENT
    engines.link.job_failed(silence)
    assert engines.link.state.failure == silence
    assert engines.link.silence() == silence
    # It still does not answer when it is asked.
    engine.refusal = ReasonCode.ENGINE_SILENT
    with pytest.raises(EngineUnavailableError):
        await engines.link.infiller()
    assert engines.link.silence().code is ReasonCode.ENGINE_SILENT

    engine.refusal, engine.silent_s = None, 0.0
    assert await engines.next_phase() is EnginePhase.READY
    assert engines.link.silence() is None
    engine.refusal = ReasonCode.ENGINE_SILENT
    assert await engines.next_phase() is EnginePhase.FAILED


async def test_an_engine_that_does_not_answer_at_the_first_request_is_named(engines):
    engine = engines.link._engine_now()
    engine.ready.clear()
    asking = asyncio.create_task(engines.link.infiller())
    await engines.next_phase()
    # While it loads its model, it may say nothing for a while.
    engine.silent_s = 60.0
    assert engines.link.silence() is None
    engine.unanswered_s = 60.0
    assert engines.link.silence().code is ReasonCode.ENGINE_SILENT
    engine.silent_s = engine.unanswered_s = 0.0
    engine.ready.set()
    await asking
    assert engines.link.silence() is None


@pytest.mark.parametrize("address", ["", "box:1"])
async def test_only_an_engine_of_this_machine_is_started_and_stopped_here(engines, address):
    engines.at(address)
    engine = await engines.link.infiller()
    engine.silent_s = 60.0
    begun = next(one for one in engines.states if one.phase is EnginePhase.STARTING)

    assert ("starting" in begun.message) == (not address)
    assert ("engine stop" in engines.link.silence().message) == (not address)


async def test_a_job_that_lost_its_engine_makes_the_next_one_look_first(engines):
    engine = await engines.link.infiller()
    engines.link.job_failed(Reason(ReasonCode.JOB_FAILED, "a bug"))
    assert engines.link.state.phase is EnginePhase.READY
    engines.link.job_failed(Reason(ReasonCode.ENGINE_LOST, "gone"))
    assert engines.link.state.phase is EnginePhase.IDLE
    assert await engines.link.infiller() is engine
    assert engine.calls == ["wait_ready", "wait_ready"]


async def test_an_engine_that_is_not_ours_is_not_restarted():
    class Elsewhere(Engine):
        restart = None

    link = RemoteLink(lambda settings: Elsewhere())
    with pytest.raises(EngineUnavailableError) as raised:
        await link.restart()
    assert raised.value.code is ReasonCode.REMOTE_ENGINE
    await link.close()
