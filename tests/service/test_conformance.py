"""One suite for every `Infiller`, with either family of models: the engine in this process, one
behind a real socket, and one behind a server that answers as vLLM does."""

from __future__ import annotations

import asyncio

import pytest

from dg_lsp.fed_job import CANCELLED, SUPERSEDED
from dg_lsp.job import Infill, Infiller, InfillJob, JobHandle, JobResult, JobState
from dg_lsp.models.scripted import ScriptedDenoiser
from dg_lsp.reason import ReasonCode
from tests.service.conftest import infiller_for
from tests.service.masked_script import ScriptedMaskedDenoiser

AREA = "def area(self, radius):\n    return <|3.14 * radius|> ** 2\n"
SIDE = "def side(self):\n    return <|self.radius|> * 2\n"
NAME = "name = <|self|>.name\n"
OPEN = (JobState.WAITING, JobState.RUNNING)


def job(marked: str, document: str = "a.py", **rest) -> InfillJob:
    prefix, _, suffix = parts(marked)
    return InfillJob(prefix, suffix, document=document, **rest)


def texts(infill: Infill) -> list[str]:
    return [candidate.text for candidate in infill.candidates]


def parts(marked: str) -> tuple[str, str, str]:
    prefix, span, suffix = marked.replace("|>", "<|").split("<|")
    return prefix, span, suffix


@pytest.fixture(params=["uniform", "masked"])
def denoiser(request, tiny_codec):
    documents = [parts(marked) for marked in (AREA, SIDE, NAME)]
    denoiser = (
        ScriptedDenoiser(tiny_codec, *map("".join, documents))
        if request.param == "uniform"
        else ScriptedMaskedDenoiser(tiny_codec, *documents)
    )
    yield denoiser
    denoiser.gate.set()


OURS = ["in process", "behind a socket"]
ours = pytest.mark.parametrize("infiller", OURS, indirect=True)
"""For what only our own engine does: it says how sure it is, and what runs next."""


@pytest.fixture(params=[*OURS, "behind vllm"])
async def infiller(request, denoiser, new_engine, new_client, start_vllm):
    if request.param == "behind vllm":
        infiller = infiller_for(await start_vllm())
    else:
        infiller = new_engine() if request.param == "in process" else new_client()
    async with asyncio.timeout(60):
        yield infiller
        denoiser.gate.set()
        await infiller.close()


async def blocked(
    infiller: Infiller, denoiser: ScriptedDenoiser, wanted: InfillJob
) -> JobHandle:
    """A job that is inside its first denoising step until the gate is opened."""
    denoiser.gate.clear()
    denoiser.entered.clear()
    handle = infiller.submit(wanted)
    assert await asyncio.to_thread(denoiser.entered.wait, 10)
    return handle


async def test_fills_the_span(infiller):
    handle = infiller.submit(job(AREA))
    infill = (await handle.result()).infill

    assert texts(infill) == ["3.14 * radius"]
    assert handle.state is JobState.DONE
    assert infill.model
    assert infill.timings_ms["total"] > 0
    assert (await handle.result()).infill == infill


@ours
async def test_says_how_sure_it_is_and_where_the_time_went(infiller):
    infill = (await infiller.submit(job(AREA)).result()).infill

    assert infill.model == "scripted"
    assert set(infill.timings_ms) == {"queue", "prompt", "encode", "denoise", "rank", "total"}
    assert len(infill.candidates[0].confidences) == len("3.14 * radius")


@ours
async def test_the_same_job_has_the_same_answer_everywhere(infiller, new_engine):
    there = new_engine()
    expect = (await there.submit(job(AREA, candidates=2)).result()).infill
    found = (await infiller.submit(job(AREA, candidates=2)).result()).infill
    await there.close()

    assert (found.candidates, found.steps) == (expect.candidates, expect.steps)


@ours
async def test_several_documents_are_all_answered(infiller, denoiser):
    first = await blocked(infiller, denoiser, job(AREA))
    others = [infiller.submit(job(SIDE, name)) for name in ("b.py", "", "")]
    assert first.state in OPEN
    assert others[0].state is JobState.WAITING
    denoiser.gate.set()

    assert texts((await first.result()).infill) == ["3.14 * radius"]
    assert [texts((await other.result()).infill) for other in others] == [["self.radius"]] * 3


async def test_drafts_come_in_order_and_end_before_the_result(infiller):
    handle = infiller.submit(job(AREA))
    drafts = [draft async for draft in handle.drafts()]

    steps = [draft.step for draft in drafts]
    assert steps == sorted(set(steps))
    assert steps
    # A server of another project does not say how sure it is.
    assert all(len(draft.confidence) in (0, len(draft.text)) for draft in drafts)
    assert texts((await handle.result()).infill) == ["3.14 * radius"]


async def test_a_reader_that_comes_late_finds_the_last_draft_and_the_end(infiller):
    handle = infiller.submit(job(AREA))
    infill = (await handle.result()).infill
    for expect in ([infill.steps], []):
        async with asyncio.timeout(2):
            assert [draft.step async for draft in handle.drafts()] == expect


@ours
async def test_a_cancelled_job_ends_within_one_step(infiller, denoiser, host, until):
    handle = await blocked(infiller, denoiser, job(AREA))
    handle.cancel()

    assert (await handle.result()).infill == Infill((), 0, reason=CANCELLED)
    assert handle.state is JobState.CANCELLED
    assert [draft async for draft in handle.drafts()] == []
    # The word has to travel; the step under way is the last one.
    await until(lambda: host.count_jobs()[1] == 0)
    denoiser.gate.set()
    infill = (await infiller.submit(job(SIDE, "b.py")).result()).infill
    assert texts(infill) == ["self.radius"]
    assert len(denoiser.canvases) == 1 + infill.steps


@ours
async def test_a_superseded_job_ends_within_one_step(infiller, denoiser, host, until):
    handle = await blocked(infiller, denoiser, job(AREA))
    newer = infiller.submit(job(SIDE))

    expect = Infill((), 0, reason=SUPERSEDED)
    assert await handle.result() == JobResult(JobState.SUPERSEDED, expect)
    assert [draft async for draft in handle.drafts()] == []
    # The word has to travel; the step under way is the last one.
    await until(lambda: host.count_jobs()[1] == 0)
    denoiser.gate.set()
    infill = (await newer.result()).infill
    assert texts(infill) == ["self.radius"]
    assert len(denoiser.canvases) == 1 + infill.steps


@ours
async def test_any_other_job_ends_a_speculative_one_within_one_step(
    infiller, denoiser, host, until
):
    ahead = await blocked(infiller, denoiser, job(AREA, is_speculative=True))
    wanted = infiller.submit(job(SIDE, "b.py"))

    assert (await ahead.result()).state is JobState.SUPERSEDED
    await until(lambda: host.count_jobs()[1] == 0)
    denoiser.gate.set()
    infill = (await wanted.result()).infill
    assert texts(infill) == ["self.radius"]
    assert len(denoiser.canvases) == 1 + infill.steps


@ours
async def test_a_speculative_job_waits_until_nobody_wants_anything(infiller, denoiser):
    wanted = await blocked(infiller, denoiser, job(AREA))
    ahead = infiller.submit(job(SIDE, "b.py", is_speculative=True))
    also = infiller.submit(job(NAME, "c.py"))
    denoiser.gate.set()

    first = (await also.result()).infill
    assert texts(first) == ["self"]
    assert wanted.state is JobState.DONE
    last = (await ahead.result()).infill
    assert texts(last) == ["self.radius"]
    # It came earlier and began later.
    assert last.timings_ms["queue"] > first.timings_ms["queue"] + first.timings_ms["total"]


@ours
async def test_a_speculative_job_that_is_wanted_goes_on_where_it_is(infiller, denoiser):
    [expect] = [await infiller.submit(job(AREA, "b.py")).result()]
    steps = len(denoiser.canvases)
    ahead = await blocked(infiller, denoiser, job(AREA, is_speculative=True))
    wanted = infiller.submit(job(AREA))
    assert (await ahead.result()).state is JobState.SUPERSEDED
    denoiser.gate.set()

    drafts = [draft.step async for draft in wanted.drafts()]
    result = await wanted.result()
    assert drafts
    assert (result.state, result.infill.candidates) == (
        JobState.DONE,
        expect.infill.candidates,
    )
    assert len(denoiser.canvases) == 2 * steps


@ours
@pytest.mark.parametrize("ends", ["cancel", "supersede"])
async def test_a_speculative_job_that_is_wanted_can_be_ended(
    infiller, denoiser, host, until, ends
):
    ahead = await blocked(infiller, denoiser, job(AREA, is_speculative=True))
    wanted = infiller.submit(job(AREA))
    assert (await ahead.result()).state is JobState.SUPERSEDED
    if ends == "cancel":
        wanted.cancel()
    newest = infiller.submit(job(SIDE))
    expect = JobState.CANCELLED if ends == "cancel" else JobState.SUPERSEDED
    assert (await wanted.result()).state is expect
    await until(lambda: host.count_jobs()[1] == 0)
    denoiser.gate.set()

    infill = (await newest.result()).infill
    assert texts(infill) == ["self.radius"]
    assert len(denoiser.canvases) == 1 + infill.steps


async def test_the_newest_of_many_keystrokes_is_answered(infiller, denoiser):
    handles = [await blocked(infiller, denoiser, job(AREA))]
    handles += [infiller.submit(job(AREA, seed=n)) for n in range(5)]
    # Over a socket, an early step could end before the newest job has arrived.
    ended = [(await handle.result()).state for handle in handles[:-1]]
    assert ended == [JobState.SUPERSEDED] * 5
    denoiser.gate.set()

    assert texts((await handles[-1].result()).infill) == ["3.14 * radius"]


async def test_cancelling_again_or_too_late_does_nothing(infiller, denoiser):
    handle = await blocked(infiller, denoiser, job(AREA))
    handle.cancel()
    handle.cancel()
    denoiser.gate.set()
    done = infiller.submit(job(AREA))
    infill = (await done.result()).infill
    done.cancel()

    assert (handle.state, done.state) == (JobState.CANCELLED, JobState.DONE)
    assert (await done.result()).infill == infill


async def test_a_job_that_raises_fails_alone(infiller, denoiser):
    denoiser.error = RuntimeError("out of memory")
    failed = infiller.submit(job(AREA))
    infill = (await failed.result()).infill

    assert (failed.state, infill.candidates) == (JobState.FAILED, ())
    assert infill.reason.code is ReasonCode.JOB_FAILED
    assert "out of memory" in infill.reason.message
    assert [draft async for draft in failed.drafts()] == []

    denoiser.error = None
    assert texts((await infiller.submit(job(AREA)).result()).infill) == ["3.14 * radius"]


async def test_giving_up_on_a_result_leaves_the_job_alone(infiller, denoiser):
    handle = await blocked(infiller, denoiser, job(AREA))
    waiting = asyncio.create_task(handle.result())
    await asyncio.sleep(0)
    waiting.cancel()
    denoiser.gate.set()

    assert texts((await handle.result()).infill) == ["3.14 * radius"]


async def test_closing_cancels_what_is_open(infiller, denoiser):
    running = await blocked(infiller, denoiser, job(AREA))
    waiting = infiller.submit(job(SIDE, "b.py"))
    closing = asyncio.create_task(infiller.close())
    for handle in (running, waiting):
        assert (await handle.result()).infill.candidates == ()
        assert handle.state is JobState.CANCELLED
    denoiser.gate.set()
    await closing

    with pytest.raises(RuntimeError):
        infiller.submit(job(AREA))


async def test_closing_twice_is_closing_once(infiller):
    await infiller.submit(job(AREA)).result()
    await infiller.close()
    await infiller.close()
