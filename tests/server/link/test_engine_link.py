"""A model that is opened beside the session: when, how often, and what when it fails."""

from __future__ import annotations

import asyncio
import threading

import pytest

from dg_lsp.job import InfillJob, ModelInfo, OpenedModel
from dg_lsp.reason import ReasonCode
from dg_lsp.server.link.engine_link import (
    EnginePhase,
    EngineUnavailableError,
    InProcessLink,
)
from dg_lsp.server.link.scripted import ScriptedInfiller


class Opener:
    """Counts how often it opens, and waits for its gate."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.num_opened = 0
        self.error: Exception | None = None
        self.infiller = ScriptedInfiller(lambda job: ["x"])

    def __call__(self) -> OpenedModel:
        self.num_opened += 1
        assert self.gate.wait(10)
        if self.error is not None:
            raise self.error
        return OpenedModel(self.infiller, ModelInfo("bundled", "cpu", 10, 5, False), len)


async def test_opened_once_when_first_needed():
    opener = Opener()
    link, phases = InProcessLink(opener), []
    link.watch(lambda state: phases.append(state.phase))
    assert (link.state.phase, opener.num_opened) == (EnginePhase.IDLE, 0)
    assert link.measure("abcdef") == 2

    opener.gate.clear()
    asking = [asyncio.create_task(link.infiller()) for _ in range(3)]
    await asyncio.sleep(0)
    # One who gives up takes nothing from the others.
    asking.pop().cancel()
    opener.gate.set()
    assert await asyncio.gather(*asking) == [opener.infiller] * 2

    assert opener.num_opened == 1
    assert phases == [EnginePhase.STARTING, EnginePhase.READY]
    assert link.state.model is not None
    assert (link.state.model.name, link.state.model.follows_instructions) == ("bundled", False)
    assert link.measure("abcdef") == 6


@pytest.mark.parametrize(
    ("error", "code", "names"),
    [
        (EngineUnavailableError("/x", ReasonCode.NO_MODEL), ReasonCode.NO_MODEL, "/x"),
        (RuntimeError("CUDA error"), ReasonCode.LOAD_FAILED, "RuntimeError"),
        (ValueError("too few values"), ReasonCode.LOAD_FAILED, "ValueError"),
    ],
)
async def test_a_failure_is_said_and_the_next_request_tries_again(error, code, names):
    opener = Opener()
    opener.error = error
    link = InProcessLink(opener)
    with pytest.raises(EngineUnavailableError) as raised:
        await link.infiller()
    assert raised.value.code is code
    assert names in str(raised.value)
    assert (link.state.phase, link.state.failure) == (EnginePhase.FAILED, raised.value.reason)

    opener.error = None
    assert await link.infiller() is opener.infiller
    assert link.state.phase is EnginePhase.READY


async def test_unloading_closes_the_engine_and_keeps_what_is_known_of_the_model():
    opener = Opener()
    link = InProcessLink(opener)
    infiller = await link.infiller()
    handle = infiller.submit(InfillJob("", ""))
    opener.infiller.gate.clear()
    await link.unload()

    assert handle.state.value == "cancelled"
    assert link.state.phase is EnginePhase.IDLE
    assert link.state.model is not None
    await link.restart()
    assert (link.state.phase, opener.num_opened) == (EnginePhase.READY, 2)
    await link.close()
