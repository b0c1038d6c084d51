"""The engine's thread, what a job costs it, and its memory.

What every `Infiller` does is in tests/service/test_conformance.py, for the engine as well.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging
import random
import threading
import weakref
from collections.abc import AsyncIterator

import pytest
import torch

from dg_lsp.config import (
    EngineSettings,
    LengthSettings,
    PromptSettings,
    PromptStyle,
    SamplerSettings,
    SharingSettings,
)
from dg_lsp.engine.denoiser import OutOfMemoryError
from dg_lsp.engine.engine import Engine, EngineJob
from dg_lsp.engine.gemma import gemma_family
from dg_lsp.fed_job import CANCELLED
from dg_lsp.job import Infill, InfillJob, JobState
from dg_lsp.models.loading import load
from dg_lsp.models.scripted import ScriptedDenoiser
from dg_lsp.reason import ReasonCode

AREA = "def area(self, radius):\n    return <|3.14 * radius|> ** 2\n"
SIDE = "def side(self):\n    return <|self.radius|> * 2\n"
NAME = "name = <|self|>.name\n"


def plain(marked: str) -> str:
    return marked.replace("<|", "").replace("|>", "")


def job(marked: str, document: str = "a.py", **rest) -> InfillJob:
    prefix, _, suffix = marked.replace("|>", "<|").split("<|")
    return InfillJob(prefix, suffix, document=document, **rest)


def texts(infill: Infill) -> list[str]:
    return [candidate.text for candidate in infill.candidates]


def new_engine(denoiser: ScriptedDenoiser, codec, **more) -> Engine:
    settings = EngineSettings(
        PromptSettings(style=PromptStyle.BARE),
        SamplerSettings(max_denoising_steps=12),
        LengthSettings(lengths=tuple(range(1, 13))),
        **more,
    )
    family = gemma_family(settings, denoiser, codec)
    return Engine(denoiser, codec, family, settings, "scripted")


@pytest.fixture
def denoiser(tiny_codec) -> ScriptedDenoiser:
    return ScriptedDenoiser(tiny_codec, plain(AREA), plain(SIDE), plain(NAME))


@pytest.fixture
async def engine(tiny_codec, denoiser) -> AsyncIterator[Engine]:
    engine = new_engine(denoiser, tiny_codec)
    async with asyncio.timeout(30):
        yield engine
        denoiser.gate.set()
        await engine.close()


async def blocked(engine: Engine, denoiser: ScriptedDenoiser, wanted: InfillJob) -> EngineJob:
    """A job that is inside its first denoising step until the gate is opened."""
    denoiser.gate.clear()
    denoiser.entered.clear()
    handle = engine.submit(wanted)
    assert await asyncio.to_thread(denoiser.entered.wait, 10)
    return handle


async def test_a_job_waits_then_runs_then_is_done(engine, denoiser):
    running = await blocked(engine, denoiser, job(AREA))
    waiting = engine.submit(job(SIDE, "b.py"))

    assert (running.state, waiting.state) == (JobState.RUNNING, JobState.WAITING)
    denoiser.gate.set()
    assert texts((await waiting.result()).infill) == ["self.radius"]
    assert (running.state, waiting.state) == (JobState.DONE, JobState.DONE)


async def test_a_slow_reader_misses_older_drafts_only(engine):
    handle = engine.submit(job(AREA))
    steps = []
    async with asyncio.timeout(20):
        async for draft in handle.drafts():
            steps.append(draft.step)
            # All further drafts and the end arrive while this one is being shown.
            infill = (await handle.result()).infill

    assert steps == sorted({*steps, infill.steps})
    assert len(steps) <= 2


async def test_a_waiting_job_that_is_cancelled_never_starts(engine, denoiser):
    running = await blocked(engine, denoiser, job(NAME, "c.py"))
    waiting = engine.submit(job(AREA))
    waiting.cancel()

    assert (await waiting.result()).infill == Infill((), 0, reason=CANCELLED)
    denoiser.gate.set()
    assert texts((await running.result()).infill) == ["self"]
    await engine.close()
    assert len(denoiser.prompts) == 1


@pytest.mark.parametrize(
    ("tool", "editor"),
    [({"client": "tool"}, {"client": "editor"}), ({"document": ""}, {})],
    ids=["by name", "without names"],
)
async def test_a_client_with_many_jobs_does_not_keep_an_editor_waiting(
    engine, denoiser, tool, editor
):
    running = await blocked(engine, denoiser, job(NAME, "c.py"))
    order = []

    async def noted(name: str, handle: EngineJob) -> None:
        await handle.result()
        order.append(name)

    many = [
        engine.submit(dataclasses.replace(job(AREA, f"{n}.py"), path="", **tool))
        for n in range(6)
    ]
    one = engine.submit(dataclasses.replace(job(SIDE, "b.py"), **editor))
    waiting = [noted("tool", handle) for handle in many] + [noted("editor", one)]
    gathered = asyncio.gather(*waiting)
    denoiser.gate.set()
    await gathered
    assert (await running.result()).state is JobState.DONE
    assert order.index("editor") <= 2


async def test_the_newest_of_many_keystrokes_is_answered(engine, denoiser):
    handles = [await blocked(engine, denoiser, job(AREA))]
    handles += [engine.submit(job(AREA, seed=n)) for n in range(5)]
    denoiser.gate.set()
    infill = (await handles[-1].result()).infill

    assert texts(infill) == ["3.14 * radius"]
    assert [handle.state for handle in handles[:-1]] == [JobState.SUPERSEDED] * 5
    assert len(denoiser.canvases) == 1 + infill.steps


async def test_the_log_tells_which_document_s_job_failed(engine, denoiser, caplog):
    denoiser.error = RuntimeError("out of memory")
    await engine.submit(job(AREA)).result()

    [error] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "a.py" in error.message


async def test_closing_makes_no_further_step(engine, denoiser):
    running = await blocked(engine, denoiser, job(AREA))
    engine.submit(job(SIDE, "b.py"))
    closing = asyncio.create_task(engine.close())
    await running.result()
    denoiser.gate.set()
    await closing

    assert len(denoiser.canvases) == 1


async def test_a_job_that_runs_out_of_memory_is_tried_again_without_caches(
    engine, denoiser, caplog
):
    given_up = []

    def shrink() -> int:
        given_up.append(len(denoiser.canvases))
        denoiser.error = None
        return 1000

    denoiser.shrink = shrink
    denoiser.error = OutOfMemoryError("out of memory on cuda:0")
    handle = engine.submit(job(AREA))

    assert texts((await handle.result()).infill) == ["3.14 * radius"]
    assert given_up == [1]
    for name in ("a.py", "cuda:0"):
        assert name in caplog.messages[0]
    # Neither a traceback nor anything else keeps the tensors of the failed try.
    assert all(record.exc_info is None for record in caplog.records)


@pytest.mark.parametrize(("freed", "tries"), [(0, 1), (1000, 2)])
async def test_a_job_that_fits_nowhere_ends_empty_and_the_engine_lives_on(
    engine, denoiser, freed, tries
):
    denoiser.shrink = lambda: freed
    denoiser.error = OutOfMemoryError("out of memory on cuda:0")
    handle = engine.submit(job(AREA))
    infill = (await handle.result()).infill

    assert (handle.state, infill.candidates) == (JobState.FAILED, ())
    assert infill.reason.code is ReasonCode.OUT_OF_MEMORY
    assert len(denoiser.canvases) == tries

    denoiser.error = None
    assert texts((await engine.submit(job(AREA)).result()).infill) == ["3.14 * radius"]


async def test_what_the_denoiser_does_not_know_fails_too(engine):
    handle = engine.submit(InfillJob("an unknown document ", "\n"))
    infill = (await handle.result()).infill

    assert handle.state is JobState.FAILED
    assert infill.reason.code is ReasonCode.JOB_FAILED


async def test_after_an_error_the_device_is_asked_whether_it_still_works(engine, monkeypatch):
    monkeypatch.setattr(engine, "_device_works", lambda: False)
    infill = (await engine.submit(InfillJob("an unknown document ", "\n")).result()).infill
    assert infill.reason.code is ReasonCode.GPU_LOST
    # It is only asked then.
    assert texts((await engine.submit(job(AREA)).result()).infill) == ["3.14 * radius"]


class SharingScript(ScriptedDenoiser):
    """Its jobs share steps; `shared` records how many, `shared_error` is raised by those.

    The first step that `stop_at` jobs share closes the gate and sets `stopped`.
    """

    prompts_together = 8
    stop_at = 0
    shared_error: Exception | None = None

    def __init__(self, *given, **options) -> None:
        super().__init__(*given, **options)
        self.shared: list[int] = []
        self.stopped = threading.Event()

    def denoise_together(self, requests):
        self.shared.append(len(requests))
        if len(requests) == self.stop_at and not self.stopped.is_set():
            self.gate.clear()
            self.stopped.set()
        if self.shared_error is not None:
            raise self.shared_error
        return [request.on(self) for request in requests]


async def shared(engine: Engine, denoiser: ScriptedDenoiser, *jobs: InfillJob):
    """All jobs, begun while the first one is at its first step."""
    handles = [await blocked(engine, denoiser, jobs[0])]
    handles += [engine.submit(one) for one in jobs[1:]]
    denoiser.gate.set()
    return handles


@pytest.fixture
def sharing(tiny_codec) -> SharingScript:
    return SharingScript(tiny_codec, plain(AREA), plain(SIDE), plain(NAME))


@pytest.fixture
async def sharing_engine(tiny_codec, sharing) -> AsyncIterator[Engine]:
    engine = new_engine(sharing, tiny_codec, sharing=SharingSettings(jobs=3, cpu_rows=1000))
    async with asyncio.timeout(30):
        yield engine
        sharing.gate.set()
        await engine.close()


THREE = job(AREA), job(SIDE, "b.py"), job(NAME, "c.py")
ANSWERS = ["3.14 * radius", "self.radius", "self"]


async def test_jobs_of_several_documents_share_steps(sharing_engine, sharing):
    handles = await shared(sharing_engine, sharing, *THREE, job(AREA, "d.py"))
    infills = [(await handle.result()).infill for handle in handles]

    assert [texts(infill)[0] for infill in infills] == [*ANSWERS, ANSWERS[0]]
    assert max(sharing.shared) == 3
    # A job has as many steps as alone.
    assert infills[0].steps == infills[3].steps


async def test_a_job_that_is_alone_shares_nothing(sharing_engine, sharing):
    assert texts((await sharing_engine.submit(job(AREA)).result()).infill) == [ANSWERS[0]]
    assert sharing.shared == []


async def test_one_job_runs_after_the_other_where_the_settings_say_so(tiny_codec, sharing):
    settings = EngineSettings(
        PromptSettings(style=PromptStyle.BARE), sharing=SharingSettings(jobs=1)
    )
    family = gemma_family(settings, sharing, tiny_codec)
    engine = Engine(sharing, tiny_codec, family, settings, "scripted")
    handles = await shared(engine, sharing, *THREE)
    for handle in handles:
        await handle.result()
    await engine.close()
    assert sharing.shared == []


async def test_a_job_begins_only_while_those_under_way_leave_rows(sharing_engine, sharing):
    sharing_engine._most_rows = 1
    handles = await shared(sharing_engine, sharing, *THREE)
    assert [texts((await one.result()).infill)[0] for one in handles] == ANSWERS
    assert sharing.shared == []


async def test_while_a_rewrite_runs_an_infill_finds_rows(sharing_engine, sharing):
    sharing_engine._most_rows = 1
    rewrite = job(AREA.replace("3.14 * radius", ""), replaced="3.14 * radius")
    handles = await shared(sharing_engine, sharing, rewrite, job(SIDE, "b.py"))
    assert texts((await handles[1].result()).infill) == ["self.radius"]
    assert (await handles[0].result()).state is JobState.DONE
    assert 2 in sharing.shared


async def test_a_cancelled_job_leaves_the_others_within_a_step(sharing_engine, sharing):
    sharing.stop_at = 3
    handles = await shared(sharing_engine, sharing, *THREE)
    assert await asyncio.to_thread(sharing.stopped.wait, 10)
    handles[1].cancel()
    sharing.gate.set()
    results = [await handle.result() for handle in handles]

    assert [one.state for one in results] == [
        JobState.DONE,
        JobState.CANCELLED,
        JobState.DONE,
    ]
    assert sharing.shared.count(3) == 1


async def test_an_error_in_one_job_ends_no_other(sharing_engine, sharing, monkeypatch):
    """Whether it comes from the job's own work between two steps, or from the step."""
    own = SharingScript.score

    def score(encoded, continuations):
        if b"radius ** 2" in encoded.rest.replace(b"3.14 * ", b""):
            raise RuntimeError("no score for this one")
        return own(sharing, encoded, continuations)

    monkeypatch.setattr(sharing, "score", score)
    handles = await shared(sharing_engine, sharing, *THREE)
    results = [await handle.result() for handle in handles]

    assert [one.state for one in results] == [JobState.FAILED, JobState.DONE, JobState.DONE]
    assert [texts(one.infill)[0] for one in results[1:]] == ANSWERS[1:]


async def test_a_shared_step_that_fails_is_made_by_each_job_alone(sharing_engine, sharing):
    sharing.shared_error = RuntimeError("not together")
    handles = await shared(sharing_engine, sharing, *THREE)
    assert [texts((await one.result()).infill)[0] for one in handles] == ANSWERS


async def test_shared_steps_that_run_out_of_memory_have_fewer_jobs(sharing_engine, sharing):
    shrunk = []
    sharing.shrink = lambda: shrunk.append(True) or 1000
    sharing.shared_error = OutOfMemoryError("out of memory on cuda:0")
    handles = await shared(sharing_engine, sharing, *THREE)
    assert [texts((await one.result()).infill)[0] for one in handles] == ANSWERS
    assert len(shrunk) == len(sharing.shared) <= 2
    # From then on, one after the other.
    sharing.shared.clear()
    again = [sharing_engine.submit(job(AREA)), sharing_engine.submit(job(SIDE, "b.py"))]
    assert [texts((await one.result()).infill)[0] for one in again] == ANSWERS[:2]
    assert sharing.shared == []


async def test_a_job_that_runs_out_of_memory_runs_again_alone(
    sharing_engine, sharing, monkeypatch
):
    fails = iter([True])
    own = SharingScript.score

    def score(encoded, continuations):
        if b"** 2" in encoded.rest and next(fails, False):
            raise OutOfMemoryError("out of memory on cuda:0")
        return own(sharing, encoded, continuations)

    monkeypatch.setattr(sharing, "score", score)
    handles = await shared(sharing_engine, sharing, *THREE)
    assert [texts((await one.result()).infill)[0] for one in handles] == ANSWERS
    # The prompt is read twice, the second time when the others are done.
    assert len(sharing.prompts) == 4
    assert sharing.prompts[3] == sharing.prompts[0]


async def test_closing_ends_jobs_that_share_steps(sharing_engine, sharing):
    sharing.stop_at = 3
    handles = await shared(sharing_engine, sharing, *THREE)
    assert await asyncio.to_thread(sharing.stopped.wait, 10)
    closing = asyncio.create_task(sharing_engine.close())
    states = [(await handle.result()).state for handle in handles]
    sharing.gate.set()
    await closing
    assert states == [JobState.CANCELLED] * 3
    assert sharing.shared.count(3) == 1
    assert not sharing_engine._thread.is_alive()


TEXT = "".join(
    f"def area_{n}(self, radius, side={n}):\n"
    f"    total = {n} * radius ** 2\n"
    f"    return [self.side + total for _ in range({n})]\n\n"
    for n in range(12)
)


def jobs_of(count: int) -> list[InfillJob]:
    """Infills of one and of several lengths, rewrites, and such with several canvases."""
    dice = random.Random(count)
    made = []
    for n in range(count):
        start = dice.randrange(80, len(TEXT) - 80)
        end = start + dice.randrange(1, 30)
        kinds = (
            {"max_tokens": 12},
            {"span_tokens": dice.randrange(1, 9)},
            {"replaced": TEXT[start:end], "strength": 0.5},
            {"max_tokens": 12, "candidates": 2},
        )
        made.append(
            InfillJob(TEXT[:start], TEXT[end:], path=f"{n}.py", seed=n, **kinds[n % len(kinds)])
        )
    return made


async def together(model, settings, *rounds):
    """The texts of jobs that begin in rounds, each once the round before has made a step."""
    engine = Engine(model.denoiser, model.codec, model.family(settings), settings, "m")
    handles = []
    for jobs in rounds:
        handles += [engine.submit(one) for one in jobs]
        await anext(handles[-1].drafts(), None)
    found = [texts((await handle.result()).infill) for handle in handles]
    counts = engine.counts()
    await engine.close()
    return found, counts


async def test_together_jobs_get_the_texts_that_each_gets_alone_from_the_bundled_model():
    model = load("bundled", "cpu")
    settings = dataclasses.replace(
        model.settings, min_confidence=0.0, sharing=SharingSettings(cpu_rows=500)
    )
    jobs = jobs_of(8)
    alone = [(await together(model, settings, [one]))[0][0] for one in jobs]
    found, counts = await together(model, settings, jobs[:5], jobs[5:])

    assert found == alone
    assert any(alone)
    assert counts["denoising_steps"] > 2 * counts["denoising_passes"]


async def test_whenever_jobs_come_and_go_each_gets_the_text_that_it_gets_alone(tiny_checkpoint):
    model = load(str(tiny_checkpoint), "cpu")
    settings = dataclasses.replace(
        model.settings,
        sampler=SamplerSettings(max_denoising_steps=4),
        length=LengthSettings(lengths=(2, 4, 6)),
        block_tokens=6,
        sharing=SharingSettings(jobs=4, cpu_rows=200),
    )
    jobs = jobs_of(12)
    alone = [(await together(model, settings, [one]))[0][0] for one in jobs]

    async def check(numbers: list[int], pauses: list[int], cancelled: set[int]) -> None:
        engine = Engine(model.denoiser, model.codec, model.family(settings), settings, "m")
        handles = {}
        for number, pause in zip(numbers, pauses, strict=True):
            handles[number] = engine.submit(jobs[number])
            for _ in range(pause):
                await anext(handles[number].drafts(), None)
            if number in cancelled:
                handles[number].cancel()
        for number, handle in handles.items():
            result = await handle.result()
            if result.state is not JobState.CANCELLED:
                assert texts(result.infill) == alone[number]
        await engine.close()

    # One loop for all, because hypothesis' own functions are not asynchronous.
    dice = random.Random(1)
    for _ in range(12):
        numbers = dice.sample(range(len(jobs)), dice.randrange(2, 9))
        pauses = [dice.choice((0, 0, 1, 2)) for _ in numbers]
        cancelled = {number for number in numbers if dice.random() < 0.25}
        await check(numbers, pauses, cancelled)


async def test_nothing_of_the_model_outlives_the_engine(tiny_checkpoint):
    """Also after a job that ran out of memory half-way."""
    held: list[weakref.ref] = []

    async def live_and_close() -> tuple[Infill, Infill]:
        model = load(str(tiny_checkpoint), "cpu")
        held.extend(weakref.ref(one) for one in model.denoiser.model.parameters())
        held.append(weakref.ref(model.denoiser))
        settings = dataclasses.replace(
            model.settings, sampler=SamplerSettings(max_denoising_steps=2)
        )
        engine = Engine(
            model.denoiser, model.codec, model.family(settings), settings, model.info.name
        )
        first = (await engine.submit(job(AREA, max_tokens=4)).result()).infill
        model.denoiser.model.model.decoder.embed_tokens.forward = out_of_memory
        second = (await engine.submit(job(AREA, max_tokens=4)).result()).infill
        await engine.close()
        return first, second

    def out_of_memory(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    first, second = await live_and_close()
    gc.collect()

    assert (first.steps, second.reason.code) == (2, ReasonCode.OUT_OF_MEMORY)
    assert [one for one in held if one() is not None] == []


def test_a_job_whose_event_loop_is_gone_harms_no_other(tiny_codec):
    denoiser = ScriptedDenoiser(tiny_codec, plain(AREA))
    settings = EngineSettings(
        PromptSettings(style=PromptStyle.BARE), SamplerSettings(max_denoising_steps=6)
    )
    engine = Engine(
        denoiser, tiny_codec, gemma_family(settings, denoiser, tiny_codec), settings, "scripted"
    )

    async def leave_behind() -> None:
        await blocked(engine, denoiser, job(AREA))

    async def come_again() -> Infill:
        denoiser.gate.set()
        try:
            return (await engine.submit(job(AREA, "b.py", span_tokens=6)).result()).infill
        finally:
            await engine.close()

    asyncio.run(leave_behind())
    assert texts(asyncio.run(come_again())) == ["3.14 * radius"]
