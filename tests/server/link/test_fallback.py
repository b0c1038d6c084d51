"""A link whose engine elsewhere goes and comes back, with one on this machine beside it."""

from __future__ import annotations

import asyncio

import pytest

from dg_lsp.job import InfillJob
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.server.link.engine_link import EnginePhase, EngineUnavailableError
from dg_lsp.server.link.fallback import FallbackEngine
from dg_lsp.server.link.remote_link import RemoteLink
from tests.server.link.test_remote_link import Engine, Status

LOST = Reason(ReasonCode.ENGINE_LOST, "the network was cut")


class Elsewhere(Engine):
    restart = None


class Pair:
    """Both engines, and a link to them."""

    def __init__(self) -> None:
        self.remote, self.local = Elsewhere(), Engine()

        both = FallbackEngine(self.remote, self.local)
        self.link = RemoteLink(lambda settings: both, follow_s=0.01)

    async def codes(self) -> list[ReasonCode]:
        """What the status says beside a suggestion."""
        infiller = await self.link.infiller()
        assert (await infiller.submit(InfillJob("a", "b")).result()).infill.candidates
        return [note.code for note in self.link.state.model.notes]


@pytest.fixture
async def pair():
    pair = Pair()
    yield pair
    await pair.link.close()


async def test_the_one_elsewhere_is_used_while_it_answers(pair):
    assert await pair.codes() == []
    assert pair.local.calls == []
    with pytest.raises(EngineUnavailableError) as raised:
        await pair.link.restart()
    assert raised.value.code is ReasonCode.REMOTE_ENGINE


@pytest.mark.parametrize(
    "code", [ReasonCode.NO_ENGINE, ReasonCode.UNREACHABLE, ReasonCode.ENGINE_SILENT]
)
async def test_the_local_one_stands_in_and_the_status_says_so_until_it_is_back(pair, code):
    assert await pair.codes() == []
    # The network goes in the middle of a job.
    pair.remote.refusal = code
    pair.link.job_failed(LOST)
    assert await pair.codes() == [ReasonCode.LOCAL_ENGINE]
    assert pair.local.calls == ["wait_ready"]
    # It is restarted and unloaded in place of the other one.
    await pair.link.restart()
    await pair.link.unload()
    assert pair.local.calls == ["wait_ready", "restart", "wait_ready", "unload"]
    assert await pair.codes() == [ReasonCode.LOCAL_ENGINE]

    pair.remote.refusal = None
    async with asyncio.timeout(10):
        while pair.link.state.model.notes:
            await asyncio.sleep(0.01)
    before = [*pair.local.calls]
    assert await pair.codes() == []
    assert pair.local.calls == before


async def test_one_that_is_back_but_loads_its_model_is_waited_for_elsewhere(pair):
    pair.remote.refusal = ReasonCode.NO_ENGINE
    assert await pair.codes() == [ReasonCode.LOCAL_ENGINE]
    pair.remote.refusal, pair.remote.says = None, Status("loading")
    await asyncio.sleep(0.05)
    assert await pair.codes() == [ReasonCode.LOCAL_ENGINE]


async def test_a_refusal_is_no_reason_to_fall_back(pair):
    pair.remote.refusal = ReasonCode.TOKEN_REFUSED
    with pytest.raises(EngineUnavailableError) as raised:
        await pair.link.infiller()
    assert raised.value.code is ReasonCode.TOKEN_REFUSED
    assert pair.local.calls == []


async def test_where_neither_can_be_had_the_local_reason_is_given(pair):
    pair.remote.refusal = ReasonCode.NO_ENGINE
    pair.local.refusal = ReasonCode.CANNOT_START
    with pytest.raises(EngineUnavailableError) as raised:
        await pair.link.infiller()
    assert raised.value.code is ReasonCode.CANNOT_START
    assert pair.link.state.phase is EnginePhase.FAILED
    pair.local.refusal = None
    assert await pair.codes() == [ReasonCode.LOCAL_ENGINE]


async def test_an_answer_that_comes_late_says_nothing_else_than_what_is_used(pair):
    """The one elsewhere was asked before the local one stood in, and answers after that."""
    asked, answers = asyncio.Event(), asyncio.Event()
    both, right = FallbackEngine(pair.remote, pair.local), pair.remote.status

    async def status() -> Status:
        asked.set()
        await answers.wait()
        return await right()

    pair.remote.status = status
    late = asyncio.create_task(both.status())
    await asked.wait()
    pair.remote.refusal = ReasonCode.UNREACHABLE
    assert (await both.wait_ready(lambda now: None)).model.notes
    pair.remote.refusal = None
    answers.set()

    assert not (await late).model.notes
    # So jobs go there as well, and no process on this machine would be restarted.
    assert both.restart is None
