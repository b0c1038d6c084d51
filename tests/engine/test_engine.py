"""The engine's thread, what a job costs it, and its memory.

What every `Infiller` does is in tests/service/test_conformance.py, for the engine as well.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging
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


@pytest.fixture
def denoiser(tiny_codec) -> ScriptedDenoiser:
    return ScriptedDenoiser(tiny_codec, plain(AREA), plain(SIDE), plain(NAME))


@pytest.fixture
async def engine(tiny_codec, denoiser) -> AsyncIterator[Engine]:
    settings = EngineSettings(
        PromptSettings(style=PromptStyle.BARE),
        SamplerSettings(max_denoising_steps=12),
        LengthSettings(lengths=tuple(range(1, 13))),
    )
    engine = Engine(
        denoiser, tiny_codec, gemma_family(settings, denoiser, tiny_codec), settings, "scripted"
    )
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
