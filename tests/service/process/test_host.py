"""The model's life: loaded for a job, unloaded when idle, and every way to fail."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from dg_lsp.fed_job import CANCELLED
from dg_lsp.job import InfillJob, JobState, ModelInfo
from dg_lsp.models.checkpoint import CheckpointError
from dg_lsp.models.device import DeviceLostError
from dg_lsp.reason import Reason, ReasonCode
from dg_lsp.service.process import host as host_module
from dg_lsp.service.process.host import BusyError, EngineHost, HostClosedError, ModelState

JOB = InfillJob("name = ", ".name\n", document="a.py")


async def fill(host: EngineHost, job: InfillJob = JOB) -> list[str]:
    return [one.text for one in (await host.submit(job).result()).infill.candidates]


async def test_the_first_job_loads_the_model(host, loader):
    assert (host.state, host.opened, loader.opened) == (ModelState.UNLOADED, None, 0)

    assert await fill(host) == ["self"]

    assert (host.state, loader.opened) == (ModelState.READY, 1)
    assert host.opened is not None
    assert host.loads == {"loaded": 1, "failed": 0}
    assert host.loading_percent is None


async def test_jobs_that_come_while_it_loads_wait_and_load_once(host, loader, monkeypatch):
    gate, plain_open = threading.Event(), loader.open

    def slow_open():
        assert gate.wait(10)
        return plain_open()

    monkeypatch.setattr(type(loader), "open", lambda self: slow_open())
    host.start_loading()
    first = host.submit(JOB)
    newer = host.submit(JOB)
    other = host.submit(InfillJob("name = ", ".name\n", document="b.py"))
    gone = host.submit(InfillJob("name = ", ".name\n", document="c.py"))
    gone.cancel()

    assert (host.state, host.loading_percent) == (ModelState.LOADING, 42)
    assert host.count_jobs() == (3, 0)
    gate.set()
    assert (await first.result()).state is JobState.SUPERSEDED
    infills = [(await one.result()).infill for one in (newer, other)]
    assert [infill.candidates[0].text for infill in infills] == ["self"] * 2
    assert (await gone.result()).infill.reason == CANCELLED
    assert loader.opened == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CheckpointError("no model x", ReasonCode.NO_MODEL), ReasonCode.NO_MODEL),
        (MemoryError("18 GB"), ReasonCode.LOAD_FAILED),
    ],
)
async def test_a_failed_load_answers_with_the_reason(host, loader, error, code):
    loader.error = error
    handle = host.submit(JOB)
    infill = (await handle.result()).infill

    assert (handle.state, infill.candidates) == (JobState.FAILED, ())
    assert infill.reason.code is code
    assert (host.state, host.error) == (ModelState.FAILED, infill.reason)
    # Soon after, nothing is tried; on demand, everything.
    assert (await host.submit(JOB).result()).infill.reason == infill.reason
    assert loader.opened == 1
    loader.error = None
    host.start_loading()
    assert await fill(host) == ["self"]
    assert host.loads == {"loaded": 1, "failed": 1}


async def test_after_a_while_a_failed_load_is_tried_again(loader):
    host = EngineHost(loader, retry_load_s=0)
    loader.error = ValueError("not yet")
    await host.submit(JOB).result()
    loader.error = None

    assert await fill(host) == ["self"]
    await host.close()


async def test_unloading_gives_the_model_back_and_the_next_job_loads_it(host, loader):
    await fill(host)

    assert await host.unload()
    assert not await host.unload()
    assert (host.state, host.opened, loader.released) == (ModelState.UNLOADED, None, 1)
    assert await fill(host) == ["self"]
    assert loader.opened == 2


async def test_unloading_cancels_what_is_open(host, denoiser):
    await fill(host)
    denoiser.gate.clear()
    denoiser.entered.clear()
    handle = host.submit(JOB)
    assert await asyncio.to_thread(denoiser.entered.wait, 10)
    assert host.count_jobs() == (0, 1)
    unloading = asyncio.create_task(host.unload())

    assert (await handle.result()).infill.reason.code is ReasonCode.UNLOADED
    denoiser.gate.set()
    assert await unloading


async def test_an_idle_model_is_unloaded_and_an_idle_process_ends(loader, until):
    ended = []
    host = EngineHost(
        loader, idle_unload_s=0.02, idle_exit_s=0.06, on_idle_exit=lambda: ended.append(1)
    )
    await fill(host)
    await until(lambda: host.state is ModelState.UNLOADED and loader.released == 1)
    await until(lambda: bool(ended))

    assert host.idle_s >= 0.06
    await host.close()


@pytest.mark.parametrize("turns", range(8))
async def test_a_job_that_comes_as_the_idle_time_ends_is_filled(loader, turns):
    host = EngineHost(loader, idle_unload_s=0)
    await fill(host)
    # The idle time ends, the unloading begins, waits and is done, at one turn or another.
    for _ in range(turns):
        await asyncio.sleep(0)

    assert await fill(host) == ["self"]
    await host.close()


async def test_a_running_job_is_not_idle(loader, denoiser):
    host = EngineHost(loader, idle_unload_s=0.01)
    denoiser.gate.clear()
    handle = host.submit(JOB)
    assert await asyncio.to_thread(denoiser.entered.wait, 10)
    # Far longer than the idle time.
    done, _ = await asyncio.wait({asyncio.ensure_future(handle.result())}, timeout=0.1)

    assert not done
    assert (host.state, host.idle_s) == (ModelState.READY, 0.0)
    denoiser.gate.set()
    assert (await handle.result()).infill.candidates
    await host.close()


async def test_a_job_that_hangs_is_given_up(loader, denoiser):
    stalled = []
    host = EngineHost(loader, stall_s=0.1, on_stall=lambda: stalled.append(1))
    denoiser.gate.clear()
    infill = (await host.submit(JOB).result()).infill

    assert stalled == [1]
    assert infill.reason.code is ReasonCode.STALLED
    denoiser.gate.set()
    await host.close()


async def test_a_gpu_lost_while_loading_is_told(loader):
    lost = []
    host = EngineHost(loader, on_gpu_lost=lost.append)
    loader.error = DeviceLostError("cuda:0 refuses everything", "steps in graphs")
    infill = (await host.submit(JOB).result()).infill

    assert infill.reason.code is ReasonCode.GPU_LOST
    assert lost == ["steps in graphs"]
    await host.close()


async def test_a_way_of_computing_that_fails_later_is_in_the_status(loader):
    """Whoever asks gets what the model says now, not what it said when it was loaded."""
    info = ModelInfo("scripted", "cuda:0", 200, 72, runs_as="fused steps in graphs")
    note = Reason(ReasonCode.KERNEL_FAILED, "steps without graphs instead of fused steps")
    now = [info]
    changing = SimpleNamespace(
        open=lambda: replace(loader.open(), info=info, look=lambda: now[0]),
        loading_percent=loader.loading_percent,
        release=loader.release,
        device_memory_bytes=loader.device_memory_bytes,
    )
    host = EngineHost(changing)
    await fill(host)
    assert host.model.notes == ()
    now[0] = replace(info, notes=(note,), runs_as="steps without graphs")

    assert host.model.notes == (note,)
    assert host.model.runs_as == "steps without graphs"
    await host.close()


async def test_the_end_of_each_job_is_told_once(loader, until):
    told = []
    host = EngineHost(loader, on_job_end=lambda ended: told.append(ended.result.state))
    await fill(host)
    host.submit(JOB).cancel()
    await until(lambda: len(told) == 2)

    assert told == [JobState.DONE, JobState.CANCELLED]
    await host.close()


async def test_there_is_an_end_to_the_jobs_it_takes(host, monkeypatch):
    monkeypatch.setattr(host_module, "MAX_OPEN_JOBS", 1)
    handle = host.submit(JOB)

    with pytest.raises(BusyError):
        host.submit(JOB)
    handle.cancel()
    assert await fill(host) == ["self"]


async def test_closing_does_not_wait_for_a_load(loader, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(type(loader), "open", lambda self: gate.wait(10))
    host = EngineHost(loader)
    handle = host.submit(JOB)
    await asyncio.sleep(0)
    async with asyncio.timeout(2):
        await host.close()
    gate.set()

    assert (await handle.result()).infill.reason.code is ReasonCode.ENGINE_CLOSED
    with pytest.raises(HostClosedError):
        host.submit(JOB)
